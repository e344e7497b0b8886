"""The evaluation as a whole: oracles, planted faults, and results that are undefined."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from predicted import SETTINGS, Row, draw_binary, make_multiclass_rows, make_rows
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    recall_score,
    roc_auc_score,
)

from medvision.domain.evaluation.classes import Evaluation, evaluate_predictions
from medvision.domain.evaluation.estimate import Estimate
from medvision.domain.labels.rows import Classes
from medvision.errors import DataError

BINARY = Classes(("no", "yes"), "yes")


def evaluate(
    rows: Sequence[Row],
    groups: Mapping[str, str] | None = None,
    classes: Classes = BINARY,
    n_resamples: int = 500,
    **changes: object,
) -> Evaluation:
    return evaluate_predictions(
        rows,
        groups or {},
        classes=classes,
        settings=replace(SETTINGS, n_resamples=n_resamples, **changes),
        variables={},
    )


def find(result: Evaluation, metric: str, arm: str = "transfer") -> Estimate:
    (found,) = [e for e in result.estimates if (e.arm, e.metric) == (arm, metric)]
    return found


def width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def make_study(n_images: int = 120, seed: int = 1, arm: str = "transfer") -> list[Row]:
    """Return test and validation predictions of three folds."""
    rows = []
    for split, offset in (("test", 0), ("validation", 100)):
        scores, labels, folds = draw_binary(n_images, seed=seed + offset)
        rows += make_rows(scores, labels, folds=folds, split=split, arm=arm)
    return rows


def test_duplicating_each_subjects_rows_does_not_narrow_the_interval() -> None:
    """The planted fault: copies are no evidence."""
    scores, labels, _ = draw_binary(60, seed=2)
    subjects = [f"s{n}" for n in range(60)]
    validation = make_rows(scores, labels, split="validation")
    once = evaluate([*make_rows(scores, labels, subjects=subjects), *validation])
    copied = make_rows(scores * 4, labels * 4, subjects=subjects * 4)
    fourfold = evaluate([*copied, *validation])
    for metric in ("auc", "balanced_accuracy", "sensitivity", "specificity", "brier"):
        plain, repeated = find(once, metric), find(fourfold, metric)
        assert repeated.value == pytest.approx(plain.value)
        assert (repeated.low, repeated.high) == pytest.approx((plain.low, plain.high))
        assert (repeated.n_images, repeated.n_subjects) == (240, 60)
    by_row = evaluate([*make_rows(scores * 4, labels * 4), *validation])
    assert width(find(by_row, "auc")) < 0.7 * width(find(once, "auc"))


def test_subjects_joined_in_one_group_are_resampled_as_one() -> None:
    scores, labels, _ = draw_binary(60, seed=2)
    rows = make_rows(scores * 2, labels * 2)
    validation = make_rows(scores, labels, split="validation")
    groups = {row["image_id"]: f"g{n % 60}" for n, row in enumerate(rows)}
    joined, apart = evaluate([*rows, *validation], groups), evaluate([*rows, *validation])
    assert width(find(joined, "auc")) > 1.2 * width(find(apart, "auc"))
    assert find(joined, "auc").n_subjects == 120
    assert joined.n_clusters == 60


def test_auc_is_of_scores_and_not_of_predicted_classes() -> None:
    """The planted fault: all are predicted negative, yet all are ranked rightly."""
    rows = make_rows([-3.0, -2.5, -2.0, -1.0], ["no", "no", "yes", "yes"])
    result = evaluate(rows)
    assert find(result, "auc").value == 1.0
    assert find(result, "sensitivity").value == 0.0


def test_the_threshold_comes_from_validation_alone() -> None:
    test = make_rows([-1.0, 0.5, 1.0, 4.0], ["no", "no", "yes", "yes"])
    validation = make_rows([1.5, 2.0, 3.0, 5.0], ["no", "no", "yes", "yes"], split="validation")
    result = evaluate([*test, *validation])
    (fixed,) = result.thresholds
    middle = (1 / (1 + np.exp(-2.0)) + 1 / (1 + np.exp(-3.0))) / 2
    assert fixed.threshold.value == pytest.approx(middle)
    assert find(result, "sensitivity").value == 0.5
    flipped = [row | {"label": {"no": "yes", "yes": "no"}[row["label"]]} for row in test]
    assert evaluate([*flipped, *validation]).thresholds == result.thresholds


def test_figures_at_the_threshold_are_scikit_learns() -> None:
    rows = make_study()
    result = evaluate(rows)
    limits = {item.fold: item.threshold.value for item in result.thresholds}
    test = [row for row in rows if row["split"] == "test"]
    truth = [row["label"] == "yes" for row in test]
    predicted = [float(row["probability_yes"]) >= limits[int(row["fold"])] for row in test]
    assert find(result, "sensitivity").value == pytest.approx(recall_score(truth, predicted))
    assert find(result, "balanced_accuracy").value == pytest.approx(
        balanced_accuracy_score(truth, predicted)
    )
    counts = [cell.n for cell in result.confusion]
    assert counts == confusion_matrix(truth, predicted).ravel().tolist()


def test_auc_over_folds_is_the_pair_weighted_mean_of_fold_aucs() -> None:
    rows = [row for row in make_study() if row["split"] == "test"]
    total = pairs = 0.0
    for fold in "012":
        truth = np.array([row["label"] == "yes" for row in rows if row["fold"] == fold])
        scores = [float(row["logit_yes"]) for row in rows if row["fold"] == fold]
        weight = truth.sum() * (~truth).sum()
        total, pairs = total + weight * roc_auc_score(truth, scores), pairs + weight
    assert find(evaluate(rows), "auc").value == pytest.approx(total / pairs)


def test_the_interval_is_that_of_a_slow_plain_bootstrap() -> None:
    """Subjects of two images each, drawn one by one, with scikit-learn on every resample."""
    rng = np.random.default_rng(6)
    subjects = [f"s{n // 2}" for n in range(80)]
    labels = ["yes" if n // 2 % 2 else "no" for n in range(80)]
    shared = np.repeat(rng.normal(size=40), 2)
    scores = (shared + 0.3 * rng.normal(size=80) + np.array([x == "yes" for x in labels])).tolist()
    rows = make_rows(scores, labels, subjects=subjects)
    fast = find(evaluate(rows, n_resamples=4000, interval="percentile"), "auc")
    slow = []
    for _ in range(1000):
        drawn = []
        for own in ("yes", "no"):
            pool = sorted({s for s, label in zip(subjects, labels, strict=True) if label == own})
            drawn += rng.choice(pool, size=len(pool)).tolist()
        rows = [n for s in drawn for n in range(80) if subjects[n] == s]
        slow.append(roc_auc_score([labels[n] == "yes" for n in rows], [scores[n] for n in rows]))
    low, high = np.quantile(slow, [0.025, 0.975])
    assert fast.low == pytest.approx(low, abs=0.02)
    assert fast.high == pytest.approx(high, abs=0.02)


def test_several_seeds_are_averaged_on_the_same_resamples() -> None:
    scores, labels, _ = draw_binary(60, seed=3)
    other, _, _ = draw_binary(60, seed=4)
    alone = [evaluate(make_rows(s, labels)) for s in (scores, other)]
    both = evaluate([*make_rows(scores, labels), *make_rows(other, labels, seed=1)])
    means = np.mean([find(each, "auc").value for each in alone])
    assert find(both, "auc").value == pytest.approx(means)
    assert "mean over 2 seeds" in find(both, "auc").method
    assert both.seeds == (0, 1)
    assert both.calibration["transfer"][0].n <= 60


def test_the_difference_is_paired_and_narrower_than_two_intervals() -> None:
    scores, labels, _ = draw_binary(100, seed=5)
    noise = np.random.default_rng(0).normal(scale=0.2, size=100)
    rows = [
        *make_rows(scores, labels),
        *make_rows((np.array(scores) + noise).tolist(), labels, arm="scratch"),
    ]
    result = evaluate(rows)
    (auc,) = [d for d in result.differences if d.metric == "auc"]
    assert (auc.arm_a, auc.arm_b) == ("transfer", "scratch")
    gap = find(result, "auc").value - find(result, "auc", "scratch").value
    assert auc.difference == pytest.approx(gap)
    assert auc.high - auc.low < 0.5 * width(find(result, "auc"))


def test_two_equal_arms_have_no_interval_and_say_so() -> None:
    scores, labels, _ = draw_binary(40, seed=5)
    result = evaluate([*make_rows(scores, labels), *make_rows(scores, labels, arm="scratch")])
    (auc,) = [d for d in result.differences if d.metric == "auc"]
    assert (auc.difference, auc.low, auc.high) == (0.0, None, None)
    assert "every resample gives the same difference" in auc.method


def test_one_class_in_test_is_undefined_and_says_so() -> None:
    result = evaluate(make_rows([0.1, 0.2, 0.3], ["no", "no", "no"]))
    for metric in ("auc", "balanced_accuracy", "sensitivity"):
        estimate = find(result, metric)
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
        assert estimate.reason == "undefined: no test image is of class yes"
    assert find(result, "specificity").value == 0.0
    assert "(0.5 for 1 of 1)" in find(result, "specificity").method
    assert result.thresholds[0].threshold.rule == "0.5, no validation predictions"
    assert find(result, "brier").value is not None
    assert len(result.curves["transfer"]) == 0


def test_classes_in_separate_folds_make_no_pair() -> None:
    rows = make_rows([1.0, 2.0, 0.0, 0.5], ["yes", "yes", "no", "no"], folds=[0, 0, 1, 1])
    assert find(evaluate(rows), "auc").reason == (
        "undefined: no fold has test images of both classes"
    )


def test_constant_predictions_are_one_half_by_ties_and_say_so() -> None:
    result = evaluate(make_rows([0.3] * 8, ["yes", "no"] * 4))
    auc = find(result, "auc")
    assert (auc.value, auc.low, auc.high) == (0.5, None, None)
    assert "0.5 by the definition of ties" in auc.method


def test_a_perfect_score_claims_no_certainty() -> None:
    """Resampling eight rightly ranked subjects can only say 1 to 1."""
    scores, labels = [-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0], ["no"] * 4 + ["yes"] * 4
    result = evaluate([*make_rows(scores, labels), *make_rows(scores, labels, split="validation")])
    for metric in ("auc", "sensitivity", "specificity", "balanced_accuracy"):
        estimate = find(result, metric)
        assert estimate.value == 1.0
        assert estimate.high == 1.0
        # Wilson's lower limit of 4 of 4.
        assert estimate.low == pytest.approx(0.5101, abs=5e-5)
        assert "every resample agrees" in estimate.method


def test_three_classes_are_macro_averaged_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(7)
    labels = ["abc"[n % 3] for n in range(90)]
    logits = rng.normal(size=(90, 3)) + 1.5 * np.eye(3)[[n % 3 for n in range(90)]]
    rows = make_multiclass_rows(logits, labels, split="test")
    result = evaluate(rows, classes=Classes(("a", "b", "c"), None))
    scores = [[float(row[f"probability_{name}"]) for name in "abc"] for row in rows]
    assert find(result, "auc_macro").value == pytest.approx(
        roc_auc_score(labels, scores, multi_class="ovr", average="macro"), abs=1e-9
    )
    predicted = ["abc"[n] for n in logits.argmax(axis=1)]
    assert find(result, "balanced_accuracy").value == pytest.approx(
        balanced_accuracy_score(labels, predicted)
    )
    recalls = recall_score(labels, predicted, average=None)
    for name, recall in zip("abc", recalls, strict=True):
        assert find(result, f"sensitivity_{name}").value == pytest.approx(recall)
        assert find(result, f"sensitivity_{name}").n_positive == 30
    assert result.thresholds == ()
    curve = result.curves["transfer"]
    assert np.trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(
        find(result, "auc_macro").value, abs=1e-9
    )


def test_predictions_that_cannot_be_compared_are_refused() -> None:
    validation = make_rows([0.1, 0.2], ["yes", "no"], split="validation")
    with pytest.raises(DataError, match="test images must be predicted, got none"):
        evaluate(validation)
    seeds = [
        *make_rows([0.1, 0.2], ["yes", "no"]),
        *make_rows([0.1, 0.2], ["yes", "no"], arm="scratch", seed=1),
    ]
    with pytest.raises(DataError, match="same seeds"):
        evaluate(seeds)


@pytest.mark.slow
def test_the_interval_covers_the_truth_in_clustered_data() -> None:
    """AUC of two normals one standard deviation apart is 0.7602; three images a subject."""
    truth, covered, naive = 0.760250, 0, 0
    rng = np.random.default_rng(12)
    for _ in range(200):
        sick = np.arange(60) % 2 == 1
        own = rng.normal(size=60) + sick
        noise = rng.normal(size=(60, 3)) * 0.1
        scores = (np.sqrt(0.99) * (own[:, None] - sick[:, None]) + noise + sick[:, None]).ravel()
        labels = np.where(np.repeat(sick, 3), "yes", "no").tolist()
        subjects = [f"s{n // 3}" for n in range(180)]
        by_subject = evaluate(make_rows(scores.tolist(), labels, subjects=subjects))
        by_row = evaluate(make_rows(scores.tolist(), labels))
        covered += find(by_subject, "auc").low <= truth <= find(by_subject, "auc").high
        naive += find(by_row, "auc").low <= truth <= find(by_row, "auc").high
    assert 0.90 <= covered / 200 <= 0.985
    assert naive / 200 < 0.80


def test_two_thousand_resamples_of_ten_thousand_predictions_take_seconds() -> None:
    scores, labels, folds = draw_binary(10_000, seed=1)
    rows = make_rows(scores, labels, folds=folds)
    start = time.process_time()
    evaluate(rows, n_resamples=2000)
    assert time.process_time() - start < 30


def repeat_rows(rows: Sequence[Row], n: int, *, column: str = "repeat") -> list[Row]:
    """Return the same predictions as those of n repeats, or inner trainings."""
    n_folds = len({row["fold"] for row in rows})
    return [
        row | {column: str(k), "fold": str(int(row["fold"]) + k * n_folds)}
        for k in range(n)
        for row in rows
    ]


@pytest.mark.parametrize("column", ["repeat", "inner"])
def test_duplicating_repeats_or_trainings_does_not_narrow_the_interval(column: str) -> None:
    """The planted fault: a subject tested again is no further subject."""
    once = evaluate(make_study())
    many = evaluate(repeat_rows(make_study(), 5, column=column))
    assert (many.n_images, many.n_subjects, many.n_clusters) == (120, 120, 120)
    for plain, repeated in zip(once.estimates, many.estimates, strict=True):
        assert repeated.value == pytest.approx(plain.value)
        assert (repeated.low, repeated.high) == pytest.approx((plain.low, plain.high))
        assert (repeated.n_images, repeated.n_subjects) == (plain.n_images, plain.n_subjects)
    what = "5 repeats" if column == "repeat" else "5 trainings of each part"
    assert f"mean over {what}" in find(many, "auc").method
    assert len(many.thresholds) == 15
    pooled = [
        row
        | {
            "image_id": f"{row['image_id']}-{row['fold']}",
            "subject": row["image_id"] + row["fold"],
            "repeat": "0",
            "part": row["fold"],
        }
        for row in repeat_rows(make_study(), 5)
    ]
    assert width(find(evaluate(pooled), "auc")) < 0.7 * width(find(once, "auc"))


def test_repeats_with_other_parts_are_averaged_each_within_its_own_parts() -> None:
    rows, other = make_study(), []
    for row in make_study(seed=7):
        part = str((int(row["image_id"][-4:]) // 3) % 3)
        other.append(row | {"repeat": "1", "part": part, "fold": str(3 + int(part))})
    labels = {row["image_id"]: row["label"] for row in rows}
    other = [row | {"label": labels[row["image_id"]]} for row in other]
    areas = []
    for held in (rows, other):
        won = pairs = 0.0
        test = [row for row in held if row["split"] == "test"]
        for a in test:
            for b in test:
                if a["part"] == b["part"] and (a["label"], b["label"]) == ("yes", "no"):
                    x, y = float(a["logit_yes"]), float(b["logit_yes"])
                    won += (x > y) + (x == y) / 2
                    pairs += 1
        areas.append(won / pairs)
    found = find(evaluate([*rows, *other]), "auc")
    assert found.value == pytest.approx(np.mean(areas))
    assert found.n_subjects == 120


def test_trainings_that_test_one_held_out_set_are_replicates() -> None:
    """Three trainings of part 0: their scores are averaged as statistics, never pooled."""
    rows, areas = [], []
    labels = draw_binary(40, seed=1)[1]
    for inner in range(3):
        scores = draw_binary(40, seed=1 + inner)[0]
        made = make_rows(scores, labels, folds=[inner] * 40)
        rows += [row | {"inner": str(inner), "part": "0"} for row in made]
        areas.append(roc_auc_score([label == "yes" for label in labels], scores))
    result = evaluate(rows)
    assert find(result, "auc").value == pytest.approx(np.mean(areas))
    assert (result.n_subjects, result.n_folds, result.n_inner) == (40, 1, 3)


def test_parts_that_differ_between_arms_of_a_repeat_are_refused() -> None:
    moved = [
        row | {"part": str((int(row["part"]) + int(row["image_id"][-1]) % 2) % 3)}
        for row in make_study(arm="scratch")
    ]
    with pytest.raises(DataError, match="in the same parts"):
        evaluate([*make_study(), *moved])
