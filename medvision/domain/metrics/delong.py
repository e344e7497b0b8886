"""Two areas under ROC curves of the same subjects: the variance of their difference."""

import math

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.weighted import Flags, Scalars
from medvision.domain.prediction import Indices


def compute_placements(scores: Scalars, positive: Flags) -> Scalars:
    """Compute the share of the other class that each image is ranked rightly against, ties half.

    Args:
        scores: (N,) more is more positive.
        positive: (N,) the true class; both are there.

    Returns:
        (N,); the mean over positives, and that over negatives, is the area.

    Source:
        DeLong, DeLong and Clarke-Pearson 1988, doi:10.2307/2531595, structural components.
    """
    result = np.empty(len(scores))
    for own, sign in ((positive, 1.0), (~positive, -1.0)):
        others = np.sort(sign * scores[~own])
        below = np.searchsorted(others, sign * scores[own], side="left")
        not_above = np.searchsorted(others, sign * scores[own], side="right")
        result[own] = (below + not_above) / (2 * len(others))
    return result


def compute_variance(
    placements: Scalars, positive: Flags, *, clusters: Indices
) -> tuple[float, float]:
    """Compute an area, or a difference of two, and its variance from placements.

    Images of one cluster may depend on each other, of either class; where each is a cluster of its
    own this is DeLong's variance.

    Args:
        placements: (N,) of one score, or those of one minus those of another.
        positive: (N,) the true class; both are there.
        clusters: (N,) what is independent.

    Returns:
        (value, variance); NaN where a class has one cluster alone.

    Source:
        Obuchowski 1997, doi:10.2307/2533958.
    """
    value = float(placements[positive].mean())
    _, index = np.unique(clusters, return_inverse=True)
    flat = index.reshape(-1)
    sums: list[NDArray[np.float64]] = []
    factors: list[float] = []
    for own in (positive, ~positive):
        deviations = np.where(own, placements - value, 0.0)
        n_clusters = len(np.unique(flat[own]))
        if n_clusters < 2:
            return value, math.nan
        sums.append(np.bincount(flat, weights=deviations) / own.sum())
        factors.append(n_clusters / (n_clusters - 1))
    n_all = len(sums[0])
    squares = sum(f * float((held**2).sum()) for f, held in zip(factors, sums, strict=True))
    crossed = 2 * n_all / (n_all - 1) * float((sums[0] * sums[1]).sum())
    return value, squares + crossed


def compute_influences(
    scores: Scalars, positive: Flags, *, folds: Indices, clusters: Indices
) -> tuple[float, Scalars]:
    """Compute an area within folds, and how much each image moves it.

    The sum over clusters of their squared influences is the area's variance, DeLong's where each
    image is a cluster of its own; where two scores are parted into different folds, the same of
    the differences is the variance of the difference.

    Args:
        scores: (N,) more is more positive.
        positive: (N,) the true class.
        folds: (N,) within which scores are compared; folds count by their pairs.
        clusters: (N,) what is independent.

    Returns:
        (area, influences (N,)), 0 in folds of one class; (NaN, zeros) where no fold has both
        classes, or one has a class of one cluster.

    Source:
        DeLong, DeLong and Clarke-Pearson 1988, doi:10.2307/2531595, in the form of an influence
        function; stratified by fold.
    """
    influences, area, total = np.zeros(len(scores)), 0.0, 0.0
    for fold in np.unique(folds):
        here = folds == fold
        own = positive[here]
        if own.all() or not own.any():
            continue
        counts = [len(np.unique(clusters[here][side])) for side in (own, ~own)]
        if min(counts) < 2:
            return math.nan, np.zeros(len(scores))
        placements, pairs = compute_placements(scores[here], own), float(own.sum() * (~own).sum())
        value = float(placements[own].mean())
        factors = [
            math.sqrt(n / (n - 1)) / side.sum() for n, side in zip(counts, (own, ~own), strict=True)
        ]
        influences[here] = pairs * (placements - value) * np.where(own, *factors)
        area, total = area + pairs * value, total + pairs
    return (area / total, influences / total) if total else (math.nan, influences)
