"""Metrics held against scikit-learn, closed forms and plain pair counting."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from medvision.domain.metrics.weighted import compute_auc, compute_mean, compute_squared_errors

RNG = np.random.default_rng(5)


def ones(n: int) -> np.ndarray:
    return np.ones((1, n))


def count_pairs(
    scores: np.ndarray, positive: np.ndarray, folds: np.ndarray, weights: np.ndarray
) -> float:
    """The AUC as its definition reads, pair by pair."""
    wins = pairs = 0.0
    for p in np.flatnonzero(positive):
        for n in np.flatnonzero(~positive):
            if folds[p] == folds[n]:
                weight = weights[p] * weights[n]
                pairs += weight
                wins += weight * (float(scores[p] > scores[n]) + 0.5 * (scores[p] == scores[n]))
    return wins / pairs


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_auc_of_one_fold_is_scikit_learns_ties_included(decimals: int) -> None:
    positive = RNG.random(200) < 0.3
    scores = (RNG.normal(size=200) + positive).round(decimals)
    folds = np.zeros(200, dtype=np.intp)
    (area,) = compute_auc(scores, positive, folds=folds, weights=ones(200))
    assert area == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_weighted_auc_of_several_folds_counts_pairs_within_folds_only() -> None:
    positive, folds = RNG.random(60) < 0.5, RNG.integers(0, 3, 60)
    scores = RNG.normal(size=60).round(1)
    weights = RNG.integers(0, 4, size=(20, 60)).astype(float)
    areas = compute_auc(scores, positive, folds=folds, weights=weights)
    expected = [count_pairs(scores, positive, folds, row) for row in weights]
    np.testing.assert_allclose(areas, expected, atol=1e-12)


def test_a_shift_between_two_folds_models_changes_nothing() -> None:
    """The planted fault of pooling: fold 1's model scores everything 10 higher."""
    positive, folds = RNG.random(80) < 0.5, np.arange(80) % 2
    scores = RNG.normal(size=80) + positive
    shifted = scores + 10 * folds * (1 + 0 * positive)
    plain = compute_auc(scores, positive, folds=folds, weights=ones(80))
    np.testing.assert_array_equal(
        compute_auc(shifted, positive, folds=folds, weights=ones(80)), plain
    )
    assert roc_auc_score(positive, shifted) != pytest.approx(plain[0], abs=0.01)


def test_constant_scores_give_one_half_and_one_class_gives_nothing() -> None:
    positive, folds = np.array([True, False, False]), np.zeros(3, dtype=np.intp)
    constant = compute_auc(np.zeros(3), positive, folds=folds, weights=ones(3))
    assert constant.tolist() == [0.5]
    one_class = compute_auc(np.arange(3.0), np.ones(3, dtype=bool), folds=folds, weights=ones(3))
    assert np.isnan(one_class).all()


def test_mean_is_over_flagged_images_and_undefined_over_none() -> None:
    values, where = np.array([1.0, 0.0, 5.0]), np.array([True, True, False])
    weights = np.array([[1.0, 1, 1], [3, 1, 9], [0, 0, 1]])
    means = compute_mean(values, where, weights=weights)
    np.testing.assert_allclose(means, [0.5, 0.75, np.nan])


def test_brier_is_scikit_learns_for_two_classes_and_the_sum_for_more() -> None:
    positive = RNG.random(50)
    labels = (RNG.random(50) < positive).astype(np.intp)
    two = compute_squared_errors(np.column_stack([1 - positive, positive]), labels)
    assert two.mean() == pytest.approx(brier_score_loss(labels, positive), abs=1e-12)
    uniform = np.full((4, 3), 1 / 3)
    three = compute_squared_errors(uniform, np.array([0, 1, 2, 0]))
    np.testing.assert_allclose(three, 2 / 3)
