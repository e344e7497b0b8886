"""The external column: what it is made of, what moves it, and what must not."""

from typing import Any

import numpy as np
import pytest
from predicted import SETTINGS, Row, draw_binary, make_rows
from sklearn.metrics import brier_score_loss, roc_auc_score

from medvision.cli._evaluated.external import evaluate
from medvision.cli._evaluated.figures import Known
from medvision.config.evaluate import EvaluateSection
from medvision.domain.evaluation.external import part_rows, subtract_unpaired
from medvision.domain.evaluation.pairing import compare_studies
from medvision.domain.evaluation.sharing import StudyTest
from medvision.domain.labels.findings import name_findings
from medvision.domain.labels.rows import Classes
from medvision.domain.resampling.draws import Draws

BINARY = Classes(("no", "yes"), "yes")
N_FOLDS, N_EXTERNAL = 3, 40


def draw_external(*, seed: int = 7, n_seeds: int = 1) -> list[Row]:
    """Every training's predictions of the same images, each training's its own."""
    _, labels, _ = draw_binary(N_EXTERNAL, seed=seed)
    subjects = [f"other-{n // 2}" for n in range(N_EXTERNAL)]
    rng, rows = np.random.default_rng(seed), []
    for arm, effect in (("transfer", 0.8), ("scratch", 0.2)):
        for fold in range(N_FOLDS):
            for number in range(n_seeds):
                odds = rng.normal(size=N_EXTERNAL) + effect * (np.array(labels) == "yes")
                rows += make_rows(
                    odds.tolist(),
                    labels,
                    folds=[fold] * N_EXTERNAL,
                    subjects=subjects,
                    split="external",
                    arm=arm,
                    seed=number,
                )
    return rows


def draw_internal(*, seed: int = 1, n_seeds: int = 1) -> list[Row]:
    rows = []
    for arm, effect in (("transfer", 1.0), ("scratch", 0.3)):
        for split, shift in (("test", 0), ("validation", 1)):
            for number in range(n_seeds):
                _, labels, folds = draw_binary(60, seed=seed + shift)
                noise = draw_binary(60, seed=seed + shift + 10 * number, effect=0)[0]
                odds = np.array(noise) + effect * (2 * (np.array(labels) == "yes") - 1)
                rows += make_rows(
                    odds.tolist(), labels, folds=folds, split=split, arm=arm, seed=number
                )
    return rows


INTERNAL, EXTERNAL = draw_internal(), draw_external()


def run(rows: list[Row], classes: Classes = BINARY, **settings: Any):
    section = EvaluateSection(**{"n_resamples": 200, **settings})
    return evaluate(rows, Known({}, classes, {}), section=section)


BOTH = run([*INTERNAL, *EXTERNAL])
SECOND: Any = BOTH.facts["external"]


def own(result) -> dict[str, Any]:
    return {name: value for name, value in result.facts.items() if name != "external"}


def test_the_internal_column_is_bit_equal_with_and_without_an_external_cohort() -> None:
    alone = run(INTERNAL)
    assert own(BOTH) == alone.facts
    assert {name: BOTH.tables[name] for name in alone.tables} == dict(alone.tables)
    assert "external" not in alone.facts
    assert not [name for name in alone.tables if "external" in name or name == "cohorts"]


def test_other_external_labels_move_the_external_column_and_no_threshold() -> None:
    flip = {"yes": "no", "no": "yes"}
    flipped = run([*INTERNAL, *({**row, "label": flip[row["label"]]} for row in EXTERNAL)])
    assert own(flipped) == own(BOTH)
    held: Any = flipped.facts["external"]
    for arm in ("transfer", "scratch"):
        assert held["arms"][arm]["thresholds"] == SECOND["arms"][arm]["thresholds"]
        first, second = (facts["arms"][arm]["metrics"]["auc"]["value"] for facts in (SECOND, held))
        assert first + second == pytest.approx(1)


def test_other_internal_test_images_leave_the_external_column_as_it_is() -> None:
    others = [row for row in draw_internal(seed=50) if row["split"] == "test"]
    validation = [row for row in INTERNAL if row["split"] == "validation"]
    held: Any = run([*others, *validation, *EXTERNAL]).facts["external"]
    assert {**held, "gaps": None} == {**SECOND, "gaps": None}
    assert held["gaps"] != SECOND["gaps"]


def test_thresholds_are_those_of_internal_validation_and_other_ones_would_show() -> None:
    for arm in ("transfer", "scratch"):
        internal: Any = BOTH.facts["arms"]
        assert SECOND["arms"][arm]["thresholds"] == internal[arm]["thresholds"]
    # The planted fault: thresholds fitted on the external images themselves.
    cheat = [{**r, "split": "validation", "image_id": "v" + r["image_id"]} for r in EXTERNAL]
    tests = [row for row in INTERNAL if row["split"] == "test"]
    cheated: Any = run([*tests, *cheat, *EXTERNAL]).facts["external"]
    held, wanted = (
        f["arms"]["transfer"]["metrics"]["balanced_accuracy"] for f in (cheated, SECOND)
    )
    assert held["value"] > wanted["value"] + 0.01


