"""ROC curves: one per model, averaged vertically so that the area is the AUC reported."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.weighted import Flags, Scalars
from medvision.domain.prediction import Indices

Curve = NDArray[np.float64]
"""(P, 2) float64: false and true positive rate, from (0, 0) to (1, 1)."""

_MAX_GRID = 400


@dataclass(frozen=True)
class WeightedCurve:
    """A curve and its weight in an average."""

    curve: Curve
    weight: float


def trace_arm(arm: ArmTest) -> Curve:
    """Average the ROC curves of an arm over folds, rounds and, with more than two, classes.

    Args:
        arm: Its test predictions.

    Returns:
        (P, 2); empty where no fold has both classes.
    """
    indices = range(len(arm.classes)) if arm.positive is None else [arm.positive]
    curves = []
    for index in indices:
        for each in arm.rounds:
            found = compute_fold_curves(
                each.scores[:, index], arm.is_class(index), folds=each.folds
            )
            total = sum(item.weight for item in found)
            curves += [WeightedCurve(item.curve, item.weight / total) for item in found]
    return average_curves(curves) if curves else np.empty((0, 2))


def compute_roc(scores: Scalars, positive: Flags) -> Curve:
    """Compute the ROC curve of one model; tied scores make one slanted segment.

    Args:
        scores: (N,) more is more positive.
        positive: (N,) the true class, both classes present.

    Returns:
        (P, 2) false and true positive rates.

    Source:
        Fawcett 2006, doi:10.1016/j.patrec.2005.10.010, algorithm 2.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    hits = np.cumsum(positive[order])[ends]
    alarms = np.cumsum(~positive[order])[ends]
    rates = np.column_stack([alarms / alarms[-1], hits / hits[-1]])
    return np.vstack([[0.0, 0.0], rates])


def compute_fold_curves(scores: Scalars, positive: Flags, *, folds: Indices) -> list[WeightedCurve]:
    """Compute one curve per fold that has both classes, weighing by its number of pairs.

    Args:
        scores: (N,) more is more positive.
        positive: (N,) the true class.
        folds: (N,) fold of each image.

    Returns:
        Curves whose weighted mean area is `compute_auc` of the same data.
    """
    result = []
    for fold in np.unique(folds):
        members = folds == fold
        n_positive = int(positive[members].sum())
        n_pairs = n_positive * (int(members.sum()) - n_positive)
        if n_pairs:
            curve = compute_roc(scores[members], positive[members])
            result.append(WeightedCurve(curve, float(n_pairs)))
    return result


def average_curves(curves: Sequence[WeightedCurve]) -> Curve:
    """Average curves vertically: the mean true positive rate at each false positive rate.

    The area under the average is the weighted mean of the areas, exactly so up to 400
    distinct false positive rates; beyond, the curve is sampled at 401.

    Args:
        curves: At least one curve.

    Returns:
        (P, 2); a vertical step is two points with the same false positive rate.

    Source:
        Vertical averaging, Fawcett 2006, doi:10.1016/j.patrec.2005.10.010, section 7;
        weights by pairs: own definition.
    """
    grid = np.unique(np.concatenate([item.curve[:, 0] for item in curves]))
    if len(grid) > _MAX_GRID:
        grid = np.linspace(0, 1, _MAX_GRID + 1)
    total = sum(item.weight for item in curves)
    low, high = np.zeros(len(grid)), np.zeros(len(grid))
    for item in curves:
        below, above = _evaluate(item.curve, grid)
        low += below * item.weight / total
        high += above * item.weight / total
    points = np.column_stack([np.repeat(grid, 2), np.column_stack([low, high]).ravel()])
    changed = np.ones(len(points), dtype=bool)
    changed[1:] = (np.diff(points, axis=0) != 0).any(axis=1)
    result: Curve = points[changed]
    return result


def _evaluate(curve: Curve, grid: Scalars) -> tuple[Scalars, Scalars]:
    """Return the curve's height where it reaches each rate and where it leaves it."""
    rates, heights = curve[:, 0], curve[:, 1]
    reach = np.searchsorted(rates, grid, side="left")
    leave = np.searchsorted(rates, grid, side="right") - 1
    inner = np.interp(grid, rates, heights)
    on_point = rates[np.minimum(reach, len(rates) - 1)] == grid
    low = np.where(on_point, heights[np.minimum(reach, len(rates) - 1)], inner)
    high = np.where(on_point, heights[leave], inner)
    return low, high
