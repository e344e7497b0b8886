"""Membership: whether the synthetic images betray who was trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.weighted import compute_auc
from medvision.domain.prediction import Indices
from medvision.domain.resampling.bootstrap import compute_interval, draw_weights
from medvision.domain.synthesis.criterion import PASSED, REFUSED, UNDECIDED, Criterion
from medvision.domain.synthesis.sample import Rules


@dataclass(frozen=True)
class Members:
    """Real images by their distance from the nearest synthetic one.

    Args:
        space: Features, or `pixels`.
        nearest: (N,) distance of each.
        is_train: (N,) whether the generator was trained on it.
        labels: (N,) class index.
        clusters: (N,) whom it is of.
    """

    space: str
    nearest: NDArray[np.float64]
    is_train: NDArray[np.bool_]
    labels: Indices
    clusters: Indices


def judge_membership(members: Members, *, n_synthetic: int, rules: Rules) -> Criterion:
    """Ask whether train images lie nearer to the synthetic ones than validation images do.

    The area under the curve over pairs of a train and a validation image of one class: one half
    where nobody can tell who was trained on. The generator is refused where the area is above
    what comes about when who was trained on is dealt to the subjects by chance.

    Args:
        members: Train and validation images.
        n_synthetic: Synthetic images that they are held against.
        rules: How to judge.

    Returns:
        One row; its interval is of subjects resampled.

    Source:
        Distance to the nearest generated image as an attack: Chen et al. 2020,
        doi:10.1145/3372297.3417238; permutation: Pitman 1937, doi:10.2307/2984124.
    """
    value = float(_compute_area(members, np.ones((1, len(members.nearest))))[0])
    low, high = _find_interval(members, rules) if np.isfinite(value) else (np.nan, np.nan)
    dealt = deal_membership(members, n_draws=rules.n_repeats * 5, seed=rules.seed)
    held = dealt[np.isfinite(dealt)]
    threshold = float(np.quantile(held, rules.level)) if len(held) else float("nan")
    n_apart = len(np.unique(members.clusters[~members.is_train]))
    verdict = REFUSED if value > threshold else PASSED
    said = "lie nearer to synthetic ones" if verdict == REFUSED else "lie no nearer"
    reason = f"train images {said} than validation images (area {value:.2f})"
    if not np.isfinite(value) or not np.isfinite(threshold):
        verdict, reason = UNDECIDED, "no class has both train and validation images"
    elif threshold >= held.max():
        # Chance alone reaches the most that there is too often for anything to be beyond it.
        verdict = UNDECIDED
        reason = f"too few validation subjects to tell: {n_apart}"
    return Criterion(
        criterion="membership",
        space=members.space,
        statistic="area of train against validation",
        value=value,
        low=low,
        high=high,
        n=n_synthetic,
        comparator=float(np.median(held)) if len(held) else float("nan"),
        threshold=threshold,
        source=f"who was trained on dealt to subjects by chance {rules.n_repeats * 5} times, "
        f"{rules.level:g} quantile",
        verdict=verdict,
        reason=reason,
    )


def deal_membership(members: Members, *, n_draws: int, seed: int) -> NDArray[np.float64]:
    """Compute the area with membership dealt to subjects by chance.

    Subjects keep their images; among subjects of one set of classes as many are train as are.

    Args:
        members: Train and validation images.
        n_draws: Number R of deals.
        seed: Seed of the deals.

    Returns:
        (R,) areas; NaN where none is defined.
    """
    rng = np.random.default_rng([seed, 2])
    names, index = np.unique(members.clusters, return_inverse=True)
    flat = index.reshape(-1)
    held = np.zeros((len(names), int(members.labels.max()) + 1), dtype=bool)
    held[flat, members.labels] = True
    _, kinds = np.unique(held, axis=0, return_inverse=True)
    is_train = np.zeros(len(names), dtype=bool)
    is_train[flat] = members.is_train
    dealt = np.empty((n_draws, len(names)), dtype=bool)
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds.reshape(-1) == kind)
        dealt[:, own] = rng.permuted(np.tile(is_train[own], (n_draws, 1)), axis=1)
    return _rank_areas(members, dealt[:, flat])


def _rank_areas(members: Members, is_train: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the area for each row (R, N) of who is train, by sums of ranks within classes."""
    wins, pairs = np.zeros(len(is_train)), np.zeros(len(is_train))
    for label in np.unique(members.labels):
        here = members.labels == label
        _, place, counts = np.unique(
            -members.nearest[here], return_inverse=True, return_counts=True
        )
        ranks = (np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)]
        own = is_train[:, here]
        n_train = own.sum(axis=1)
        wins += (own * ranks).sum(axis=1) - n_train * (n_train + 1) / 2
        pairs += n_train * (own.shape[1] - n_train)
    return np.where(pairs > 0, wins / np.maximum(pairs, 1), np.nan)


def _compute_area(members: Members, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area over pairs of one class on each row of weights."""
    return compute_auc(-members.nearest, members.is_train, folds=members.labels, weights=weights)


def _find_interval(members: Members, rules: Rules) -> tuple[float, float]:
    """Return the percentile interval over subjects, resampled among train and validation apart."""
    kinds = 2 * members.labels + members.is_train
    drawn = draw_weights(
        [str(own) for own in members.clusters],
        np.zeros_like(members.labels),
        labels=kinds.astype(np.intp),
        n_resamples=rules.n_repeats * 5,
        seed=rules.seed,
    )
    areas = np.concatenate([_compute_area(members, weights) for weights in drawn])
    return compute_interval(areas[np.isfinite(areas)], rules.confidence)
