"""`medvision scorecard` and `compare`: paired, nested, resumable, apart from the study itself."""

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_study import make_study

from medvision.cli.main import main
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.checkpoint import ModelMeta, save_model

SHARES, SEEDS = (0.25, 1.0), (0, 1)


def write_weights(folder: Path, *, seed: int = 1234) -> Path:
    """A source: the same network with random weights of another seed."""
    from medvision.learn.backbones import build_backbone
    from medvision.runtime.seeds import seed_everything

    seed_everything(seed)
    tensors = build_backbone("small", spatial_dims=2, channels=1, n_classes=2).state_dict()
    path = folder / "start.safetensors"
    save_model(path, tensors, meta=ModelMeta("small", 2, 1, ("a", "b"), "0.0.0"))
    return path


def make(root: Path, *, scorecard=(), **sections):
    """A study of 32 toy images in two folds, with such a source beside it."""
    root.mkdir(parents=True, exist_ok=True)
    values = {"evaluate": {"n_resamples": 200}, "train": {"epochs": 1}, **sections}
    held = {"sources": [str(write_weights(root))], "fractions": SHARES, "seeds": SEEDS}
    return make_study(
        root / "results",
        n_images=32,
        spatial_dims=2,
        scorecard={**held, **dict(scorecard)},
        **values,
    )


def call(study, *words: str):
    return CliRunner().invoke(main, [words[0], "--config", study.model_dump_json(), *words[1:]])


def run(study, *words: str):
    result = call(study, *words)
    assert result.exit_code == 0, f"{words}\n{result.output}\n{result.exception}"
    return result


def train(study, arm: str, *, fold: int = 0):
    return run(study, "scorecard", "--arm", arm, "--fold", str(fold))


def train_all(study) -> None:
    for arm in study.scorecard.arms:
        for fold in study.scorecard.list_folds(2):
            train(study, arm.name, fold=fold)


def folder(study, arm: str, fold: int = 0) -> Path:
    layout = Layout(study.output.path)
    return layout.step(layout.fold_step(arm, fold, stage="scorecard"))


