"""Cutting an image into supervoxels: compact parts that follow its edges."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import FloatVolume

Labels = NDArray[np.int64]
"""(I, J, K) int64: the supervoxel of each voxel, 0 to n - 1."""

_ROUNDS = 5
_GROWTH = 1.25

Cell = tuple[int, int, int]


def fit_cell(shape: tuple[int, int, int], cell: Cell, *, n_most: int) -> Cell:
    """Enlarge a cell, all axes alike, until no more than so many of them cover the grid.

    The longest axis is halved at least, so that there are parts to compare.

    Args:
        shape: Voxels (I, J, K).
        cell: Voxels of a supervoxel at the start.
        n_most: Largest number of supervoxels; below 2 counts as 2.
    """
    longest = max(shape)
    half = shape.index(longest)
    most = [-(-n // 2) if axis == half else n for axis, n in enumerate(shape)]
    factor = 1.0
    while True:
        i, j, k = (min(round(c * factor), m) for c, m in zip(cell, most, strict=True))
        if np.prod([-(-n // c) for n, c in zip(shape, (i, j, k), strict=True)]) <= max(n_most, 2):
            return i, j, k
        factor *= _GROWTH


def cut_supervoxels(volume: FloatVolume, *, cell: Cell) -> Labels:
    """Group voxels that are near each other and alike.

    Simple linear iterative clustering: centres start on a grid of cells, each voxel joins the
    nearest of the centres of its own cell and those around it, centres move to the mean of their
    voxels. Distance is in cells and in standard deviations of the image. Parts are not forced to
    hang together.

    Args:
        volume: (C, I, J, K) float32.
        cell: Voxels of a cell along (i, j, k).

    Source:
        Achanta 2012, doi:10.1109/TPAMI.2012.120.
    """
    grid = tuple(-(-n // c) for n, c in zip(volume.shape[1:], cell, strict=True))
    features = _describe_voxels(volume, cell)
    home = np.stack(
        [index // c for index, c in zip(np.indices(volume.shape[1:]), cell, strict=True)]
    ).reshape(3, -1)
    labels = _number(home, grid)
    for _ in range(_ROUNDS):
        centres = _average(features, labels, n=int(np.prod(grid)))
        labels = _join_nearest(features, centres, home=home, grid=grid)
    _, dense = np.unique(labels, return_inverse=True)
    return dense.reshape(volume.shape[1:]).astype(np.int64)


def _number(cells: NDArray[np.int64], grid: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the number of each cell (3, voxels)."""
    _, n_j, n_k = grid
    i, j, k = cells
    numbers: NDArray[np.int64] = (i * n_j + j) * n_k + k
    return numbers


def _describe_voxels(volume: FloatVolume, cell: Cell) -> NDArray[np.float64]:
    """Return place and intensities (3 + C, voxels), in cells and in standard deviations."""
    places = np.indices(volume.shape[1:]).reshape(3, -1) / np.array(cell)[:, None]
    values = volume.reshape(len(volume), -1).astype(np.float64)
    return np.vstack([places, values / (values.std() or 1.0)])


def _average(
    features: NDArray[np.float64], labels: NDArray[np.int64], *, n: int
) -> NDArray[np.float64]:
    """Return the mean features (3 + C, n) of each label; of one without voxels infinity."""
    counts = np.bincount(labels, minlength=n)
    sums = np.stack([np.bincount(labels, weights=row, minlength=n) for row in features])
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def _join_nearest(
    features: NDArray[np.float64],
    centres: NDArray[np.float64],
    *,
    home: NDArray[np.int64],
    grid: tuple[int, ...],
) -> NDArray[np.int64]:
    """Return for each voxel the nearest centre among those of the cells around its own."""
    best = np.full(features.shape[1], np.inf)
    labels = _number(home, grid)
    for shift in product((-1, 0, 1), repeat=3):
        near = np.clip(home + np.array(shift)[:, None], 0, np.array(grid)[:, None] - 1)
        candidate = _number(near, grid)
        distance = ((features - centres[:, candidate]) ** 2).sum(axis=0)
        is_nearer = distance < best
        best[is_nearer], labels[is_nearer] = distance[is_nearer], candidate[is_nearer]
    return labels
