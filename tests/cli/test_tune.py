"""`medvision tune`: bounded, resumable, repeatable, and blind to the test subjects."""

import json
import signal
from pathlib import Path

import pytest
from children import interrupt, start, wait
from click.testing import CliRunner
from toy_study import make_study

from medvision.cli._training.learning import LearningData
from medvision.cli.main import main
from medvision.io.tables import read_table
from medvision.layout import Layout

SPACE = {
    "train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "train.batch_size": {"choices": [4, 8]},
    "augment.flip_axes": {"choices": [[], [0]]},
}
TUNE = {"trials": 3, "space": SPACE}


def make(root: Path, *, inner: int = 2, tune=(), **sections):
    sections = {"train": {"epochs": 1}, **sections}
    return make_study(root, n_inner=inner, tune={**TUNE, **dict(tune)}, **sections)


def words(study, command: str, *options: str) -> list[str]:
    return [command, "--config", study.model_dump_json(), "--arm", "scratch", *options]


def call(study, command: str, *options: str):
    return CliRunner().invoke(main, words(study, command, *options))


def tune(study, *options: str):
    result = call(study, "tune", "--part", "0", *options)
    assert result.exit_code == 0, result.output
    return read_trials(study)


def folder_of(study) -> Path:
    layout = Layout(study.output.path)
    return layout.step(layout.tune_step("scratch", 0))


def read_trials(study):
    path = folder_of(study) / "trials.tsv"
    return read_table(path) if path.is_file() else []


def read_best(study):
    return json.loads((folder_of(study) / "best.json").read_text())


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    study = make(tmp_path_factory.mktemp("searched"))
    tune(study)
    return study


def test_as_many_trials_as_asked_are_listed_with_values_and_state(searched):
    rows = read_trials(searched)
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert {row["state"] for row in rows} == {"complete"}
    assert {row["inner_folds"] for row in rows} == {"2"}
    assert all(1e-4 <= float(row["train.learning_rate"]) <= 1e-2 for row in rows)
    assert {row["train.batch_size"] for row in rows} <= {"4", "8"}


def test_the_best_is_the_trial_with_the_least_mean_validation_loss(searched):
    rows, best = read_trials(searched), read_best(searched)
    least = min(rows, key=lambda row: float(row["value"]))
    assert best["number"] == int(least["number"])
    assert best["value"] == pytest.approx(float(least["value"]), rel=1e-6)
    assert best["values"]["train.batch_size"] == int(least["train.batch_size"])


def test_a_trials_value_is_the_mean_over_the_inner_folds_of_what_training_alone_gives(
    searched, tmp_path
):
    """The oracle: each inner fold trained by hand with the chosen values and the search's seed."""
    from medvision.runtime.seeds import derive_seed

    best = read_best(searched)
    seed = derive_seed("tune", searched.tune.seed)
    values = {"train": {"epochs": 1, "seeds": [seed]}, "augment": {}}
    for key, value in best["values"].items():
        section, field = key.split(".")
        values[section][field] = value
    plain = make_study(tmp_path, n_inner=2, **values)
    losses = []
    for fold in (0, 1):
        assert call(plain, "train", "--fold", str(fold)).exit_code == 0
        path = Layout(tmp_path).seed("scratch", fold, seed=seed) / "summary.json"
        losses.append(json.loads(path.read_text())["validation_loss"])
    assert best["value"] == pytest.approx(sum(losses) / 2, rel=1e-12)