def table(study, step: str, name: str):
    return read_table(Layout(study.output.path).table(step, name))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All jobs and their comparison; tests read it and change nothing."""
    study = make(tmp_path_factory.mktemp("finished"))
    train_all(study)
    run(study, "compare")
    return study


@pytest.fixture(scope="module")
def facts(finished):
    return json.loads((Layout(finished.output.path).step("compare") / "scorecard.json").read_text())


def test_every_arm_share_and_seed_predicts_every_test_subject_once(finished):
    for arm in finished.scorecard.arms:
        rows = [row for fold in (0, 1) for row in read_predictions(finished, arm.name, fold)]
        keys = [(row["fraction"], row["seed"], row["image_id"]) for row in rows]
        tested = [
            row["image_id"]
            for row in read_table(Layout(finished.output.path).folds)
            if row["split"] == "test"
        ]
        assert len(set(keys)) == len(keys) == len(SHARES) * len(SEEDS) * len(tested)
        assert {row["image_id"] for row in rows} == set(tested)


def read_predictions(study, arm: str, fold: int):
    return read_table(folder(study, arm, fold) / "predictions.tsv")


def test_all_arms_have_the_same_nested_subsets_of_train_subjects(finished):
    sides = {
        (row["fold"], row["subject"]): row["split"]
        for row in read_table(Layout(finished.output.path).folds)
    }
    for fold in (0, 1):
        texts = {
            (folder(finished, arm.name, fold) / "subsets.tsv").read_bytes()
            for arm in finished.scorecard.arms
        }
        assert len(texts) == 1
        rows = read_table(folder(finished, "scratch", fold) / "subsets.tsv")
        held = {
            (seed, share): {
                r["subject"] for r in rows if (r["seed"], r["fraction"]) == (seed, share)
            }
            for seed in ("0", "1")
            for share in ("0.25", "1")
        }
        assert held["0", "0.25"] < held["0", "1"] == held["1", "1"]
        assert held["1", "0.25"] < held["1", "1"]
        assert {sides[str(fold), name] for name in held["0", "1"]} == {"train"}


def test_every_seed_draws_its_own_subjects(tmp_path):
    study = make(tmp_path, scorecard={"seeds": [0, 1, 2, 3]})
    train(study, "scratch")
    rows = read_table(folder(study, "scratch") / "subsets.tsv")
    small = {
        frozenset(r["subject"] for r in rows if (r["seed"], r["fraction"]) == (seed, "0.25"))
        for seed in "0123"
    }
    assert len(small) > 1
    assert {len(each) for each in small} == {4}


def test_a_small_share_is_trained_for_as_many_steps_as_all(finished):
    rows = read_table(folder(finished, "scratch") / "trainings.tsv")
    assert {row["fraction"]: row["passes"] for row in rows} == {"0.25": "4", "1": "1"}
    assert len({row["n_steps"] for row in rows}) == 1


def test_epochs_may_be_equal_instead(tmp_path):
    study = make(tmp_path, scorecard={"budget": "epochs", "seeds": [0]})
    train(study, "scratch")
    rows = read_table(folder(study, "scratch") / "trainings.tsv")
    assert {row["passes"] for row in rows} == {"1"}
    assert int(rows[0]["n_steps"]) < int(rows[1]["n_steps"])


def test_on_all_subjects_scratch_is_the_studys_own_training_to_the_bit(finished, tmp_path):
    study = make(tmp_path, train={"epochs": 1, "seeds": list(SEEDS)})
    for fold in (0, 1):
        run(study, "train", "--arm", "scratch", "--fold", str(fold))
    run(study, "predict")
    own = {
        (row["seed"], row["fold"], row["image_id"]): row["logit_nodule"]
        for row in read_table(Layout(study.output.path).predictions)
        if row["split"] == "test"
    }
    ours = {
        (row["seed"], row["fold"], row["image_id"]): row["logit_nodule"]
        for fold in (0, 1)
        for row in read_predictions(finished, "scratch", fold)
        if row["fraction"] == "1"
    }
    assert ours == own


def test_the_studys_own_predictions_know_nothing_of_the_scorecard(tmp_path):
    study = make(tmp_path, scorecard={"seeds": [0], "fractions": [1.0], "folds": "first"})
    for fold in (0, 1):
        run(study, "train", "--arm", "scratch", "--fold", str(fold))
    run(study, "predict")
    path = Layout(study.output.path).predictions
    before = path.read_bytes()
    train_all(study)
    run(study, "compare")
    run(study, "predict")
    assert path.read_bytes() == before
    assert {row["arm"] for row in read_table(path)} == {"scratch"}


def test_the_tables_hold_every_comparison_with_its_counts(finished, facts):
    scores = table(finished, "compare", "scorecard")
    arms = [arm.name for arm in finished.scorecard.arms]
    assert [(row["arm"], row["fraction"]) for row in scores] == [
        (arm, share) for arm in arms for share in ("0.25", "1")
    ]
    assert {row["n_seeds"] for row in scores} == {"2"}
    assert {row["n_test_subjects"] for row in scores} == {"16"}
    differences = table(finished, "compare", "differences")
    assert len(differences) == len(facts["advantages"]) == 4
    assert all(float(row["p_holm"]) >= float(row["p"]) for row in differences if row["p"])
    assert len(table(finished, "compare", "savings")) == 4


def test_a_source_that_is_scratchs_own_start_gives_scratchs_own_figures(tmp_path):
    from medvision.runtime.seeds import derive_seed

    path = write_weights(tmp_path, seed=derive_seed("initial-weights", 0, 0))
    one = {"seeds": [0], "folds": "first", "policies": ["full"], "sources": [str(path)]}
    study = make(tmp_path / "study", scorecard=one)
    train_all(study)
    run(study, "compare")
    for row in table(study, "compare", "differences"):
        assert (row["difference"], row["low"], row["p"], row["verdict"]) == (
            "0",
            "",
            "",
            "not-shown",
        )
    for row in table(study, "compare", "savings"):
        assert float(row["needed"]) <= float(row["n_subjects"])
    sentences = json.loads(Layout(study.output.path).record("compare").read_text())["facts"]
    assert sentences["sentences"][0].startswith(
        "No start was shown to be better or worse than scra"
    )


def test_the_sentences_name_counts_and_reservations(facts):
    text = " ".join(facts["sentences"])
    assert "of 4 comparisons with scratch" in text
    assert "16 test subjects with 2 seeds" in text
    assert "fewer than the 5 that a claim needs" in text
    assert "selection on the test set" in text


def test_a_linear_head_leaves_every_block_as_it_was_and_full_training_does_not(finished, facts):
    linear, full = (arm.name for arm in finished.scorecard.arms[1:])
    held = {(row["arm"], row["block"]): row for row in facts["similarity"]}
    blocks = sorted({block for _, block in held})
    assert blocks == [1, 2, 3]
    for block in blocks:
        assert held[linear, block]["cka_least"] == pytest.approx(1)
        assert held[full, block]["cka"] < 1
        assert held[full, block]["n_networks"] == 4
    assert held["scratch", 1]["n_images_least"] == 8


def test_each_record_names_what_it_read_and_the_closure_holds_them(finished):
    layout = Layout(finished.output.path)
    record = json.loads(layout.record("compare").read_text())
    for arm in finished.scorecard.arms:
        assert f"scorecard/{arm.name}/fold-1/predictions.tsv" in record["reads"]
    own = json.loads(
        (folder(finished, finished.scorecard.arms[1].name) / "record.json").read_text()
    )
    assert "source:weights" in own["reads"]
    assert own["facts"]["n_trainings"] == 4
    assert not list(folder(finished, "scratch").rglob("*.safetensors"))
    assert not (folder(finished, "scratch") / "resume").exists()


def test_a_killed_job_goes_on_and_ends_with_the_same_bytes(finished, tmp_path, monkeypatch):
    """It dies in its third training; the first two are not trained again."""
    import medvision.cli._scorecard.fit as module

    study = make(tmp_path)
    fit, seen = module.fit_seed, []

    def dying(job, seed, *, watch):
        seen.append(seed)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return fit(job, seed, watch=watch)

    monkeypatch.setattr(module, "fit_seed", dying)
    assert call(study, "scorecard", "--arm", "scratch", "--fold", "0").exit_code != 0
    assert not (folder(study, "scratch") / "record.json").exists()
    train(study, "scratch")
    assert len(seen) == 5
    for name in ("predictions", "trainings", "cka", "subsets"):
        one, other = (folder(s, "scratch") / f"{name}.tsv" for s in (finished, study))
        assert one.read_bytes() == other.read_bytes()


def test_a_job_told_to_stop_within_a_training_goes_on_from_that_step(
    finished, tmp_path, monkeypatch
):
    import medvision.runtime.stopping as module

    study = make(tmp_path)
    asked = []

    @contextmanager
    def heed():
        def should_stop() -> bool:
            asked.append(1)
            return len(asked) == 11

        yield should_stop

    monkeypatch.setattr(module, "heed_stop", heed)
    assert call(study, "scorecard", "--arm", "scratch", "--fold", "0").exit_code == 75
    states = list(folder(study, "scratch").rglob("state.pt"))
    assert len(states) == 3
    train(study, "scratch")
    one, other = (folder(s, "scratch") / "predictions.tsv" for s in (finished, study))
    assert one.read_bytes() == other.read_bytes()


def test_what_was_trained_under_other_settings_is_trained_again(tmp_path, monkeypatch):
    import medvision.cli._scorecard.fit as module

    study = make(tmp_path, scorecard={"seeds": [0]})
    fit, seen = module.fit_seed, []

    def dying(job, seed, *, watch):
        seen.append(job.settings.train.learning_rate)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return fit(job, seed, watch=watch)

    monkeypatch.setattr(module, "fit_seed", dying)
    assert call(study, "scorecard", "--arm", "scratch", "--fold", "0").exit_code != 0
    other = study.model_copy(
        update={"train": study.train.model_copy(update={"learning_rate": 0.002})}
    )
    train(other, "scratch")
    assert seen[2:] == [0.002, 0.002]


def test_a_planted_test_subject_in_a_train_subset_is_refused(tmp_path, monkeypatch):
    import medvision.cli._scorecard.shares as module

    choose = module.choose_subsets
    study = make(tmp_path)
    rows = read_table(Layout(study.output.path).folds)
    tested = next(r["subject"] for r in rows if (r["fold"], r["split"]) == ("0", "test"))

    def plant(*given, **how):
        first, *others = choose(*given, **how)
        return (replace(first, subjects=(*first.subjects, tested)), *others)

    monkeypatch.setattr(module, "choose_subsets", plant)
    result = call(study, "scorecard", "--arm", "scratch", "--fold", "0")
    assert result.exit_code == 5
    assert f"train subjects only, got {tested} of test" in result.output


def test_arms_trained_on_other_subjects_are_not_compared(tmp_path, monkeypatch):
    """One arm's job is made to draw with another seed: its record is right, the pairing is not."""
    import medvision.cli._scorecard.shares as module

    study = make(tmp_path, scorecard={"policies": ["full"], "seeds": [0], "folds": "first"})
    train(study, "scratch")
    choose = module.choose_subsets
    monkeypatch.setattr(
        module, "choose_subsets", lambda *given, **how: choose(*given, **{**how, "purpose": "x"})
    )
    train(study, study.scorecard.arms[1].name)
    result = call(study, "compare")
    assert result.exit_code == 5
    assert "train subsets must be those of every arm" in result.output


