"""Values of thumbnails at given places, by linear interpolation."""

import numpy as np
from numpy.typing import NDArray

Stack = NDArray[np.float32]
"""(N, S, S) or (N, S, S, S) float32: arrays of one size."""

Places = NDArray[np.float32]
"""(P, D) or (N, P, D) float32: places in a thumbnail, -1 and 1 at the outer edges of each axis."""

Columns = NDArray[np.float32]
"""(S × S, N) or (S × S × S, N) float32: the values of N arrays, one array a column."""

_AT_ONCE = 8


def sample_stack(stack: Stack, places: Places) -> NDArray[np.float32]:
    """Interpolate every array; beyond the outermost centres the edge goes on.

    Args:
        stack: (N, S, ...) of D axes after the first.
        places: (P, D), the same in every array, or (N, P, D), each its own.

    Returns:
        (N, P) float32.
    """
    result: NDArray[np.float32] = np.zeros((len(stack), places.shape[-2]), dtype=np.float32)
    is_shared = places.ndim == 2
    add = _add_shared if is_shared else _add_own
    # A few arrays at a time, which the processor's cache holds.
    for start in range(0, len(stack), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        add(result[part], stack[part], places if is_shared else places[part])
    return result


def list_columns(stack: Stack) -> Columns:
    """Lay arrays side by side, for places that are the same in all of them.

    Args:
        stack: (N, S, ...).
    """
    columns: Columns = np.ascontiguousarray(stack.reshape(len(stack), -1).T)
    return columns


def sample_columns(columns: Columns, places: Places, *, side: int) -> NDArray[np.float32]:
    """Interpolate every array at the same places; `sample_stack` for arrays laid out before.

    Args:
        columns: Of `list_columns`.
        places: (P, D).
        side: S of the arrays.

    Returns:
        (N, P) float32.
    """
    low, share = _split(places, side)
    base = _number(low, side)
    result = np.zeros((len(base), columns.shape[1]), dtype=np.float32)
    for offset, weight in _list_corners(share, side):
        held = columns[offset:].take(base, axis=0)
        held *= weight[:, None]
        result += held
    rows: NDArray[np.float32] = np.ascontiguousarray(result.T)
    return rows


def _add_shared(result: NDArray[np.float32], stack: Stack, places: Places) -> None:
    """Add to (N, P) zeros the values of a few arrays at the same places."""
    side = stack.shape[1]
    low, share = _split(places, side)
    base = _number(low, side)
    flat = stack.reshape(len(stack), -1)
    for offset, weight in _list_corners(share, side):
        held = flat.take(base + offset, axis=1)
        held *= weight
        result += held


def _add_own(result: NDArray[np.float32], stack: Stack, places: Places) -> None:
    """Add to (N, P) zeros the values of a few arrays, each at places of its own."""
    side = stack.shape[1]
    low, share = _split(places, side)
    base = _number(low, side)
    base += np.arange(len(stack))[:, None] * stack[0].size
    flat = stack.reshape(-1)
    for offset, weight in _list_corners(share, side):
        held = flat[offset:].take(base)
        held *= weight
        result += held


def _split(places: Places, side: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the lower neighbour along each axis (D, ...) and the upper one's share."""
    at = np.clip((places + np.float32(1)) * np.float32(side / 2) - np.float32(0.5), 0, side - 1)
    at = np.ascontiguousarray(np.moveaxis(at, -1, 0))
    low = np.minimum(at.astype(np.int32), side - 2)
    return low, (at - low).astype(np.float32)


def _number(low: NDArray[np.int32], side: int) -> NDArray[np.int64]:
    """Return the number, within an array, of the lowest of the neighbours of each place."""
    base: NDArray[np.int64] = low[0].astype(np.int64)
    for line in low[1:]:
        base *= side
        base += line
    return base


def _list_corners(share: NDArray[np.float32], side: int) -> list[tuple[int, NDArray[np.float32]]]:
    """Return how far on each neighbour lies, and its weight."""
    corners = [(0, np.ones(share.shape[1:], dtype=np.float32))]
    for axis, upper in enumerate(share):
        step, lower = side ** (len(share) - 1 - axis), 1 - upper
        corners = [
            (offset + up * step, weight * part)
            for offset, weight in corners
            for up, part in enumerate((lower, upper))
        ]
    return corners


def standardise(values: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give each row weighted mean 0 and standard deviation 1; a row without contrast becomes 0.

    Args:
        values: (N, P).
        weights: (P,) or (N, P), not negative.
    """
    total = np.maximum(weights.sum(axis=-1, keepdims=True), 1e-12)
    centred = values - (values * weights).sum(axis=-1, keepdims=True) / total
    spread = np.sqrt((centred**2 * weights).sum(axis=-1, keepdims=True) / total)
    result: NDArray[np.float32] = np.where(spread > 1e-6, centred / np.maximum(spread, 1e-6), 0)
    return result


def spread_places(n_points: int, n_axes: int, *, reach: float) -> Places:
    """Return a regular grid of places within a disc or ball.

    Args:
        n_points: Points from edge to edge.
        n_axes: 2 or 3.
        reach: Radius, the thumbnail's edge at 1.
    """
    line = np.linspace(-reach, reach, n_points)
    grid = np.stack(np.meshgrid(*[line] * n_axes, indexing="ij"), axis=-1).reshape(-1, n_axes)
    places: Places = grid[(grid**2).sum(axis=1) <= reach**2 + 1e-9].astype(np.float32)
    return places