def test_the_record_says_how_many_trials_of_what_and_what_was_chosen(searched):
    record = json.loads((folder_of(searched) / "record.json").read_text())
    facts = record["facts"]
    assert (facts["n_trials"], facts["n_complete"], facts["n_inner_folds"]) == (3, 3, 2)
    assert (facts["sampler"], facts["seed"]) == ("tpe", 7)
    assert set(facts["space"]) == set(SPACE) == set(facts["values"])
    assert facts["is_repeatable"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_trials(searched, tmp_path):
    again, other = make(tmp_path / "again"), make(tmp_path / "other", tune={"seed": 8})
    assert tune(again) == read_trials(searched)
    for name in ("trials.tsv", "best.json"):
        assert (folder_of(again) / name).read_bytes() == (folder_of(searched) / name).read_bytes()
    drawn = [[row["train.learning_rate"] for row in read_trials(s)] for s in (again, searched)]
    assert [row["train.learning_rate"] for row in tune(other)] not in drawn


def test_more_trials_go_on_from_those_there_are(searched, tmp_path):
    study = make(tmp_path, tune={"trials": 1})
    first = tune(study)
    more = study.model_copy(update={"tune": study.tune.model_copy(update={"trials": 3})})
    assert tune(more)[:1] == first
    assert read_trials(study) == read_trials(searched)


@pytest.mark.slow
def test_killed_in_a_trial_it_ends_as_if_nothing_had_been(searched, tmp_path):
    study = make(tmp_path)
    journal = folder_of(study) / "journal" / "trials.log"

    def is_in_second() -> bool:
        return journal.is_file() and journal.read_text().count('"number"') == 2

    command = words(study, "tune", "--part", "0")
    assert interrupt(command, once=is_in_second, number=signal.SIGKILL) == -signal.SIGKILL
    assert tune(study) == read_trials(searched)
    assert read_best(study) == read_best(searched)


@pytest.mark.slow
def test_processes_at_once_share_a_search_and_never_exceed_it(tmp_path):
    study = make(tmp_path, tune={"trials": 5, "sampler": "random"})
    command = words(study, "tune", "--part", "0")
    children = [start([*command, "--worker", str(n)]) for n in (1, 2, 3)]
    assert [wait(child) for child in children] == [0, 0, 0]
    marks = [folder_of(study) / "workers" / f"{n}.json" for n in (1, 2, 3)]
    assert sum(json.loads(mark.read_text())["trials"] for mark in marks) == 5
    rows = tune(study)
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert len({row["train.learning_rate"] for row in rows}) == 5
    assert read_best(study)["n_workers"] >= 2
    assert "0" not in {row["worker"] for row in rows}


def test_two_workers_of_one_number_are_refused(tmp_path):
    from contextlib import nullcontext

    from medvision.learn.presence import taking_presence

    study = make(tmp_path)
    folder = folder_of(study) / "journal"
    folder.mkdir(parents=True)
    with taking_presence(folder, 2, claiming=nullcontext):
        result = call(study, "tune", "--part", "0", "--worker", "2")
    assert result.exit_code == 2
    assert "no process at work has, got 2" in result.output


def watch_subjects(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have every training say whom it is given, in train and validation."""
    import medvision.learn.train as module

    seen: list[str] = []
    fit = module.fit_network

    def fit_network(model, training, *, validation, **how):
        seen.extend((*training.subjects, *validation.subjects))
        return fit(model, training, validation=validation, **how)

    monkeypatch.setattr(module, "fit_network", fit_network)
    return seen


def list_tested(study, part: str) -> set[str]:
    rows = read_table(Layout(study.output.path).folds)
    return {row["subject"] for row in rows if (row["part"], row["split"]) == (part, "test")}


def test_no_test_subject_is_in_any_trial(tmp_path, monkeypatch):
    seen = watch_subjects(monkeypatch)
    study = make(tmp_path)
    tune(study)
    others = {row["subject"] for row in read_table(Layout(tmp_path).folds)}
    assert not set(seen) & list_tested(study, "0")
    assert set(seen) == others - list_tested(study, "0")


def test_the_watch_on_the_trials_sees_a_planted_leak(tmp_path, monkeypatch):
    """What a search is given still holds the test subjects, and trains on them."""
    seen = watch_subjects(monkeypatch)
    select = LearningData.select

    def select_more(data, fold, split):
        return [*select(data, fold, split), *(select(data, fold, "test") * (split == "train"))]

    monkeypatch.setattr(LearningData, "select", select_more)
    monkeypatch.setattr("medvision.cli.tune.keep_untested", lambda held, _: held)
    study = make(tmp_path, tune={"trials": 1})
    tune(study)
    assert set(seen) & list_tested(study, "0")


def test_a_careless_selection_finds_no_test_subject_in_what_a_search_is_given(
    tmp_path, monkeypatch
):
    seen = watch_subjects(monkeypatch)
    select = LearningData.select

    def select_more(data, fold, split):
        return [*select(data, fold, split), *(select(data, fold, "test") * (split == "train"))]

    monkeypatch.setattr(LearningData, "select", select_more)
    study = make(tmp_path, tune={"trials": 1})
    tune(study)
    assert not set(seen) & list_tested(study, "0")


def test_a_tested_subject_that_another_inner_fold_trains_on_is_refused(tmp_path):
    study = make(tmp_path)
    layout = Layout(tmp_path)
    summary = json.loads(layout.cohort_summary.read_text())
    lines = layout.folds.read_text().splitlines()
    place = next(
        n for n, line in enumerate(lines) if line.startswith("1\t0\t0\t1") and "test" in line
    )
    lines[place] = lines[place].replace("\ttest", "\ttrain")
    layout.folds.write_text("\n".join(lines) + "\n")
    layout.cohort_summary.write_text(json.dumps({**summary, "leakage": {"overridden": True}}))
    result = call(study, "tune", "--part", "0")
    assert result.exit_code == 5
    assert "a search must not see a subject that is tested" in result.output
    assert not folder_of(study).joinpath("journal").exists()


def test_training_takes_what_its_parts_search_chose(searched):
    result = call(searched, "train", "--fold", "1")
    assert result.exit_code == 0, result.output
    layout = Layout(searched.output.path)
    record = json.loads(layout.record("train/scratch/fold-1").read_text())
    assert record["facts"]["chosen"] == read_best(searched)["values"]
    assert "tune/scratch/part-0/best.json" in record["reads"]
    history = read_table(layout.history("scratch", 1, seed=0))
    peak = read_best(searched)["values"]["train.learning_rate"]
    assert all(float(row["learning_rate"]) <= peak for row in history)


def test_training_of_a_part_that_was_not_searched_is_refused(searched):
    result = call(searched, "train", "--fold", "2")
    assert result.exit_code == 12
    assert "medvision tune --arm scratch --part 1" in result.output


def test_another_space_is_another_search_in_the_same_journal(tmp_path):
    study = make(tmp_path, tune={"trials": 1})
    first = tune(study)
    other = make(tmp_path, tune={"trials": 1, "space": {"augment.gain": {"low": 0.1, "high": 0.5}}})
    second = tune(other)
    assert "augment.gain" in second[0]
    assert first[0]["number"] == second[0]["number"] == "0"


def test_trials_that_fail_are_counted_and_none_is_chosen(tmp_path, monkeypatch):
    import medvision.learn.train as module
    from medvision.errors import TrainingError

    fit = module.fit_network

    def fit_network(model, training, **how):
        if how["settings"].batch_size == 4:
            raise TrainingError("training: loss must be finite, got nan.")
        return fit(model, training, **how)

    monkeypatch.setattr(module, "fit_network", fit_network)
    study = make(tmp_path, tune={"trials": 5})
    rows = tune(study)
    failed = [row for row in rows if row["state"] == "failed"]
    assert len(rows) == 5
    assert {row["train.batch_size"] for row in failed} == {"4"}
    assert "loss must be finite" in failed[0]["reason"]
    best = read_best(study)
    assert best["values"]["train.batch_size"] == 8
    assert best["n_failed"] == len(failed)


def test_a_search_of_which_every_trial_fails_says_why(tmp_path, monkeypatch):
    import medvision.learn.train as module
    from medvision.errors import TrainingError

    def fit_network(model, training, **how):
        raise TrainingError("training: loss must be finite, got nan.")

    monkeypatch.setattr(module, "fit_network", fit_network)
    result = call(make(tmp_path), "tune", "--part", "0")
    assert result.exit_code == 7
    assert "got none of 3: training: loss must be finite" in result.output
    assert not (folder_of(make(tmp_path)) / "record.json").exists()


def test_no_search_is_refused_where_none_is_asked_for(tmp_path):
    result = call(make(tmp_path, tune={"trials": 0}), "tune", "--part", "0")
    assert result.exit_code == 2
    assert "trials must be above 0" in result.output


def test_auc_is_maximised(tmp_path):
    study = make(tmp_path, tune={"objective": "auc"}, train={"epochs": 2})
    rows = tune(study)
    assert read_best(study)["value"] == pytest.approx(max(float(row["value"]) for row in rows))