def test_a_changed_prediction_is_refused(tmp_path):
    study = make(tmp_path, scorecard={"policies": ["full"], "seeds": [0], "folds": "first"})
    train_all(study)
    path = folder(study, "scratch") / "predictions.tsv"
    path.write_text(path.read_text().replace("\tbenign\t", "\tnodule\t", 1))
    result = call(study, "compare")
    assert result.exit_code == 12, result.output
    assert "scorecard/scratch/fold-0/predictions.tsv" in result.output


def test_a_missing_job_is_named_with_its_command(tmp_path):
    study = make(tmp_path, scorecard={"policies": ["full"], "seeds": [0], "folds": "first"})
    train(study, "scratch")
    result = call(study, "compare")
    assert result.exit_code == 12
    assert f"medvision scorecard --arm {study.scorecard.arms[1].name} --fold 0" in result.output


def test_without_a_source_there_is_no_scorecard_and_no_missing_step(tmp_path):
    study = make(tmp_path, scorecard={"sources": []})
    for words in (("scorecard", "--arm", "scratch", "--fold", "0"), ("compare",)):
        result = call(study, *words)
        assert result.exit_code == 2
        assert "starting weights to compare must be named, got none" in result.output
    assert "scorecard" not in run(study, "status").output


def test_status_lists_every_job_and_the_comparison(finished):
    text = run(finished, "status").output
    jobs = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.split()}
    n_jobs = len(list(Layout(finished.output.path).step("scorecard").glob("*/fold-*")))
    assert n_jobs > 1
    assert jobs["scorecard"][:1] == [str(n_jobs)]
    assert jobs["compare"][:1] == ["1"]
    assert "✓ done" in " ".join(jobs["scorecard"])


