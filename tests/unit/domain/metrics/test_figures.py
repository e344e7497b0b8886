"""Every figure of a classification against scikit-learn, on the data and on resamples."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from predicted import SETTINGS, draw_binary, make_multiclass_rows, make_rows
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    precision_score,
    roc_auc_score,
)

from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.outcomes import compute_f1, compute_mcc, compute_predictive_values
from medvision.domain.metrics.weighted import compute_average_precision, compute_micro_auc
from medvision.errors import ConfigError

BINARY, THREE = Classes(("no", "yes"), "yes"), Classes(("a", "b", "c"), None)


def evaluate(rows, classes=BINARY, **changes):
    settings = replace(SETTINGS, **changes)
    return evaluate_predictions(rows, {}, classes=classes, settings=settings, variables={})


def find(result, metric):
    (found,) = [e for e in result.estimates if e.metric == metric]
    return found


def make_study(n=90, seed=1, n_folds=1):
    rows = []
    for split, offset in (("test", 0), ("validation", 50)):
        scores, labels, folds = draw_binary(n, seed=seed + offset, n_folds=n_folds)
        rows += make_rows(scores, labels, folds=folds, split=split)
    return rows


def read(rows):
    test = [row for row in rows if row["split"] == "test"]
    return (
        np.array([row["label"] == "yes" for row in test]),
        np.array([float(row["probability_yes"]) for row in test]),
    )


def test_figures_of_two_classes_are_scikit_learns():
    rows = make_study()
    result, (truth, shares) = evaluate(rows), read(rows)
    told = shares >= result.thresholds[0].threshold.value
    wanted = {
        "average_precision": average_precision_score(truth, shares),
        "ppv": precision_score(truth, told),
        "npv": precision_score(~truth, ~told),
        "f1": f1_score(truth, told),
        "mcc": matthews_corrcoef(truth, told),
        "log_loss": log_loss(truth, shares),
    }
    for metric, value in wanted.items():
        found = find(result, metric)
        assert found.value == pytest.approx(value, rel=1e-7), metric
        assert found.low < found.value < found.high
        assert (found.n_images, found.n_subjects, found.n_positive) == (90, 90, truth.sum())
    assert f"own prevalence of {truth.mean():.3g}" in find(result, "ppv").method


def test_figures_of_three_classes_are_scikit_learns():
    rng = np.random.default_rng(7)
    truth = np.arange(90) % 3
    labels = ["abc"[n] for n in truth]
    logits = rng.normal(size=(90, 3)) + 1.5 * np.eye(3)[truth]
    rows = make_multiclass_rows(logits, labels, split="test")
    result = evaluate(rows, THREE)
    scores = np.array([[float(row[f"probability_{name}"]) for name in "abc"] for row in rows])
    told, hot = scores.argmax(axis=1), np.eye(3)[truth]
    wanted = {
        "auc_micro": roc_auc_score(hot, scores, average="micro"),
        "average_precision_macro": average_precision_score(hot, scores, average="macro"),
        "f1_macro": f1_score(truth, told, average="macro"),
        "mcc": matthews_corrcoef(truth, told),
        "log_loss": log_loss(truth, scores),
        "average_precision_b": average_precision_score(hot[:, 1], scores[:, 1]),
        "ppv_c": precision_score(truth == 2, told == 2),
        "npv_a": precision_score(truth != 0, told != 0),
        "f1_b": f1_score(truth == 1, told == 1),
    }
    for metric, value in wanted.items():
        assert find(result, metric).value == pytest.approx(value, rel=1e-7), metric
    assert find(result, "ppv_c").n_positive == 30
    assert find(result, "auc_micro").n_positive is None


weighted = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(weighted)
def test_weights_are_copies_of_images(rng):
    """Oracle: scikit-learn on the images repeated as often as each weight says."""
    n = int(rng.integers(4, 30))
    labels, told = rng.integers(0, 3, n), rng.integers(0, 3, n)
    scores = rng.integers(-2, 3, (n, 3)).astype(float)
    weights = rng.integers(0, 3, (1, n)).astype(float)
    rows = np.repeat(np.arange(n), weights[0].astype(int))
    one, true = told[rows] == 1, labels[rows] == 1
    folds = np.zeros(n, dtype=np.intp)
    if not 0 < true.sum() < len(rows):
        return
    found = compute_average_precision(scores[:, 1], labels == 1, folds=folds, weights=weights)
    assert found[0] == pytest.approx(average_precision_score(true, scores[rows, 1]))
    f1 = compute_f1(told == 1, labels == 1, weights=weights)[0]
    assert f1 == pytest.approx(f1_score(true, one))
    ppv, _ = compute_predictive_values(told == 1, labels == 1, weights=weights, prevalence=None)
    assert ppv[0] == pytest.approx(precision_score(true, one, zero_division=np.nan), nan_ok=True)
    mcc = compute_mcc(told, labels, n_classes=3, weights=weights)[0]
    if len(set(told[rows])) == 1 or len(set(labels[rows])) == 1:
        assert np.isnan(mcc)
    else:
        assert mcc == pytest.approx(matthews_corrcoef(labels[rows], told[rows]), abs=1e-12)
    micro = compute_micro_auc(scores, labels, folds=folds, weights=weights)[0]
    hot = np.eye(3)[labels[rows]]
    assert micro == pytest.approx(roc_auc_score(hot.ravel(), scores[rows].ravel()))


def test_average_precision_ranks_within_a_fold():
    """The planted fault: a fold whose scores are all higher must not change the figure."""
    rows = make_study(n_folds=3)
    lifted = [
        row | {"logit_yes": str(float(row["logit_yes"]) + 9 * int(row["part"]))} for row in rows
    ]
    plain, other = (find(evaluate(held), "average_precision") for held in (rows, lifted))
    assert other.value == pytest.approx(plain.value)
    truth, shares = read(rows)
    parts = np.array([int(row["part"]) for row in rows if row["split"] == "test"])
    found = [average_precision_score(truth[parts == p], shares[parts == p]) for p in range(3)]
    counts = [truth[parts == p].sum() for p in range(3)]
    assert plain.value == pytest.approx(np.average(found, weights=counts))


def test_predictive_values_at_a_prevalence_follow_a_published_example():
    """Altman and Bland 1994, liver scans: 231 of 258 ill and 54 of 86 well are told so.

    Their values are 231/263 = 0.88 and 54/81 = 0.67; at 0.25 Bayes' rule is worked by hand.
    """
    truth = np.repeat([True, True, False, False], [231, 27, 54, 32])
    told = np.repeat([True, False, False, True], [231, 27, 54, 32])
    weights = np.ones((1, len(truth)))
    ppv, npv = compute_predictive_values(told, truth, weights=weights, prevalence=None)
    assert (round(ppv[0], 2), round(npv[0], 2)) == (0.88, 0.67)
    ppv, npv = compute_predictive_values(told, truth, weights=weights, prevalence=0.25)
    hits, passes = 231 / 258 * 0.25, 54 / 86 * 0.75
    assert ppv[0] == pytest.approx(hits / (hits + 32 / 86 * 0.75))
    assert npv[0] == pytest.approx(passes / (passes + 27 / 258 * 0.25))


def test_a_given_prevalence_changes_predictive_values_alone_and_is_said():
    rows = make_study()
    plain, rare = evaluate(rows), evaluate(rows, prevalence=0.02)
    for metric in ("auc", "f1", "mcc", "sensitivity"):
        assert find(plain, metric) == find(rare, metric)
    assert find(rare, "ppv").value < 0.5 * find(plain, "ppv").value
    assert find(rare, "npv").value > find(plain, "npv").value
    assert "Bayes' rule at the given prevalence of 0.02" in find(rare, "ppv").method


def test_an_operating_point_of_many_classes_is_refused():
    rows = make_multiclass_rows(np.eye(3), list("abc"), split="test")
    with pytest.raises(ConfigError, match="must be youden for 3 classes, got cost"):
        evaluate(rows, THREE, operating_point="cost")


def test_duplicating_each_subjects_rows_narrows_no_interval():
    """The planted fault, of every figure: copies are no evidence."""
    scores, labels, _ = draw_binary(60, seed=2)
    subjects = [f"s{n}" for n in range(60)]
    validation = make_rows(scores, labels, split="validation")
    once = evaluate([*make_rows(scores, labels, subjects=subjects), *validation])
    copied = make_rows(scores * 3, labels * 3, subjects=subjects * 3)
    threefold = evaluate([*copied, *validation])
    for plain, repeated in zip(once.estimates, threefold.estimates, strict=True):
        assert repeated.value == pytest.approx(plain.value), plain.metric
        assert (repeated.low, repeated.high) == pytest.approx((plain.low, plain.high))


def test_one_class_in_test_leaves_its_figures_undefined_with_the_reason():
    result = evaluate(make_rows([0.1, 0.2, -0.3], ["no"] * 3))
    for metric in ("average_precision", "ppv", "npv", "f1", "mcc"):
        found = find(result, metric)
        assert (found.value, found.low, found.high) == (None, None, None)
        assert found.reason == "undefined: no test image is of class yes"
    assert find(result, "log_loss").value is not None


def test_constant_predictions_have_no_predictive_value_of_what_is_never_predicted():
    result = evaluate(make_rows([-1.0] * 8, ["yes", "no"] * 4))
    assert find(result, "ppv").reason.startswith("undefined: no test image is predicted positive")
    assert find(result, "npv").value == 0.5
    assert find(result, "mcc").reason.startswith("undefined: one of the networks predicts one")
    assert find(result, "f1").value == 0.0
    assert find(result, "average_precision").value == 0.5


def test_a_perfect_score_claims_no_certainty():
    scores, labels = [-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0], ["no"] * 4 + ["yes"] * 4
    result = evaluate([*make_rows(scores, labels), *make_rows(scores, labels, split="validation")])
    for metric in ("average_precision", "f1", "mcc"):
        found = find(result, metric)
        assert (found.value, found.low, found.high) == (1.0, None, None)
        assert found.method.endswith("no interval: every resample agrees")
    # Wilson's lower limit of 4 of 4.
    assert find(result, "ppv").low == pytest.approx(0.5101, abs=5e-5)


def draw_cautious(n_told):
    """Return forty images of which a few, the first, are predicted positive."""
    rng = np.random.default_rng(3)
    scores = [*[3.0] * n_told, *(rng.random(40 - n_told) - 2).tolist()]
    return make_rows(scores, ["yes" if n % 3 == 0 else "no" for n in range(40)])


def test_a_few_resamples_without_a_value_are_left_out_and_counted():
    found = find(evaluate(draw_cautious(4)), "mcc")
    assert "of them left out as undefined" in found.method
    assert found.low < found.value < found.high


def test_many_resamples_without_a_value_leave_no_interval():
    """The planted fault: with the third of them left out, the interval would begin at the value."""
    found = find(evaluate(draw_cautious(1)), "mcc")
    assert (found.low, found.high) == (None, None)
    assert "no interval: undefined on" in found.method
    assert "Wilson's with 1 subjects" in find(evaluate(draw_cautious(1)), "ppv").method
