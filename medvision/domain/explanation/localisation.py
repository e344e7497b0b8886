"""How well a map outlines a mask: its strongest voxels, Otsu's outline, and random places."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.attribution import MaskGrid
from medvision.domain.volume import FloatGrid

_BINS = 256


def share_top(grid: FloatGrid, n: int) -> NDArray[np.float64]:
    """Return by how much each voxel counts among the n largest of a map, in [0, 1].

    Voxels above the n-th value count whole; those equal to it share what is left, so that no
    voxel is favoured for its place in the file.

    Args:
        grid: Map (I, J, K).
        n: 1 to the number of voxels.
    """
    least = np.partition(grid, grid.size - n, axis=None)[grid.size - n]
    above, tied = grid > least, grid == least
    shares: NDArray[np.float64] = above + tied * ((n - above.sum()) / tied.sum())
    return shares


def compute_rank_accuracy(grid: FloatGrid, mask: MaskGrid) -> float:
    """Return the share of the largest voxels that lie inside the mask, in [0, 1].

    As many voxels are looked at as the mask has.

    Args:
        grid: Map (I, J, K).
        mask: Same shape, not empty.

    Source:
        Arras, Osman, Samek 2022, doi:10.1016/j.inffus.2021.11.008 (relevance rank accuracy).
    """
    n = int(mask.sum())
    return float(share_top(grid, n)[mask].sum()) / n


def compute_otsu_threshold(values: NDArray[np.float64]) -> float:
    """Return the value that parts values into two groups of the largest variance between them.

    Args:
        values: At least two different ones.

    Returns:
        The upper edge of the bin, one of 256 from the smallest to the largest value; the first of
        equals.

    Source:
        Otsu 1979, doi:10.1109/TSMC.1979.4310076.
    """
    counts, edges = np.histogram(values, bins=_BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    low = np.cumsum(counts)[:-1]
    high = len(values.reshape(-1)) - low
    sums = np.cumsum(counts * middles)
    gap = sums[:-1] / np.maximum(low, 1) - (sums[-1] - sums[:-1]) / np.maximum(high, 1)
    return float(edges[1:-1][int(np.argmax(low * high * gap**2))])


def outline(grid: FloatGrid) -> MaskGrid:
    """Return the voxels of a map whose positive part lies above Otsu's threshold.

    A map with nothing positive, or all of one positive value, outlines nothing.

    Args:
        grid: Map (I, J, K).
    """
    positive = np.maximum(grid, 0).astype(np.float64)
    if np.ptp(positive) == 0:
        return np.zeros(grid.shape, dtype=np.bool_)
    marked: MaskGrid = positive > compute_otsu_threshold(positive)
    return marked


def compute_iou(a: MaskGrid, b: MaskGrid) -> float:
    """Return the intersection over the union of two masks of one shape, not both empty, in [0, 1].

    Source:
        Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x.
    """
    return float((a & b).sum() / (a | b).sum())


def compute_placement_sums(
    values: NDArray[np.float64], mask: MaskGrid, *, n: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the sum of values inside the mask at random places of the grid, (n,).

    The mask is shifted around the grid as on a torus.

    Args:
        values: (I, J, K).
        mask: Same shape, not empty.
        n: Number of places.
        rng: Source of randomness.

    Source:
        none: own definition (the null of a permutation test of place).
    """
    shape, flat = values.shape, values.reshape(-1)
    i, j, k = np.nonzero(mask)
    sums = np.empty(n)
    for place, (a, b, c) in enumerate(rng.integers(0, shape, size=(n, 3))):
        rows = (i + a) % shape[0] * shape[1] + (j + b) % shape[1]
        sums[place] = flat[rows * shape[2] + (k + c) % shape[2]].sum()
    return sums


def compute_placement_masses(
    grid: FloatGrid, mask: MaskGrid, *, n: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the relevance mass inside the mask at random places of the image, (n,).

    The mask is shifted around the grid as on a torus, so that the mean over all places is
    exactly the mask's share of the volume.

    Args:
        grid: Map (I, J, K), positive somewhere.
        mask: (I, J, K), not empty.
        n: Number of places.
        rng: Source of randomness.

    Source:
        none: own definition (a permutation test of the relevance mass).
    """
    positive = np.maximum(grid, 0).astype(np.float64)
    positive /= positive.sum()
    return compute_placement_sums(positive, mask, n=n, rng=rng)