def test_the_cost_is_said_before_the_work(tmp_path):
    study = make(tmp_path, scorecard={"seeds": [0], "fractions": [0.05, 1.0]})
    text = train(study, "scratch").output
    assert "2 trainings, on 2 (5%, one of each class), 16 (100%) subjects, seeds: 1" in text
    assert "12 trainings in 6 jobs in all" in text


def test_a_path_is_no_part_of_any_name(finished):
    root = finished.output.path
    names = [arm.name for arm in finished.scorecard.arms[1:]]
    assert all(name.startswith("path-") for name in names)
    texts = [path.read_text() for path in root.rglob("scorecard/**/*.json")]
    assert texts
    assert not any(str(root.parent) in text for text in texts)


def test_an_audit_computes_the_scorecard_again(finished, facts):
    """A figure that was edited, or a prediction, no longer follows from the rest."""
    from medvision.cli._recompute.statistics import _find_scorecard_faults

    root = finished.output.path
    assert _find_scorecard_faults(lambda path: root / path) == []
    edited = json.loads(json.dumps(facts))
    edited["advantages"][0]["difference"] += 0.01
    forged = root.parent / "forged.json"
    forged.write_text(json.dumps(edited))
    places = {"compare/scorecard.json": forged}
    (fault,) = _find_scorecard_faults(lambda path: places.get(path, root / path))
    assert (fault.where, fault.thing) == ("compare/scorecard.json", "advantages[0].difference")
    assert _find_scorecard_faults(lambda path: root.parent / "nowhere" / path) == []
