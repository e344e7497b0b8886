"""Calibration slope, intercept and error: scikit-learn, root finding and simulation."""

from dataclasses import replace

import numpy as np
import pytest
from predicted import SETTINGS, draw_binary, make_multiclass_rows, make_rows
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression

from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.miscalibration import (
    compute_calibration_intercept,
    compute_calibration_slope,
    compute_ece,
    expect_ece,
)


def share(odds):
    return 1 / (1 + np.exp(-odds))


def draw(n=400, seed=0, slope=1.0, intercept=0.0):
    rng = np.random.default_rng(seed)
    odds = 2 * rng.normal(size=n) - 0.5
    return odds, rng.random(n) < share(slope * odds + intercept)


@pytest.mark.parametrize("seed", range(8))
def test_slopes_on_resamples_are_scikit_learns_without_penalty(seed):
    odds, truth = draw(n=120, seed=seed, slope=0.3 + 0.3 * seed)
    weights = np.random.default_rng(seed).integers(0, 4, (5, 120)).astype(float)
    found = compute_calibration_slope(odds, truth, weights=weights)
    for row, slope in zip(weights, found, strict=True):
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        model.fit(odds[:, None], truth, sample_weight=row)
        assert slope == pytest.approx(model.coef_[0, 0], rel=1e-4)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 8.0, 60.0])
def test_slope_and_intercept_are_found_whatever_the_scale_of_the_log_odds(unit):
    """Networks that are far too sure have log-odds in the tens, and errors among them."""
    odds, truth = draw(n=150, seed=2, slope=0.8)
    weights = np.random.default_rng(5).multinomial(150, np.ones(150) / 150, 40).astype(float)
    plain = compute_calibration_slope(odds, truth, weights=weights)
    found = compute_calibration_slope(unit * odds, truth, weights=weights)
    assert np.isfinite(plain).all()
    assert unit * found == pytest.approx(plain, rel=1e-6)
    offsets = compute_calibration_intercept(unit * odds, truth, weights=weights)
    for row, value in zip(weights, offsets, strict=True):
        assert row @ share(unit * odds + value) == pytest.approx(row @ truth, abs=1e-6)


def test_slopes_are_missing_exactly_where_a_limit_parts_the_classes():
    rng = np.random.default_rng(3)
    odds = rng.normal(size=24)
    truth = odds + 0.35 * rng.normal(size=24) > 0
    weights = rng.multinomial(24, np.ones(24) / 24, 300).astype(float)
    found = compute_calibration_slope(odds, truth, weights=weights)
    parted = []
    for row in weights:
        yes, no = (odds[(row > 0) & flags] for flags in (truth, ~truth))
        parted.append(not len(yes) or not len(no) or no.max() <= yes.min() or yes.max() <= no.min())
    assert 0 < sum(parted) < 300
    assert np.isnan(found).tolist() == parted


def test_the_intercept_makes_the_mean_probability_right():
    odds, truth = draw(seed=3, intercept=1.2)
    weights = np.random.default_rng(1).integers(0, 3, (4, 400)).astype(float)
    found = compute_calibration_intercept(odds, truth, weights=weights)
    for row, value in zip(weights, found, strict=True):
        wanted = brentq(lambda a, row=row: float(row @ (share(odds + a) - truth)), -20, 20)
        assert value == pytest.approx(wanted, abs=1e-7)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.0), (1.0, -1.0)])
def test_a_planted_miscalibration_is_found(slope, intercept):
    odds, truth = draw(n=40_000, seed=5, slope=slope, intercept=intercept)
    ones = np.ones((1, len(odds)))
    assert compute_calibration_slope(odds, truth, weights=ones) == pytest.approx(slope, abs=0.04)
    if slope == 1:
        found = compute_calibration_intercept(odds, truth, weights=ones)
        assert found == pytest.approx(intercept, abs=0.04)


@pytest.mark.parametrize(
    ("odds", "truth"),
    [
        ([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1]),
        ([0.3] * 4, [0, 1, 0, 1]),
        ([-2.0, -1.0, 1.0, 2.0], [0, 0, 0, 0]),
    ],
)
def test_parted_constant_or_single_classes_have_no_slope(odds, truth):
    flags = np.array(truth, dtype=bool)
    assert np.isnan(compute_calibration_slope(np.array(odds), flags, weights=np.ones((1, 4)))).all()


