"""What is told of maps beside their structural similarity: rank correlation and entropy."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import FloatGrid


def compute_rank_correlation(a: FloatGrid, b: FloatGrid) -> float:
    """Return Spearman's correlation of two maps over their voxels, with their signs, in [-1, 1].

    The sign is part of what a map claims: a map and its negative have -1. Equal values share
    their mean rank. NaN where either map has one value alone and so no order.

    Args:
        a: Map (I, J, K).
        b: Map (I, J, K) on the same grid.

    Source:
        Spearman 1904, doi:10.2307/1412159; of attribution maps as in Adebayo 2018,
        arXiv:1810.03292, there with and without the sign.
    """
    x, y = _rank(a), _rank(b)
    x -= x.mean()
    y -= y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else float("nan")


def _rank(grid: FloatGrid) -> NDArray[np.float64]:
    """Return the rank of each voxel, equal values sharing their mean rank."""
    _, index, counts = np.unique(grid, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[index.reshape(-1)]
    return ranks


def compute_entropy(grid: FloatGrid) -> float:
    """Return how evenly a map is spread over its voxels, from 0 (one voxel) to 1 (all alike).

    Shannon's entropy of the absolute map divided by its sum, as a share of the logarithm of the
    number of voxels. It does not change with the map's scale or sign. NaN where the map is zero
    everywhere, or has one voxel.

    Args:
        grid: Map (I, J, K).

    Source:
        none: own definition, after Shannon 1948, doi:10.1002/j.1538-7305.1948.tb01338.x.
    """
    size = np.abs(grid).astype(np.float64).reshape(-1)
    total = float(size.sum())
    if total == 0 or len(size) < 2:
        return float("nan")
    shares = size[size > 0] / total
    return max(0.0, float(-(shares * np.log(shares)).sum())) / float(np.log(len(size)))
