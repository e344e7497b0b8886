"""Bootstrap by subject: weights of images in resamples, and percentile intervals."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.domain.prediction import Indices

Weights = NDArray[np.float64]
"""(R, N) float64: how much each of N images weighs in each of R resamples."""

_CHUNK_ELEMENTS = 2_000_000
_MOST_UNITS = 1000
_ROUNDING = 1e-12


def draw_weights(
    clusters: Sequence[str],
    folds: Indices,
    *,
    labels: Indices,
    n_resamples: int,
    seed: int,
) -> Iterator[Weights]:
    """Resample subjects with replacement, within fold and classes, all their images together.

    A stratum is a fold and the set of classes that a subject has in it, so every resample
    weighs each as the data do and no class is ever lost. Of n subjects n - 1 are drawn, each
    weighing n / (n - 1): n draws would give a variance too small by the factor (n - 1) / n, which
    is one half in strata of two. A stratum of one subject stays as it is. Folds that a joined group
    of subjects spans (where another study joined them) are one, so that the group is drawn as one.

    Args:
        clusters: (N,) what is resampled: the subject, or the group of subjects joined.
        folds: (N,) fold of each image.
        labels: (N,) class index of each image.
        n_resamples: Number R of resamples in all.
        seed: Seed of the draws; the same seed gives the same resamples.

    Yields:
        Weights (r, N), a part of the R resamples at a time, so that memory stays bounded.

    Source:
        Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x (cluster bootstrap); rescaled
        as in Rao and Wu 1988, doi:10.1080/01621459.1988.10478591.
    """
    index, strata = _find_strata(clusters, folds, labels=labels)
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK_ELEMENTS // max(1, len(clusters)))
    for start in range(0, n_resamples, size):
        n = min(size, n_resamples - start)
        counts = np.zeros((n, int(index.max()) + 1))
        for members in strata:
            counts[:, members] = _count_draws(rng, n_members=len(members), n_resamples=n)
        yield counts[:, index]


def leave_out(
    clusters: Sequence[str], folds: Indices, *, labels: Indices
) -> tuple[Indices, Iterator[Weights]]:
    """Leave out subjects in turn, the others of their stratum weighing as much more.

    Strata are those of `draw_weights`, and keep their weight; one of a single subject cannot be
    resampled and has no unit. Of very many subjects several are left out at once as one unit,
    evenly within the stratum: the sums that an acceleration needs stay the same but for noise of
    order 1 / units.

    Args:
        clusters: (N,) what is left out: the subject, or the group of subjects joined.
        folds: (N,) fold of each image.
        labels: (N,) class index of each image.

    Returns:
        (strata, weights): (G,) stratum of each unit; weights (g, N), a part of the G at a time.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 11 and 14.
    """
    index, strata = _find_strata(clusters, folds, labels=labels)
    size = -(-(int(index.max()) + 1) // _MOST_UNITS)
    units: list[tuple[Indices, Indices]] = []
    of_units: list[int] = []
    for number, members in enumerate(held for held in strata if len(held) > 1):
        n_units = max(2, -(-len(members) // size))
        units += [(members[start::n_units], members) for start in range(n_units)]
        of_units += [number] * n_units
    return np.array(of_units, dtype=np.intp), _weigh_units(units, index)


def _weigh_units(units: Sequence[tuple[Indices, Indices]], index: Indices) -> Iterator[Weights]:
    """Yield the weights of all images with each unit left out."""
    size = max(1, _CHUNK_ELEMENTS // max(1, len(index)))
    for start in range(0, len(units), size):
        part = units[start : start + size]
        counts = np.ones((len(part), int(index.max()) + 1))
        for row, (unit, members) in zip(counts, part, strict=True):
            row[members] = len(members) / (len(members) - len(unit))
            row[unit] = 0.0
        yield counts[:, index]


def compute_interval(replicates: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Return the percentile interval of bootstrap replicates.

    Args:
        replicates: (R,) the statistic on each resample, finite.
        confidence: Level, such as 0.95.

    Returns:
        (low, high).

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def is_moving(replicates: NDArray[np.float64]) -> bool:
    """Tell whether any two resamples differ by more than the rounding of their weights.

    Args:
        replicates: (R,) the statistic on each resample, finite.
    """
    return float(np.ptp(replicates)) > _ROUNDING * max(1.0, float(np.abs(replicates).max()))


def join_folds(clusters: Sequence[str] | Indices, folds: Indices) -> Indices:
    """Join the folds that a cluster spans, even in turn.

    Within a study the split keeps clusters in one fold; where another study joined subjects, a
    cluster can lie in several, and must still be drawn as one.

    Args:
        clusters: (N,) what is resampled as one.
        folds: (N,) fold of each image, from 0.

    Returns:
        (N,) the least fold that an image's fold hangs together with: `folds` where none is spanned.
    """
    _, index = np.unique(clusters, return_inverse=True)
    flat = index.reshape(-1)
    joined = folds
    while True:
        of_cluster = np.full(int(flat.max()) + 1, joined.max())
        np.minimum.at(of_cluster, flat, joined)
        of_fold = np.arange(int(joined.max()) + 1)
        np.minimum.at(of_fold, joined, of_cluster[flat])
        lower = of_fold[joined].astype(np.intp)
        if np.array_equal(lower, joined):
            return lower
        joined = lower


def _find_strata(
    clusters: Sequence[str], folds: Indices, *, labels: Indices
) -> tuple[Indices, list[Indices]]:
    """Return each image's cluster by position, and the clusters of each stratum."""
    places = join_folds(clusters, folds)
    names = [f"{fold}/{cluster}" for fold, cluster in zip(places.tolist(), clusters, strict=True)]
    _, index = np.unique(names, return_inverse=True)
    n_clusters = int(index.max()) + 1
    held = np.zeros((n_clusters, int(labels.max()) + 1), dtype=np.intp)
    held[index, labels] = 1
    fold_of = np.zeros(n_clusters, dtype=np.intp)
    fold_of[index] = places
    _, stratum = np.unique(np.column_stack([fold_of, held]), axis=0, return_inverse=True)
    flat = stratum.reshape(-1)
    strata = [np.flatnonzero(flat == value) for value in range(int(flat.max()) + 1)]
    return index.astype(np.intp), strata


def _count_draws(
    rng: np.random.Generator, *, n_members: int, n_resamples: int
) -> NDArray[np.float64]:
    """Count how often each of n members is drawn in n - 1 draws, scaled to n, per resample."""
    if n_members == 1:
        return np.ones((n_resamples, 1))
    n_draws = n_members - 1
    draws = rng.integers(0, n_members, size=(n_resamples, n_draws))
    draws += np.arange(n_resamples)[:, None] * n_members
    flat = np.bincount(draws.ravel(), minlength=n_resamples * n_members)
    return flat.reshape(n_resamples, n_members).astype(np.float64) * (n_members / n_draws)
