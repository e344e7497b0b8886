"""What a figure is where it tells nothing: its mean and deviation under permuted labels."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.weighted import Replicates, Scalars, divide
from medvision.domain.prediction import Indices

N_PERMUTATIONS = 200
"""Permutations: they give a mean and a deviation, not a tail, so that few serve."""

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Null:
    """A figure where nothing is told.

    Args:
        mean: Its mean.
        deviation: Its standard deviation; 0 where every permutation agrees.
        permuted: (R,) the figure under each permutation, NaN where undefined.
    """

    mean: float
    deviation: float
    permuted: Replicates

    def compute_p(self, value: float) -> float:
        """Return the p-value of a figure above the mean, by the normal law, doubled.

        Doubled as for a two-sided test, whose interval stands beside it; and because the folds
        share subjects, so that figures move more than test labels alone would have them move.

        Args:
            value: The figure, not NaN.
        """
        if self.deviation <= 0:
            return float(value <= self.mean)
        return min(1.0, 2 * (1 - NormalDist().cdf((value - self.mean) / self.deviation)))


def draw_permutations(clusters: Indices, *, folds: Indices, seed: int) -> Indices:
    """Draw permutations of the labels of whole clusters within folds.

    A cluster is given the images' labels of another one of its fold, in turn.

    Args:
        clusters: (N,) what is permuted as one.
        folds: (N,) within which.
        seed: Seed of the permutations.

    Returns:
        (R, N) rows: image i is given the label of the row that stands at i.
    """
    rng = np.random.default_rng(seed)
    order = np.lexsort((clusters, folds)).astype(np.intp)
    changes = (np.diff(clusters[order]) != 0) | (np.diff(folds[order]) != 0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1]).astype(np.intp)
    sizes = np.diff(np.append(starts, len(order)))
    of_cluster = folds[order][starts]
    unit = np.repeat(np.arange(len(starts)), sizes)
    turn = np.arange(len(order)) - starts[unit]
    rows = np.empty((N_PERMUTATIONS, len(order)), dtype=np.intp)
    for row in rows:
        # Ordered by chance within each fold, against their own order.
        donors = np.lexsort((rng.random(len(starts)), of_cluster))[unit]
        row[order] = order[starts[donors] + turn % sizes[donors]]
    return rows


def compute_null(found: Replicates) -> Null:
    """Describe a figure under permuted labels.

    Args:
        found: (R,) the figure, NaN where undefined.

    Source:
        Permutation of labels: Ojala and Garriga 2010, Journal of Machine Learning Research
        11:1833-1863; a normal law in place of its tail, so that p-values stay below what the
        number of permutations can tell: Winkler et al. 2016, doi:10.1016/j.neuroimage.2016.05.068.
    """
    known = found[~np.isnan(found)]
    if not len(known):
        return Null(0.0, 0.0, found)
    deviation = float(known.std())
    return Null(float(known.mean()), deviation if deviation > _ROUNDING else 0.0, found)


def compute_permuted_areas(arm: ArmTest, rows: Indices) -> Replicates:
    """Compute the AUC of an arm, its images given the labels of others.

    Args:
        arm: Test predictions.
        rows: (R, N) whose label each image is given.

    Returns:
        (R,) as `compute_areas` does: auc, or auc_macro of more than two classes.

    Source:
        Mann and Whitney 1947, doi:10.1214/aoms/1177730491, by midranks: the scores are ranked once.
    """
    labels = arm.labels[rows]
    classes = range(len(arm.classes)) if arm.positive is None else [arm.positive]
    areas = [
        np.mean(
            [
                _compute_areas(each.scores[:, index], labels == index, each.folds)
                for each in arm.rounds
            ],
            axis=0,
        )
        for index in classes
    ]
    result: Replicates = np.mean(areas, axis=0)
    return result


def _compute_areas(scores: Scalars, positive: NDArray[np.bool_], folds: Indices) -> Replicates:
    """Compute the AUC over pairs of one fold, for (R, N) positives."""
    wins, pairs = np.zeros(len(positive)), np.zeros(len(positive))
    for fold in np.unique(folds):
        here = folds == fold
        own = positive[:, here].astype(np.float64)
        _, place, n_tied = np.unique(scores[here], return_inverse=True, return_counts=True)
        midranks = (np.cumsum(n_tied) - (n_tied - 1) / 2)[place]
        n_positive = own.sum(axis=1)
        wins += own @ midranks - n_positive * (n_positive + 1) / 2
        pairs += n_positive * (here.sum() - n_positive)
    return divide(wins, pairs)
