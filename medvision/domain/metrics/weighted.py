"""Metrics of weighted images, for the data and all their resamples at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.prediction import Indices, Probabilities, Scores
from medvision.domain.resampling.bootstrap import Weights

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
    return divide(wins, pairs)


def compute_micro_auc(
    scores: Scores, labels: Indices, *, folds: Indices, weights: Weights
) -> Replicates:
    """Compute the area over pairs of an image with its own class and one with another's.

    Every image counts once per class, as positive with its own and as negative with the others; all
    classes are ranked together.

    Args:
        scores: (N, C) more is more of the class.
        labels: (N,) true class.
        folds: (N,) fold of each image.
        weights: (R, N) weight of each image in each resample.

    Returns:
        (R,) areas.

    Source:
        Sokolova and Lapalme 2009, doi:10.1016/j.ipm.2009.03.002 (micro averages).
    """
    n_classes = scores.shape[1]
    positive = np.eye(n_classes, dtype=bool)[labels].ravel()
    size = max(1, len(weights) // n_classes)
    parts = [
        compute_auc(
            scores.ravel(),
            positive,
            folds=np.repeat(folds, n_classes),
            weights=np.repeat(weights[start : start + size], n_classes, axis=1),
        )
        for start in range(0, len(weights), size)
    ]
    return np.concatenate(parts)


def compute_average_precision(
    scores: Scalars, positive: Flags, *, folds: Indices, weights: Weights
) -> Replicates:
    """Compute the mean over positives of the share of positives among those ranked as high.

    Images are ranked within their fold, ties together, and folds weigh by their positives. Folds
    of one class are left out, as in the AUC.

    Args:
        scores: (N,) more is more positive.
        positive: (N,) the true class.
        folds: (N,) fold of each image.
        weights: (R, N) weight of each image in each resample.

    Returns:
        (R,) values; NaN where no fold has both classes. The share of positives is what chance
        gives.

    Source:
        Boyd, Eng and Page 2013, doi:10.1007/978-3-642-40994-3_29, estimator AP, without
        interpolation.
    """
    total, n_positive = np.zeros(len(weights)), np.zeros(len(weights))
    for fold in np.unique(folds):
        members = np.flatnonzero(folds == fold)
        ranking = _rank(-scores[members], positive[members])
        if ranking.positive.all() or not ranking.positive.any():
            continue
        own = weights[:, members[ranking.order]]
        ends = ranking.last[ranking.positive] - 1
        above = np.cumsum(own, axis=1)[:, ends]
        hits = own[:, ranking.positive]
        # The positives down to the end of each one's ties, themselves in order of rank.
        count = np.cumsum(ranking.positive)[ends] - 1
        found = np.cumsum(hits, axis=1)[:, count]
        share = np.divide(found, above, out=np.zeros_like(found), where=above > 0)
        total += np.einsum("rn,rn->r", hits, share)
        n_positive += hits.sum(axis=1)
    return divide(total, n_positive)


def compute_log_losses(scores: Scores, labels: Indices) -> Scalars:
    """Compute each image's contribution to the log loss.

    Args:
        scores: (N, C) log-odds of each class, from the logits: nothing is clipped.
        labels: (N,) true class.

    Returns:
        (N,) minus the logarithm of the true class's probability, in nats.

    Source:
        Good 1952, doi:10.1111/j.2517-6161.1952.tb00104.x.
    """
    losses: Scalars = np.logaddexp(0.0, -scores[np.arange(len(labels)), labels])
    return losses


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
    return divide(weights @ (values * flags), weights @ flags)


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


def divide(numerator: Replicates, denominator: Replicates) -> Replicates:
    """Divide, with NaN where there is nothing to divide by.

    Args:
        numerator: (R,) values.
        denominator: (R,) values, 0 or more.
    """
    result: Replicates = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
