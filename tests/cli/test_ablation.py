"""`medvision ablate` and `ablation`: the same subjects and steps for all, resumable, judged."""

import json
from collections import Counter

import pytest
from ablations import SEEDS, SHARES, ablate, folder, make, read, run_all

from medvision.cli._ablation import fit as _ablation_fit
from medvision.cli._ablation import gate as _ablation_gate
from medvision.cli._gate.judge import Judged
from medvision.cli._training.fitting import list_shown
from medvision.domain.synthesis.ablation import VARIANTS
from medvision.domain.synthesis.criterion import Refusal, Verdict
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.learn.dataset import count_batches


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All jobs with whatever was drawn, and what they came to; tests change nothing of it."""
    study = make(tmp_path_factory.mktemp("finished"), ablation={"gate": "ignore"})
    run_all(study)
    return study


def test_every_variant_share_and_seed_predicts_every_test_subject_once(finished) -> None:
    tested = {
        row["image_id"]
        for row in read_table(Layout(finished.output.path).folds)
        if row["split"] == "test"
    }
    for share in SHARES:
        rows = [row for fold in (0, 1) for row in read(finished, share, "predictions", fold)]
        keys = {(row["variant"], row["seed"], row["image_id"]) for row in rows}
        assert len(keys) == len(rows) == len(VARIANTS) * len(SEEDS) * len(tested)


def test_no_synthetic_image_is_predicted_and_no_generator_sees_a_held_out_subject(finished) -> None:
    layout = Layout(finished.output.path)
    train = {
        r["subject"] for r in read_table(layout.folds) if (r["fold"], r["split"]) == ("0", "train")
    }
    for share in SHARES:
        assert {row["subject"] for row in read(finished, share, "subsets")} <= train
        names = {row["image_id"] for row in read(finished, share, "predictions")}
        assert not any(name.startswith("synthetic") for name in names)


def test_a_smaller_share_lies_within_a_larger_one(finished) -> None:
    for seed in SEEDS:
        small, large = (
            {row["subject"] for row in read(finished, share, "subsets") if row["seed"] == str(seed)}
            for share in SHARES
        )
        assert small < large


def test_synthetic_images_join_two_variants_alone_and_all_take_as_many_steps(finished) -> None:
    for share in SHARES:
        for row in read(finished, share, "trainings"):
            has_drawn = row["variant"] in ("gan", "both")
            assert int(row["n_added"]) == (int(row["n_images"]) if has_drawn else 0)
    rows = [row for share in SHARES for row in read(finished, share, "trainings")]
    assert len({row["n_steps"] for row in rows}) == 1


@pytest.mark.parametrize(
    ("ratio", "refused", "n_shown"),
    [
        (0.25, 0.0, 20),
        (0.4, 0.0, 22),
        (0.5, 0.0, 24),
        (1.0, 0.0, 32),
        (1.0, 0.25, 32),
        ({"nodule": 1.0}, 0.5, 24),
    ],
)
def test_whatever_is_drawn_and_refused_an_epoch_shows_every_variant_as_many_images(
    ratio, refused: float, n_shown: int, tmp_path, monkeypatch
) -> None:
    def judge(_job, _plain, drawn, **_others):
        gone = tuple(Refusal(n, "near copy") for n in range(round(refused * len(drawn))))
        return Judged(Verdict((), gone, is_open=True, reason="passed"), {})

    fit, shown = _ablation_fit.fit_seed, []

    def fit_told(job, seed, *, watch):
        shown.append(Counter(item.image_id for item in list_shown(job, seed)))
        return fit(job, seed, watch=watch)

    monkeypatch.setattr(_ablation_gate, "judge_drawn", judge)
    monkeypatch.setattr(_ablation_fit, "fit_seed", fit_told)
    study = make(tmp_path, gan={"ratio": ratio}, ablation={"seeds": (0,), "folds": "first"})
    for share in SHARES:
        assert ablate(study, share).exit_code == 0
    assert {counts.total() for counts in shown} == {n_shown}
    # Nobody is shown twice as often as another, but by the one time that makes up the number.
    assert all(max(counts.values()) - min(counts.values()) <= 1 for counts in shown)
    rows = [row for share in SHARES for row in read(study, share, "trainings")]
    assert {int(row["n_steps"]) for row in rows} == {count_batches(n_shown, 4)}
    for row in rows:
        n_images = int(row["n_images"]) + int(row["n_added"])
        assert float(row["passes"]) == pytest.approx(n_shown / n_images, abs=1e-4)
    assert any(int(row["n_added"]) for row in rows)


def test_the_variants_differ_and_share_their_start(finished) -> None:
    rows = read(finished, 1.0, "predictions")
    logit = next(name for name in rows[0] if name.startswith("logit_"))
    found = {}
    for row in rows:
        found.setdefault(row["variant"], []).append(float(row[logit]))
    assert len({tuple(values) for values in found.values()}) == len(VARIANTS)


def test_what_is_said_names_every_share_and_the_selection_on_the_test_set(finished) -> None:
    path = Layout(finished.output.path).step("ablation") / "ablation.json"
    facts = json.loads(path.read_text())
    said = " ".join(facts["sentences"])
    assert "50 % of the train subjects" in said
    assert "selection on the test set" in said
    assert "2 seeds: fewer than the 5" in said
    n_generators = 2 * len(SHARES) * len(SEEDS)
    assert f"Of {n_generators} generators the gate opened for {facts['gate']['n_open']}" in said
    assert "It was not obeyed" in said
    assert len(facts["effects"]) == 3 * len(SHARES)
    rows = read_table(path.with_name("differences.tsv"))
    assert [row["verdict"] for row in rows] == [held["verdict"] for held in facts["effects"]]


def test_a_run_that_was_interrupted_goes_on_to_the_same_bits(
    finished, tmp_path, monkeypatch
) -> None:
    from medvision.errors import StoppedError

    study = make(tmp_path, ablation={"gate": "ignore"})
    fit, done = _ablation_fit.fit_seed, []

    def stop_at_third(*args, **kwargs):
        if len(done) == 3:
            raise StoppedError("ablation: run must be left to end, it was asked to stop.")
        done.append(1)
        return fit(*args, **kwargs)

    monkeypatch.setattr(_ablation_fit, "fit_seed", stop_at_third)
    assert ablate(study, 0.5).exit_code == 75
    assert not (folder(study, 0.5) / "predictions.tsv").exists()
    monkeypatch.setattr(_ablation_fit, "fit_seed", fit)
    assert ablate(study, 0.5).exit_code == 0
    for name in ("predictions", "trainings", "subsets", "gates"):
        own, other = (folder(held, 0.5) / f"{name}.tsv" for held in (study, finished))
        assert own.read_bytes() == other.read_bytes()
    assert not (folder(study, 0.5) / "resume").exists()


def test_a_share_with_too_few_subjects_adds_nothing_and_says_so(tmp_path) -> None:
    study = make(
        tmp_path,
        gan={"minimum_subjects": 5},
        ablation={"shares": (0.5,), "seeds": (0,), "folds": "first"},
    )
    run_all(study)
    rows = {row["variant"]: row for row in read(study, 0.5, "trainings")}
    assert rows["gan"]["n_added"] == "0"
    assert "too few subjects" in rows["gan"]["reason"]
    path = Layout(study.output.path).step("ablation") / "ablation.json"
    facts = json.loads(path.read_text())
    assert facts["sentences"][0].startswith("No synthetic image was added in any of 2 trainings")
    verdicts = {held["added"]: held["verdict"] for held in facts["effects"]}
    assert verdicts["gan"] == verdicts["both"] == "none-added"


@pytest.mark.parametrize(
    ("share", "fold", "rule"),
    [(0.3, 0, "one of ablation.shares, 0.5, 1, got 0.3"), (0.5, 7, "one of the ablation's, got 7")],
)
def test_what_is_not_of_the_ablation_is_refused(finished, share, fold, rule: str) -> None:
    result = ablate(finished, share, fold)
    assert result.exit_code != 0
    assert rule in result.output


def test_without_a_generator_there_is_no_ablation(tmp_path) -> None:
    result = ablate(make(tmp_path, gan={"generator": "none"}), 0.5)
    assert result.exit_code != 0
    assert "synthesise.generator" in result.output
