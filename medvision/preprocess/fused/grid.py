"""The grid that orientation, crop and spacing lead to, as one map per source axis."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine, compute_spacing_mm
from medvision.domain.volume import GridShape

Coordinates = NDArray[np.float64]
"""(N,) float64: fractional source indices along one axis."""

Box = tuple[tuple[int, int], ...]
"""(first, end) along each of three axes."""

_AFFINE_TOLERANCE = 1e-3
"""MONAI's: a spacing, or an affine, this near to the wanted one is left as it is."""

_LARGEST_DRIFT = 1e-4
"""Source voxels by which a far corner may lie off its axis before the map is no longer separable.

An affine held as float32 has columns that are orthogonal to 1e-7 only.
"""


@dataclass(frozen=True)
class Grid:
    """A grid that runs along the axes of its source.

    Args:
        affine: (4, 4), index of this grid to RAS+ mm.
        axes: Source axis that each axis runs along.
        coordinates: Along each axis of this grid, the source indices of its voxels.
    """

    affine: Affine
    axes: tuple[int, int, int]
    coordinates: tuple[Coordinates, Coordinates, Coordinates]

    @property
    def shape(self) -> GridShape:
        """Voxels (i, j, k)."""
        i, j, k = (len(line) for line in self.coordinates)
        return i, j, k


def start_grid(shape: GridShape, affine: Affine) -> Grid:
    """Return the source's own grid."""
    i, j, k = (np.arange(length, dtype=np.float64) for length in shape)
    return Grid(affine.astype(np.float64), (0, 1, 2), (i, j, k))


def orient_grid(grid: Grid, axcodes: str) -> Grid:
    """Flip and permute the axes until they run to the directions of `axcodes`.

    Source:
        nibabel.orientations.io_orientation: the nearest rotation by singular vectors, then the
        strongest alignment first.
    """
    world, sign = _find_directions(grid.affine)
    wanted = [("LR", "PA", "IS")["LRPAIS".index(code) // 2] for code in axcodes]
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    axes, lines = [], []
    for axis, letters in enumerate(wanted):
        held = world.index("LRPAIS".index(letters[0]) // 2)
        is_flipped = sign[held] != (1 if axcodes[axis] == letters[1] else -1)
        line = grid.coordinates[held]
        matrix[held, axis] = -1.0 if is_flipped else 1.0
        matrix[held, 3] = len(line) - 1 if is_flipped else 0.0
        axes.append(grid.axes[held])
        lines.append(line[::-1] if is_flipped else line)
    return Grid(grid.affine @ matrix, (axes[0], axes[1], axes[2]), (lines[0], lines[1], lines[2]))


def crop_grid(grid: Grid, box: Box) -> Grid:
    """Keep a box of the source.

    Args:
        grid: Oriented, not yet resampled.
        box: (first, end) along each source axis.
    """
    lines, first = [], []
    for source, line in zip(grid.axes, grid.coordinates, strict=True):
        kept = (line >= box[source][0]) & (line < box[source][1])
        first.append(int(np.argmax(kept)))
        lines.append(line[kept])
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array(first, dtype=np.float64)
    return replace(grid, affine=affine, coordinates=(lines[0], lines[1], lines[2]))


def space_grid(grid: Grid, pixdim: list[float]) -> Grid:
    """Give the grid another spacing along its own axes, its first voxel centre kept.

    Args:
        grid: Not yet resampled.
        pixdim: Voxel size (i, j, k) in mm.

    Source:
        MONAI, Spacing with its defaults: zoom_affine and compute_shape_offset.
    """
    zoomed = _zoom(grid.affine, pixdim)
    shape, zoomed[:3, 3] = _find_extent(grid, zoomed)
    index_map = np.linalg.solve(grid.affine, zoomed)
    is_same = shape == grid.shape and (
        np.allclose(grid.affine, zoomed, atol=_AFFINE_TOLERANCE)
        or np.allclose(index_map, np.eye(4), atol=_AFFINE_TOLERANCE)
    )
    if is_same:
        return grid
    lines = []
    for axis, line in enumerate(grid.coordinates):
        inner = np.arange(shape[axis]) * index_map[axis, axis] + index_map[axis, 3]
        step = 1.0 if len(line) < 2 else line[1] - line[0]
        lines.append(line[0] + step * np.clip(inner, 0, len(line) - 1))
    return replace(grid, affine=zoomed, coordinates=(lines[0], lines[1], lines[2]))


def is_separable(shape: GridShape, affine: Affine) -> bool:
    """Say whether other spacings along an image's axes are reached axis by axis.

    They are unless the axes are sheared: MONAI's grid is then not sheared.
    """
    index_map = np.linalg.solve(affine[:3, :3], _zoom(affine, [1.0, 1.0, 1.0])[:3, :3])
    scale = np.abs(np.diag(index_map))
    drift = np.abs(index_map - np.diag(np.diag(index_map))) / scale * np.array(shape)
    return bool(drift.max() < _LARGEST_DRIFT)


def _zoom(affine: Affine, pixdim: list[float]) -> Affine:
    """Return an affine of other spacing and no shear, its origin at 0."""
    held = compute_spacing_mm(affine)
    scale = [
        have if abs(have - want) <= _AFFINE_TOLERANCE else want
        for have, want in zip(held, pixdim, strict=True)
    ]
    linear = affine[:3, :3]
    stretch = np.linalg.cholesky(linear.T @ linear).T
    result: Affine = np.eye(4)
    result[:3, :3] = linear @ np.linalg.inv(stretch) @ np.diag(np.sign(np.diag(stretch)) * scale)
    return result


def _find_extent(grid: Grid, zoomed: Affine) -> tuple[GridShape, NDArray[np.float64]]:
    """Return the shape that spans the same centres, and the first of them in mm."""
    ends = [(0.0, length - 1.0) for length in grid.shape]
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1)
    corners = np.concatenate((corners, np.ones_like(corners[:1])))
    out = (np.linalg.solve(zoomed, grid.affine) @ corners)[:3]
    i, j, k = np.round(np.ptp(out, axis=1) + 1.0).astype(int).tolist()
    # The first corner is kept where it is the least along every axis, rounding included; else
    # the middles of both grids meet.
    if np.allclose(np.min(out - out[:, :1], axis=1), 0.0):
        return (i, j, k), (grid.affine @ corners)[:3, 0]
    middle = grid.affine[:3, :3] @ (np.array(grid.shape) / 2) + grid.affine[:3, 3]
    return (i, j, k), middle - zoomed[:3, :3] @ (np.array([i, j, k]) / 2)


def _find_directions(affine: Affine) -> tuple[list[int], list[int]]:
    """Return the world axis of each axis, and whether it runs up (1) or down (-1) along it."""
    linear = affine[:3, :3]
    left, strength, right = np.linalg.svd(linear / np.sqrt(np.sum(linear * linear, axis=0)))
    kept = strength > strength.max() * 3 * np.finfo(np.float64).eps
    rotation = left[:, kept] @ right[kept]
    world, sign = [0, 0, 0], [1, 1, 1]
    for axis in np.argsort(np.min(-(rotation**2), axis=0)):
        column = rotation[:, axis]
        world[axis] = int(np.argmax(np.abs(column)))
        sign[axis] = -1 if column[world[axis]] < 0 else 1
        rotation[world[axis], :] = 0
    return world, sign
