"""An image with its place in space, and its resampling onto another grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine, compute_index_map, transform_points
from medvision.errors import GeometryError

FloatVolume = NDArray[np.float32]
"""(C, I, J, K) float32; a 2D image has K = 1."""

FloatGrid = NDArray[np.float32]
"""(I, J, K) float32: one channel."""

NumberGrid = NDArray[np.number]
"""(I, J, K) of any number type, as files hold it."""

GridShape = tuple[int, int, int]
"""Voxels (i, j, k) of an image; a 2D image has k = 1."""

_MAX_POINTS = 2_000_000


@dataclass(frozen=True)
class Volume:
    """An array (C, I, J, K) and its affine (voxel index to RAS+ mm)."""

    array: FloatVolume
    affine: Affine


def format_shape(shape: Sequence[int]) -> str:
    """Return a shape of any number of axes as tables hold it, such as 64x64x24."""
    return "x".join(str(length) for length in shape)


def parse_shape(text: str) -> GridShape:
    """Return the shape (i, j, k) of an image that `format_shape` wrote.

    Raises:
        GeometryError: The text is not three positive numbers joined by x.
    """
    parts = text.split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise GeometryError(f"table: shape must be such as 64x64x24, got {text!r}.")
    i, j, k = (int(part) for part in parts)
    return i, j, k


def resample_grid(
    grid: FloatGrid,
    affine: Affine,
    *,
    to_affine: Affine,
    to_shape: GridShape,
    nearest: bool,
    fill: float,
) -> FloatGrid:
    """Sample a grid at the voxel centres of another grid.

    Values are interpolated, not summed: a map keeps its sign and scale.

    Args:
        grid: Source array (I, J, K) float32.
        affine: Affine of `grid`.
        to_affine: Affine of the result.
        to_shape: Shape (I', J', K') of the result.
        nearest: Take the nearest voxel (masks) instead of trilinear interpolation.
        fill: Value outside the source, beyond half a voxel from its outermost centres.

    Returns:
        Array (I', J', K') float32.
    """
    index_map = compute_index_map(to_affine, affine)
    result = np.empty(int(np.prod(to_shape)), dtype=np.float32)
    for start in range(0, result.size, _MAX_POINTS):
        stop = min(start + _MAX_POINTS, result.size)
        voxels = np.stack(np.unravel_index(np.arange(start, stop), to_shape), axis=1)
        points = transform_points(index_map, voxels.astype(np.float64))
        result[start:stop] = _sample(grid, points, nearest=nearest, fill=fill)
    return result.reshape(to_shape)


def _sample(
    grid: FloatGrid, points: NDArray[np.float64], *, nearest: bool, fill: float
) -> NDArray[np.float32]:
    """Interpolate `grid` at fractional voxel indices (N, 3)."""
    limit = np.array(grid.shape) - 1
    inside = ((points > -0.5 - 1e-6) & (points < limit + 0.5 + 1e-6)).all(axis=1)
    clamped = np.clip(points, 0, limit)
    if nearest:
        i, j, k = np.rint(clamped).astype(np.intp).T
        values = grid[i, j, k]
    else:
        values = _interpolate(grid, clamped, limit=limit)
    result: NDArray[np.float32] = np.where(inside, values, fill).astype(np.float32)
    return result


def _interpolate(
    grid: FloatGrid, points: NDArray[np.float64], *, limit: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Weigh the eight neighbours of each point; points lie within the grid."""
    low = np.minimum(np.floor(points).astype(np.intp), np.maximum(limit - 1, 0))
    high = np.minimum(low + 1, limit)
    weight = points - low
    total = np.zeros(len(points))
    for corner in range(8):
        pick = [(corner >> axis) & 1 for axis in range(3)]
        index = tuple((high if up else low)[:, axis] for axis, up in enumerate(pick))
        factor = np.prod(
            [weight[:, a] if up else 1 - weight[:, a] for a, up in enumerate(pick)], axis=0
        )
        total += factor * grid[index]
    return total