def test_the_calibration_error_is_a_plain_loop_over_bins():
    odds, truth = draw(n=97, seed=7)
    shares = share(odds)
    weights = np.random.default_rng(2).integers(0, 3, (3, 97)).astype(float)
    found = compute_ece(shares, truth, n_bins=5, weights=weights)
    order = np.argsort(shares)
    edges = np.quantile(shares, [0.2, 0.4, 0.6, 0.8])
    for row, value in zip(weights, found, strict=True):
        total = 0.0
        for n in range(5):
            own = [k for k in order if sum(edge <= shares[k] for edge in edges) == n]
            total += abs(sum(row[k] * (shares[k] - truth[k]) for k in own))
        assert value == pytest.approx(total / row.sum())


def test_the_error_of_perfect_probabilities_by_chance_is_that_of_a_simulation():
    rng = np.random.default_rng(4)
    shares = share(2 * rng.normal(size=200))
    ones = np.ones((1, 200))
    drawn = [
        compute_ece(shares, rng.random(200) < shares, n_bins=5, weights=ones)[0]
        for _ in range(2000)
    ]
    assert expect_ece(shares, 5) == pytest.approx(np.mean(drawn), rel=0.04)


def find(result, metric):
    (found,) = [e for e in result.estimates if e.metric == metric]
    return found


def test_an_evaluation_tells_calibration_with_intervals_and_the_bias_of_its_error():
    scores, labels, folds = draw_binary(120, seed=1)
    result = evaluate_predictions(
        make_rows(scores, labels, folds=folds),
        {},
        classes=Classes(("no", "yes"), "yes"),
        settings=SETTINGS,
        variables={},
    )
    for metric in ("ece", "calibration_slope", "calibration_intercept"):
        found = find(result, metric)
        assert found.low < found.high
        assert found.n_subjects == 120
    slope = find(result, "calibration_slope")
    assert slope.low < slope.value < slope.high
    assert "perfect probabilities would show about 0.0" in find(result, "ece").method


def test_copies_of_subjects_narrow_no_interval_of_calibration():
    scores, labels, _ = draw_binary(60, seed=2)
    subjects = [f"s{n}" for n in range(60)]

    def run(copies):
        rows = make_rows(scores * copies, labels * copies, subjects=subjects * copies)
        classes = Classes(("no", "yes"), "yes")
        return evaluate_predictions(rows, {}, classes=classes, settings=SETTINGS, variables={})

    for metric in ("ece", "calibration_slope", "calibration_intercept"):
        once, many = find(run(1), metric), find(run(3), metric)
        assert (many.low, many.high) == pytest.approx((once.low, once.high), rel=1e-4)


def test_three_classes_have_the_error_of_the_predicted_one_and_no_slope():
    rng = np.random.default_rng(7)
    truth = np.arange(90) % 3
    logits = rng.normal(size=(90, 3)) + 1.5 * np.eye(3)[truth]
    rows = make_multiclass_rows(logits, ["abc"[n] for n in truth], split="test")
    result = evaluate_predictions(
        rows,
        {},
        classes=Classes(("a", "b", "c"), None),
        settings=replace(SETTINGS, calibration_bins=4),
        variables={},
    )
    told = np.array([[float(row[f"probability_{name}"]) for name in "abc"] for row in rows])
    right = told.argmax(axis=1) == truth
    wanted = compute_ece(told.max(axis=1), right, n_bins=4, weights=np.ones((1, 90)))
    assert find(result, "ece").value == pytest.approx(wanted[0])
    assert not [e for e in result.estimates if e.metric.startswith("calibration_")]


def test_an_error_that_every_resampling_makes_larger_has_no_interval_beside_its_value():
    """Probabilities as right as they can be, in each bin: resamples can only be further off."""
    shares = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 20)
    truth = np.concatenate(
        [np.arange(20) < round(20 * share) for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
    )
    odds = np.log(shares / (1 - shares)) + 1e-4
    rows = make_rows(odds.tolist(), ["yes" if held else "no" for held in truth])
    result = evaluate_predictions(
        rows, {}, classes=Classes(("no", "yes"), "yes"), settings=SETTINGS, variables={}
    )
    found = find(result, "ece")
    assert found.value < 1e-4
    assert (found.low, found.high) == (None, None)
    assert "lie beside the value" in found.method
