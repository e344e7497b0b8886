"""Figures that owe to the shares of the classes have intervals of other shares too."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from predicted import SETTINGS, make_multiclass_rows, make_rows

from medvision.domain.evaluation.classes import build_test, evaluate_predictions
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.figures import compute_statistics
from medvision.domain.metrics.threshold import BY_YOUDEN
from medvision.domain.resampling.draws import draw_statistics, find_ends

BINARY = Classes(("no", "yes"), "yes")
N_IMAGES = 300


def draw_odds(seed=0):
    rng = np.random.default_rng(seed)
    odds = 1.5 * rng.normal(size=N_IMAGES) - 0.8
    return odds, rng.random(N_IMAGES) < 1 / (1 + np.exp(-odds))


def to_rows(odds, truth, split="test"):
    return make_rows(odds, ["yes" if held else "no" for held in truth], split=split)


def evaluate(rows, classes=BINARY, **changes):
    settings = replace(SETTINGS, n_resamples=1000, **changes)
    return evaluate_predictions(rows, {}, classes=classes, settings=settings, variables={})


def figures(result):
    return {item.metric: item for item in result.estimates}


def width(item):
    return item.high - item.low


def test_the_intercept_has_the_interval_of_normal_theory():
    """Closed form: its variance is one over the sum of p (1 - p)."""
    odds, truth = draw_odds()
    found = figures(evaluate(to_rows(odds, truth)))["calibration_intercept"]
    shares = 1 / (1 + np.exp(-odds - found.value))
    assert width(found) == pytest.approx(3.92 / np.sqrt((shares * (1 - shares)).sum()), rel=0.12)


def test_predictive_values_at_the_images_own_share_have_the_interval_of_a_proportion():
    odds, truth = draw_odds(1)
    found = figures(evaluate([*to_rows(odds, truth), *to_rows(odds, truth, "validation")]))
    result = evaluate([*to_rows(odds, truth), *to_rows(odds, truth, "validation")])
    limit = result.thresholds[0].threshold.value
    told = 1 / (1 + np.exp(-odds)) >= limit
    for name, n in (("ppv", told.sum()), ("npv", (~told).sum())):
        value = found[name].value
        assert width(found[name]) == pytest.approx(
            3.92 * np.sqrt(value * (1 - value) / n), rel=0.12
        )


@pytest.mark.parametrize("metric", ["calibration_intercept", "ppv", "npv"])
def test_resamples_that_hold_the_shares_would_be_too_narrow(metric):
    """The planted fault that the two tests above are there to find."""
    odds, truth = draw_odds(2)
    rows = [*to_rows(odds, truth), *to_rows(odds, truth, "validation")]
    arm = build_test(rows, {}, classes=BINARY, rule=BY_YOUDEN).arms["transfer"]
    held = draw_statistics(
        {"arm": partial(compute_statistics, arm)},
        arm.clusters,
        folds=arm.folds,
        labels=arm.labels,
        settings=replace(SETTINGS, n_resamples=1000),
    )
    low, high, _ = find_ends(held.arms["arm"][metric], held)
    assert high - low < 0.85 * width(figures(evaluate(rows))[metric])


def test_the_method_says_what_each_resample_keeps():
    odds, truth = draw_odds(3)
    found = figures(evaluate(to_rows(odds, truth)))
    for name in ("auc", "sensitivity", "specificity"):
        assert found[name].method.endswith("within fold and class")
    free = ("average_precision", "ppv", "npv", "f1", "mcc", "brier", "log_loss", "ece")
    for name in (*free, "calibration_slope", "calibration_intercept"):
        assert found[name].method.endswith("subjects within fold")


def test_at_a_given_prevalence_the_share_of_the_images_has_no_part():
    odds, truth = draw_odds(3)
    found = figures(evaluate(to_rows(odds, truth), prevalence=0.1))
    for name in ("ppv", "npv"):
        assert found[name].method.endswith("within fold and class")


def test_constant_probabilities_have_errors_that_are_not_known_for_certain():
    _, truth = draw_odds(4)
    found = figures(evaluate(to_rows(np.full(N_IMAGES, -1.2), truth)))
    for name in ("brier", "log_loss", "calibration_intercept", "average_precision"):
        assert width(found[name]) > 0
    assert (found["auc"].low, found["auc"].value, found["auc"].high) == (None, 0.5, None)


def test_acting_on_all_and_acting_on_few_have_the_uncertainty_of_the_share():
    """At 0.05 all are acted on here: net benefit is share - (1 - share) / 19."""
    odds, truth = draw_odds(5)
    point = evaluate(to_rows(np.maximum(odds, -2.5), truth)).decision[0]
    share = truth.mean()
    assert point.net_benefit == pytest.approx(point.treat_all)
    wanted = 3.92 * np.sqrt(share * (1 - share) / N_IMAGES) * (1 + 0.05 / 0.95)
    assert point.high - point.low == pytest.approx(wanted, rel=0.1)
    given = evaluate(to_rows(np.maximum(odds, -2.5), truth), prevalence=0.2).decision[0]
    assert (given.low, given.high) == (None, None)


def test_with_several_classes_the_same_figures_are_resampled_within_fold():
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 3, 150)
    logits = rng.normal(size=(150, 3)) + np.eye(3)[labels]
    rows = make_multiclass_rows(logits, ["abc"[n] for n in labels], split="test")
    found = figures(evaluate(rows, Classes(("a", "b", "c"), None)))
    held = {name for name, item in found.items() if item.method.endswith("within fold and class")}
    kinds = ("auc", "sensitivity", "specificity")
    assert held == {
        *("auc_macro", "balanced_accuracy", "specificity_macro"),
        *(f"{kind}_{name}" for kind in kinds for name in "abc"),
    }