def test_figures_are_the_mean_over_the_trainings_of_a_plain_computation() -> None:
    thresholds = {row["fold"]: row["threshold"] for row in SECOND["arms"]["transfer"]["thresholds"]}
    found = []
    for fold in range(N_FOLDS):
        rows = [r for r in EXTERNAL if (r["arm"], r["fold"]) == ("transfer", str(fold))]
        truth = np.array([row["label"] == "yes" for row in rows])
        odds = np.array([float(row["logit_yes"]) for row in rows])
        told = np.array([float(row["probability_yes"]) for row in rows])
        found.append(
            {
                "auc": roc_auc_score(truth, odds),
                # Over both classes, as the sum of squared errors of two probabilities.
                "brier": 2 * brier_score_loss(truth, told),
                "sensitivity": (told[truth] >= thresholds[fold]).mean(),
            }
        )
    metrics = SECOND["arms"]["transfer"]["metrics"]
    for name in ("auc", "sensitivity"):
        assert metrics[name]["value"] == pytest.approx(np.mean([each[name] for each in found]))
    assert metrics["brier"]["value"] in (
        pytest.approx(np.mean([each["brier"] for each in found])),
        pytest.approx(np.mean([each["brier"] for each in found]) / 2),
    )


def test_each_external_image_and_subject_counts_once() -> None:
    assert (SECOND["n_images"], SECOND["n_subjects"]) == (N_EXTERNAL, N_EXTERNAL // 2)
    for metric in SECOND["arms"]["transfer"]["metrics"].values():
        assert (metric["n_images"], metric["n_subjects"]) == (N_EXTERNAL, N_EXTERNAL // 2)
    assert SECOND["n_trainings"] == N_FOLDS
    bins = SECOND["arms"]["transfer"]["calibration"]
    assert all(held["n"] <= N_EXTERNAL and held["n_subjects"] <= N_EXTERNAL // 2 for held in bins)


def test_copies_of_each_external_subjects_rows_do_not_narrow_the_interval() -> None:
    doubled = [{**row, "image_id": f"{row['image_id']}-b"} for row in EXTERNAL]
    held: Any = run([*INTERNAL, *EXTERNAL, *doubled]).facts["external"]
    for name in ("auc", "brier"):
        once, twice = (f["arms"]["transfer"]["metrics"][name] for f in (SECOND, held))
        assert twice["value"] == pytest.approx(once["value"])
        assert twice["high"] - twice["low"] == pytest.approx(once["high"] - once["low"], rel=0.1)


def test_seeds_are_averaged_and_each_keeps_its_own_trainings() -> None:
    rows = [*draw_internal(n_seeds=2), *draw_external(n_seeds=2)]
    held: Any = run(rows).facts["external"]
    transfer = held["arms"]["transfer"]
    (seeds,) = [row for row in transfer["seeds"] if row["metric"] == "auc"]
    mean = (seeds["seed_0"] + seeds["seed_1"]) / 2
    assert transfer["metrics"]["auc"]["value"] == pytest.approx(mean)
    assert "mean over 2 seeds x 3 trainings" in transfer["metrics"]["auc"]["method"]


def test_words_of_folds_and_of_held_out_images_are_not_said_of_external_ones() -> None:
    texts = [m["method"] for arm in SECOND["arms"].values() for m in arm["metrics"].values()]
    texts += [str(row["method"]) for row in BOTH.tables["external-metrics"][0]]
    texts += [str(row["method"]) for row in BOTH.tables["external-comparison"][0]]
    texts += [str(row["method"]) for row in BOTH.tables["external-tests"][0]]
    texts += SECOND["sentences"]
    assert not [text for text in texts if "fold" in text or "test image" in text]
    assert not [text for text in SECOND["sentences"] if "held-out" in text]
    assert any("40 external images of 20 subjects" in text for text in SECOND["sentences"])


def test_the_two_columns_stand_side_by_side_with_their_difference() -> None:
    rows, columns = BOTH.tables["cohorts"]
    assert columns[2:4] == ("internal", "internal_low")
    internal: Any = BOTH.facts["arms"]
    for row in rows:
        first, second = (
            arms[row["arm"]]["metrics"][row["metric"]] for arms in (internal, SECOND["arms"])
        )
        assert (row["internal"], row["external"]) == (first["value"], second["value"])
        assert row["internal_n_subjects"] == first["n_subjects"]
        assert row["external_n_subjects"] == second["n_subjects"]
        assert row["difference"] == pytest.approx(first["value"] - second["value"])
        assert row["low"] <= row["difference"] <= row["high"]


def test_the_interval_of_the_difference_is_about_that_of_two_independent_samples() -> None:
    # A Brier score is a mean: the variances of two independent ones add up.
    (row,) = [
        row
        for row in run([*INTERNAL, *EXTERNAL], n_resamples=2000).tables["cohorts"][0]
        if (row["arm"], row["metric"]) == ("transfer", "brier")
    ]
    sides = [("internal_low", "internal_high"), ("external_low", "external_high"), ("low", "high")]
    first, second, both = (float(row[b]) - float(row[a]) for a, b in sides)  # type: ignore[arg-type]  # numbers
    assert both == pytest.approx(np.hypot(first, second), rel=0.12)
    assert both > max(first, second)


def test_left_out_subjects_of_both_cohorts_have_their_influence() -> None:
    one, two = np.array([0, 0, 1]), np.array([0, 1])
    a = Draws(0.9, np.array([0.8, 1.0]), np.array([0.85, 0.95, 0.9]), one, "fold")
    b = Draws(0.7, np.array([0.6, 0.9]), np.array([0.65, 0.75]), two, "fold")
    gap = subtract_unpaired(a, b)
    assert gap.value == pytest.approx(0.2)
    assert gap.replicates == pytest.approx([0.2, 0.1])
    assert gap.left_out == pytest.approx([0.15, 0.25, 0.2, 0.25, 0.15])
    assert gap.strata.tolist() == [0, 0, 1, 2, 3]


def test_one_class_outside_has_stated_reasons_and_no_difference() -> None:
    only = [row for row in EXTERNAL if row["label"] == "yes"]
    held: Any = run([*INTERNAL, *only]).facts["external"]
    auc = held["arms"]["transfer"]["metrics"]["auc"]
    assert auc["value"] is None
    assert auc["reason"] == "undefined: no external image is of class no"
    (gap,) = [g for g in held["gaps"] if (g["arm"], g["metric"]) == ("transfer", "auc")]
    assert (gap["difference"], gap["low"]) == (None, None)
    assert gap["method"].startswith("undefined")


def test_values_and_findings_have_an_external_column_too() -> None:
    rng = np.random.default_rng(3)
    for task, names in (("regression", ("age",)), ("multilabel", ("a", "b"))):
        rows = []
        for split, n_images, folds in (("test", 60, 1), ("validation", 60, 1), ("external", 30, 3)):
            labels = [_draw_label(task, rng) for _ in range(n_images)]
            for fold in range(folds):
                rows += [
                    _build_row(task, split, n, label=label, fold=fold, folds=folds, rng=rng)
                    for n, label in enumerate(labels)
                ]
        result = run(rows, Classes(names, None, task))
        held: Any = result.facts["external"]
        assert (held["n_images"], held["n_subjects"], held["n_trainings"]) == (30, 30, 3)
        gaps = {gap["metric"]: gap for gap in held["gaps"]}
        name = "mae" if task == "regression" else "auc_macro"
        wanted = held["arms"]["transfer"]["metrics"][name]["value"]
        assert gaps[name]["external"] == wanted
        assert gaps[name]["low"] < gaps[name]["difference"] < gaps[name]["high"]
        if task == "multilabel":
            assert {"auc_a", "auc_b"} <= set(gaps)
        internal = [row for row in rows if row["split"] != "external"]
        assert run(internal, Classes(names, None, task)).facts == own(result)


def _draw_label(task: str, rng: np.random.Generator) -> str:
    if task == "regression":
        return f"{rng.normal(60, 10):.3f}"
    return name_findings([name for name in "ab" if rng.random() < 0.5], [])


def _build_row(
    task: str, split: str, n: int, *, label: str, fold: int, folds: int, rng: np.random.Generator
) -> Row:
    # Internal images are tested once, so their fold follows from their number.
    place = str(fold if folds > 1 else n % 3)
    row = {
        "arm": "transfer",
        "fold": place,
        "part": place,
        "repeat": "0",
        "inner": "0",
        "seed": "0",
        "split": split,
        "image_id": f"{split}-{n}",
        "subject": f"{split}-s{n}",
        "label": label,
        "predicted": "",
    }
    if task == "regression":
        return row | {"predicted": f"{float(label) + rng.normal(0, 5):.4f}"}
    for name in "ab":
        odds = rng.normal() + (1.2 if name in label.split("|") else -0.4)
        row |= {
            f"logit_{name}": f"{odds:.9g}",
            f"probability_{name}": f"{1 / (1 + np.exp(-odds)):.9g}",
        }
    return row


def test_parted_rows_are_those_of_a_study_with_every_training_a_round() -> None:
    internal, external = part_rows([*INTERNAL, *EXTERNAL])
    assert internal == INTERNAL
    assert {row["split"] for row in external} == {"test", "validation"}
    assert {row["inner"] for row in external} == {"0", "1", "2"}
    assert {(row["repeat"], row["part"]) for row in external} == {("0", "0")}
    assert part_rows(INTERNAL) == (INTERNAL, [])


def test_two_studies_are_compared_on_internal_test_images_alone() -> None:
    def compare(rows: list[Row]):
        a, b = (StudyTest(name, rows, {}, BINARY) for name in "AB")
        return compare_studies(a, b, settings=SETTINGS)

    with_both, alone = compare([*INTERNAL, *EXTERNAL]), compare(INTERNAL)
    assert with_both.overlap == alone.overlap
    assert repr(with_both) == repr(alone)
