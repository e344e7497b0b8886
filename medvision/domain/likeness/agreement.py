"""How far two thumbnails agree where one lies over the other: nearly everywhere, or in outline."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.register import find_overlap
from medvision.domain.likeness.sampling import Stack, sample_stack, spread_places
from medvision.domain.likeness.start import Motion

_REACH = {2: 0.9, 3: 0.9}
_N_PLACES = {2: 41, 3: 25}
_N_BLOCKS = {2: 6, 3: 8}
_SHARE = {2: 0.1, 3: 0.02}
"""Share of the detail that may agree less than the similarity says."""

_ENOUGH = {2: 0.7, 3: 0.35}
"""Share of the blocks over which the detail must be spread for full belief in its agreement."""

_MIN_PLACES = 8
_MIN_OVERLAP, _CLEAR = 0.6, 0.5
_SMALLEST, _LARGEST = 0.4, 2.0
"""Bounds of the area or volume of one thumbnail in the other."""

_MOST_UNEVEN = {2: 1.2, 3: 1.35}
"""Most that one axis may be stretched more than another: a thumbnail has no aspect, so that
turning one of an oblong image shears it."""


def measure_agreement(
    first: Stack, second: Stack, motion: Motion, *, is_clear: tuple[Stack, Stack]
) -> NDArray[np.float64]:
    """Measure how alike the fine detail is, block by block.

    The correlation within each block; of these the one that all but a small share of the detail
    exceeds. Two bodies whose outlines fit but whose insides differ so score low, though their
    correlation as a whole is high. Where detail fills few blocks, as in two bright ellipses that
    some map always lays over each other, the lack of agreement counts the more.

    Args:
        first: Fine detail of N thumbnails.
        second: Of N thumbnails, one for each.
        motion: Maps from places of the first to places of the second.
        is_clear: Where the detail of the first and of the second can be compared, 1 or 0.

    Returns:
        (N,) -1 to 1; 0 where too little overlaps or the map is not one of a copy.

    Source:
        none: own definition.
    """
    n_axes = first.ndim - 1
    places = spread_places(_N_PLACES[n_axes], n_axes, reach=_REACH[n_axes])
    moved = motion.apply(places)
    overlap = find_overlap(moved)
    clear = sample_stack(is_clear[0], places) * sample_stack(is_clear[1], moved) > _CLEAR
    weights = overlap * clear
    a, b = sample_stack(first, places) * weights, sample_stack(second, moved) * weights
    block = np.clip((places + 1) / 2 * _N_BLOCKS[n_axes], 0, _N_BLOCKS[n_axes] - 1).astype(int)
    number = block @ _N_BLOCKS[n_axes] ** np.arange(n_axes)
    *power, shared = (_sum_blocks(product, number) for product in (a * a, b * b, a * b))
    correlation = shared / np.sqrt(np.maximum(power[0] * power[1], 1e-9))
    # Where one of two has no detail, as in what was too bright, nothing can be compared.
    least = np.minimum(*power)
    value = _read_share(correlation, np.sqrt(least), _SHARE[n_axes])
    value = 1 - (1 - value) * _count_less(least, enough=_ENOUGH[n_axes])
    is_copy = (overlap.mean(axis=1) >= _MIN_OVERLAP) & _is_plausible(motion)
    return np.where(is_copy, value, 0.0)


def _sum_blocks(values: NDArray[np.float32], number: NDArray[np.int64]) -> NDArray[np.float32]:
    """Sum (N, P) over the places of each block that has enough of them, (N, blocks).

    Each row by itself, in the order of its places. The last bits of a product with a matrix of
    members would depend on how many rows it has.
    """
    order = np.argsort(number, kind="stable")
    _, starts, sizes = np.unique(number[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(values[:, order], starts, axis=1)
    return np.ascontiguousarray(sums[:, sizes >= _MIN_PLACES])


def _count_less(shared: NDArray[np.float32], *, enough: float) -> NDArray[np.float64]:
    """Return by how much disagreement grows where detail is in few of the blocks, from 1 up.

    The share of blocks is that of Simpson's index: as if so many held all detail evenly.
    """
    power = shared.astype(np.float64)
    evenly = power.sum(axis=1) ** 2 / np.maximum((power**2).sum(axis=1), 1e-12)
    spread = np.maximum(evenly / shared.shape[1], 0.01)
    result: NDArray[np.float64] = np.maximum(1, (enough / spread) ** 2)
    return result


def _is_plausible(motion: Motion) -> NDArray[np.bool_]:
    """Say of which maps altering a copy leads to them."""
    stretch = np.linalg.svd(motion.matrix, compute_uv=False)
    size = stretch.prod(axis=1)
    uneven = stretch[:, 0] / np.maximum(stretch[:, -1], 1e-6)
    result: NDArray[np.bool_] = (
        (size > _SMALLEST) & (size < _LARGEST) & (uneven < _MOST_UNEVEN[stretch.shape[1]])
    )
    return result


def _read_share(
    values: NDArray[np.float32], weights: NDArray[np.float32], share: float
) -> NDArray[np.float64]:
    """Return each row's value below which a share of its weight lies; 0 without weight."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    below = np.take_along_axis(weights, order, axis=1).cumsum(axis=1)
    at = (below >= share * below[:, -1:]).argmax(axis=1)
    chosen = ordered[np.arange(len(values)), at]
    return np.where(below[:, -1] > 0, chosen, 0.0).astype(np.float64)
