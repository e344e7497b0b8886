"""Slices laid on an even, upright grid by linear interpolation."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import FloatGrid, NumberGrid

_EDGE = 1e-6
"""Voxels; what lies outside by less lies on the edge."""

SliceArray = NDArray[np.float64]
"""(I, J, ...) one slice."""

_Moved = tuple[SliceArray, NDArray[np.bool_]]
"""A slice in its new place; where it lies there."""


@dataclass(frozen=True)
class Resampling:
    """How the slices of a stack become an even, upright grid.

    Args:
        lower: For each new slice the number of the source slice at it or below it.
        shares: For each new slice the share of the source slice above that one, 0 to below 1.
        offsets: For each source slice the place (i, j) of its first voxel in the new grid, in
            voxels, 0 or more; empty where slices stay in place.
        margins: Voxels (i, j) by which the new grid is larger, so that no slice is cut.
    """

    lower: tuple[int, ...]
    shares: tuple[float, ...]
    offsets: tuple[tuple[float, float], ...] = ()
    margins: tuple[int, int] = (0, 0)


def resample(array: NumberGrid, resampling: Resampling) -> FloatGrid:
    """Lay a stack on a new grid.

    Each slice is first moved within its plane, then slices are mixed. Linear in each direction;
    voxels that lie outside a moved slice, or outside one of two that are mixed, get the smallest
    value of the array.

    Args:
        array: (I, J, K) of any real number type; further axes (volumes, colours) are kept.
        resampling: For K source slices.

    Returns:
        (I + margin, J + margin, K') float32.

    Source:
        none: linear interpolation.
    """
    fill = float(np.nanmin(array)) if array.size and not np.isnan(array).all() else 0.0

    @lru_cache(maxsize=2)
    def move(k: int) -> _Moved:
        return _move(array[:, :, k], resampling, k)

    n_i, n_j = (array.shape[d] + resampling.margins[d] for d in (0, 1))
    shape = (n_i, n_j, len(resampling.lower), *array.shape[3:])
    result: FloatGrid = np.empty(shape, dtype=np.float32, order="F")
    for k, (lower, share) in enumerate(zip(resampling.lower, resampling.shares, strict=True)):
        plane, is_inside = move(lower)
        # Not by a share of 0, which would spread NaN and what lies outside.
        if share > 0:
            upper, is_inside_too = move(lower + 1)
            plane = (1 - share) * plane + share * upper
            is_inside = is_inside & is_inside_too
        result[:, :, k] = plane
        result[:, :, k][~is_inside] = fill
    return result


def _move(plane: NumberGrid, resampling: Resampling, k: int) -> _Moved:
    """Move a slice to its place in the new plane, and say where in it the slice lies."""
    values: SliceArray = np.asarray(plane, dtype=np.float64)
    if not resampling.offsets:
        return values, np.ones(values.shape[:2], dtype=bool)
    margin_i, margin_j = resampling.margins
    offset_i, offset_j = resampling.offsets[k]
    values, is_inside_i = _move_axis(values, offset_i, margin=margin_i)
    values, is_inside_j = _move_axis(values.swapaxes(0, 1), offset_j, margin=margin_j)
    return values.swapaxes(0, 1), np.logical_and.outer(is_inside_i, is_inside_j)


def _move_axis(plane: SliceArray, offset: float, *, margin: int) -> _Moved:
    """Move a plane along its first axis by a number of voxels."""
    length = plane.shape[0]
    source = np.arange(length + margin) - offset
    is_inside = (source >= -_EDGE) & (source <= length - 1 + _EDGE)
    source = np.clip(source, 0, length - 1)
    lower = np.minimum(source.astype(np.intp), max(length - 2, 0))
    upper = np.minimum(lower + 1, length - 1)
    # Shares next to 0 and 1 are those: a shift by whole voxels changes no value.
    share = source - lower
    share = np.where(np.abs(share - np.rint(share)) <= _EDGE, np.rint(share), share)
    share = share.reshape(-1, *[1] * (plane.ndim - 1))
    mixed = (1 - share) * plane[lower] + share * plane[upper]
    moved: SliceArray = np.where(
        share == 0, plane[lower], np.where(share == 1, plane[upper], mixed)
    )
    return moved, is_inside


def plan_shares(
    heights_mm: NDArray[np.float64], *, count: int, step_mm: float
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return which source slices make each slice of an even grid from the first one on.

    Args:
        heights_mm: (K,) at least two, rising.
        count: New slices, none beyond the last source slice.
        step_mm: Distance of new slices.

    Returns:
        (lower, shares) of Resampling.
    """
    new = np.clip(heights_mm[0] + step_mm * np.arange(count), None, heights_mm[-1])
    lower = np.clip(np.searchsorted(heights_mm, new, side="right") - 1, 0, len(heights_mm) - 2)
    shares = (new - heights_mm[lower]) / np.diff(heights_mm)[lower]
    nearest = np.rint(shares)
    shares = np.where(np.abs(shares - nearest) <= _EDGE, nearest, shares)
    is_upper = shares >= 1
    return (
        tuple(map(int, lower + is_upper)),
        tuple(map(float, np.where(is_upper, 0.0, shares))),
    )
