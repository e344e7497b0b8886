"""ROC curves: scikit-learn's points, and an average whose area is the AUC reported."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from medvision.domain.metrics.roc import average_curves, compute_fold_curves, compute_roc
from medvision.domain.metrics.weighted import compute_auc

RNG = np.random.default_rng(8)


def area(curve: np.ndarray) -> float:
    return float(np.trapezoid(curve[:, 1], curve[:, 0]))


@pytest.mark.parametrize("decimals", [0, 1, 5])
def test_points_are_scikit_learns(decimals: int) -> None:
    positive = RNG.random(80) < 0.4
    scores = (RNG.normal(size=80) + positive).round(decimals)
    false, true, _ = roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(compute_roc(scores, positive), np.column_stack([false, true]))


@pytest.mark.parametrize("decimals", [0, 5])
@pytest.mark.parametrize("n_folds", [1, 3])
def test_the_averages_area_is_the_auc_of_pairs_within_folds(n_folds: int, decimals: int) -> None:
    positive, folds = RNG.random(150) < 0.4, RNG.integers(0, n_folds, 150)
    scores = (RNG.normal(size=150) + positive + 5 * folds).round(decimals)
    (auc,) = compute_auc(scores, positive, folds=folds, weights=np.ones((1, 150)))
    curve = average_curves(compute_fold_curves(scores, positive, folds=folds))
    assert area(curve) == pytest.approx(auc, abs=1e-12)
    assert curve[0].tolist() == [0, 0]
    assert curve[-1] == pytest.approx([1, 1])
    assert (np.diff(curve, axis=0) >= -1e-12).all()


def test_a_large_curve_is_thinned_and_keeps_its_area() -> None:
    positive = RNG.random(20_000) < 0.5
    scores = RNG.normal(size=20_000) + positive
    folds = np.zeros(20_000, dtype=np.intp)
    (auc,) = compute_auc(scores, positive, folds=folds, weights=np.ones((1, 20_000)))
    curve = average_curves(compute_fold_curves(scores, positive, folds=folds))
    assert len(curve) <= 802
    assert area(curve) == pytest.approx(auc, abs=1e-3)


def test_a_fold_with_one_class_adds_no_curve() -> None:
    positive, folds = np.array([True, True, True, False]), np.array([0, 0, 1, 1])
    (only,) = compute_fold_curves(np.arange(4.0), positive, folds=folds)
    assert only.weight == 1
