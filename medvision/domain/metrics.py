"""Metrics of weighted images, for the data and all their resamples at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.bootstrap import Weights
from medvision.domain.prediction import Indices, Probabilities

Replicates = NDArray[np.float64]
"""(R,) float64: one value per row of weights; NaN where it is undefined."""

Scalars = NDArray[np.float64]
"""(N,) float64: one value per image."""

Flags = NDArray[np.bool_]
"""(N,) bool: one flag per image."""


@dataclass(frozen=True)
class _Ranking:
    """The images of one fold in order of their scores, with the bounds of their ties."""

    order: Indices
    positive: Flags
    first: Indices
    last: Indices


def compute_auc(
    scores: Scalars, positive: Flags, *, folds: Indices, weights: Weights
) -> Replicates:
    """Compute the area under the ROC curve over pairs of images of the same fold.

    The probability that a positive scores above a negative of the same fold, ties counted
    half. Scores of two folds come from two models with two scales, so pairs across folds say
    nothing and are left out; folds weigh by their number of pairs.

    Args:
        scores: (N,) more is more positive.
        positive: (N,) the true class.
        folds: (N,) fold of each image.
        weights: (R, N) weight of each image in each resample.

    Returns:
        (R,) areas; NaN where no fold has both classes.

    Source:
        Bamber 1975, doi:10.1016/0022-2496(75)90001-2; fold-wise pairs as in Airola et al.
        2011, doi:10.1016/j.csda.2010.11.018.
    """
    wins, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for fold in np.unique(folds):
        members = np.flatnonzero(folds == fold)
        ranking = _rank(scores[members], positive[members])
        if ranking.positive.all() or not ranking.positive.any():
            continue
        won, compared = _count_wins(ranking, weights[:, members[ranking.order]])
        wins += won
        pairs += compared
    return _divide(wins, pairs)


def compute_mean(values: Scalars, where: Flags, *, weights: Weights) -> Replicates:
    """Compute the weighted mean of `values` over the images flagged by `where`.

    Sensitivity is this with hits among positives, the Brier score with squared errors among
    all.

    Args:
        values: (N,) value of each image.
        where: (N,) images that count.
        weights: (R, N) weight of each image in each resample.

    Returns:
        (R,) means; NaN where no image counts.
    """
    flags = where.astype(np.float64)
    return _divide(weights @ (values * flags), weights @ flags)


def compute_squared_errors(probabilities: Probabilities, labels: Indices) -> Scalars:
    """Compute each image's contribution to the Brier score.

    Args:
        probabilities: (N, C); with two classes the positive one's error counts once.
        labels: (N,) true class.

    Returns:
        (N,) 0 to 1 for two classes, 0 to 2 (summed over classes) for more.

    Source:
        Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    truth = np.eye(probabilities.shape[1])[labels]
    errors: Scalars = ((probabilities - truth) ** 2).sum(axis=1)
    return errors / 2 if probabilities.shape[1] == 2 else errors


def _rank(scores: Scalars, positive: Flags) -> _Ranking:
    """Order scores, and find where each one's ties begin and end."""
    order = np.argsort(scores, kind="stable").astype(np.intp)
    ordered = scores[order]
    return _Ranking(
        order=order,
        positive=positive[order],
        first=np.searchsorted(ordered, ordered, side="left").astype(np.intp),
        last=np.searchsorted(ordered, ordered, side="right").astype(np.intp),
    )


def _count_wins(ranking: _Ranking, weights: Weights) -> tuple[Replicates, Replicates]:
    """Count weighted pairs that a positive wins (ties half), and all pairs."""
    below = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights * ~ranking.positive, axis=1, out=below[:, 1:])
    own = weights[:, ranking.positive]
    beaten = below[:, ranking.first[ranking.positive]] + below[:, ranking.last[ranking.positive]]
    wins: Replicates = np.einsum("rn,rn->r", own, beaten) / 2
    return wins, own.sum(axis=1) * below[:, -1]


def _divide(numerator: Replicates, denominator: Replicates) -> Replicates:
    """Divide, with NaN where there is nothing to divide by."""
    result: Replicates = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
