"""What is compared of a thumbnail: detail with the local brightness and contrast taken out."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.sampling import Stack

_FLOOR = 0.02
"""Contrast below which detail counts little: 5 of 255 grey levels, about what JPEG adds."""

_BRIGHTEST, _NEAR = np.float32(254 / 255), {2: 4, 3: 3}
"""Level of what may have been clipped, and how far its edge reaches into the detail around it."""

_COARSE_BLURS = (1.0, 3.0)
_FINE_BLURS = {2: (1.0, 2.5), 3: (0.7, 2.0)}


def fill_field(thumbnails: NDArray[np.uint8]) -> Stack:
    """Return thumbnails as 0 to 1, volumes without the padding around their field of view.

    A volume is stretched until it fills its cube, so that the end of its field of view, which
    lies elsewhere in a cropped copy, is no edge.

    Args:
        thumbnails: (N, 64, 64) or (N, 32, 32, 32) uint8 of `build_thumbnail`.
    """
    stack: Stack = thumbnails.astype(np.float32) / np.float32(255)
    if thumbnails.ndim == 3:
        return stack
    for axis in (1, 2, 3):
        weights = _stretch(thumbnails, axis)
        moved = np.moveaxis(stack, axis, 1)
        flat = weights @ moved.reshape(len(stack), moved.shape[1], -1)
        stack = np.moveaxis(flat.reshape(moved.shape), 1, axis)
    return np.ascontiguousarray(stack)


def bring_out_coarse(stack: Stack) -> Stack:
    """Return the coarse detail of thumbnails at half the size, (N, S / 2, ...)."""
    return _normalise(stack, *_COARSE_BLURS)


def bring_out_fine(stack: Stack) -> Stack:
    """Return the fine detail at full size."""
    return _normalise(stack, *_FINE_BLURS[stack.ndim - 1])


def find_clear(stack: Stack) -> Stack:
    """Return 1 where detail can be compared, 0 in and near what is as bright as can be.

    A copy made brighter and clipped has flat areas there, with edges that the original has not.

    Args:
        stack: (N, S, ...) of `fill_field`.
    """
    n_axes = stack.ndim - 1
    axes = tuple(range(1, stack.ndim))
    is_bright = stack >= _BRIGHTEST
    clear: Stack = np.ones(stack.shape, dtype=np.float32)
    # In fewer no place has all its neighbours bright, not even in a corner.
    rows = np.flatnonzero(is_bright.sum(axis=axes) >= 2**n_axes)
    is_flat = (_average(is_bright[rows].astype(np.float32), 1) > 1 - 1e-3).astype(np.float32)
    some = np.flatnonzero(is_flat.any(axis=axes))
    is_near = _average(is_flat[some], _NEAR[n_axes]) > 1e-6
    clear[rows[some]] = (~is_near).astype(np.float32)
    return clear


def _average(stack: Stack, reach: int) -> Stack:
    """Average over the box of so many pixels on each side, within the thumbnail."""
    away = np.abs(np.arange(stack.shape[1])[:, None] - np.arange(stack.shape[1]))
    matrix = (away <= reach).astype(np.float32)
    return _apply_along(stack, matrix / matrix.sum(axis=1, keepdims=True))


def _stretch(thumbnails: NDArray[np.uint8], axis: int) -> NDArray[np.float32]:
    """Return the weights (N, S, S) that interpolate the field of view onto the whole axis."""
    side = thumbnails.shape[axis]
    others = tuple(other for other in (1, 2, 3) if other != axis)
    is_seen = np.asarray(thumbnails.max(axis=others)) > 0
    first = is_seen.argmax(axis=1).astype(np.float32)[:, None]
    last = side - 1 - is_seen[:, ::-1].argmax(axis=1).astype(np.float32)[:, None]
    share = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / side
    # Not beyond the outermost centres, so that nothing is mixed with the padding.
    at = np.clip(first - 0.5 + share * (last - first + 1), first, last)
    away = np.abs(at[:, :, None] - np.arange(side, dtype=np.float32))
    weights: NDArray[np.float32] = np.maximum(1 - away, 0).astype(np.float32)
    return weights


def _normalise(stack: Stack, fine: float, coarse: float) -> Stack:
    """Blur, take out the local mean and divide by the local spread."""
    smooth = blur(stack, fine)
    detail = smooth - blur(smooth, coarse)
    spread = np.sqrt(np.maximum(blur(detail**2, coarse), 0) + np.float32(_FLOOR**2))
    result: Stack = np.ascontiguousarray(detail / spread, dtype=np.float32)
    return result


def blur(stack: Stack, sigma: float) -> Stack:
    """Blur by a Gaussian of a standard deviation in pixels; beyond the edge is nothing.

    Args:
        stack: (N, S, ...).
        sigma: In pixels, above 0.
    """
    side = stack.shape[1]
    away = np.arange(side)[:, None] - np.arange(side)
    matrix = np.exp(-0.5 * (away / sigma) ** 2)
    return _apply_along(stack, (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32))


def _apply_along(stack: Stack, matrix: NDArray[np.float32]) -> Stack:
    """Apply a matrix along every axis but the first."""
    result = stack
    for axis in range(1, stack.ndim):
        moved = np.moveaxis(result, axis, -1) @ matrix.T
        result = np.moveaxis(moved, -1, axis)
    return result


def halve(stack: Stack) -> Stack:
    """Average blocks of two along each axis: (N, S / 2, ...)."""
    result = stack
    for axis in range(1, stack.ndim):
        shape = result.shape
        split = (*shape[:axis], shape[axis] // 2, 2, *shape[axis + 1 :])
        result = result.reshape(split).mean(axis=axis + 1)
    return result
