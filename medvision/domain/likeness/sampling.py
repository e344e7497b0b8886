"""Values of thumbnails at given places, by linear interpolation."""

import numpy as np
from numpy.typing import NDArray

Stack = NDArray[np.float32]
"""(N, S, S) or (N, S, S, S) float32: arrays of one size."""

Places = NDArray[np.float32]
"""(P, D) or (N, P, D) float32: places in a thumbnail, -1 and 1 at the outer edges of each axis."""


def sample_stack(stack: Stack, places: Places) -> NDArray[np.float32]:
    """Interpolate every array; beyond the outermost centres the edge goes on.

    Args:
        stack: (N, S, ...) of D axes after the first.
        places: (P, D), the same in every array, or (N, P, D), each its own.

    Returns:
        (N, P) float32.
    """
    side, n_axes = stack.shape[1], stack.ndim - 1
    at = np.clip((places + np.float32(1)) * np.float32(side / 2) - np.float32(0.5), 0, side - 1)
    low = np.minimum(at.astype(np.int32), side - 2)
    share = (at - low).astype(np.float32)
    base = np.zeros(low.shape[:-1], dtype=np.int64)
    for axis in range(n_axes):
        base = base * side + low[..., axis]
    flat: NDArray[np.float32] = stack.reshape(len(stack), side**n_axes)
    is_shared = places.ndim == 2
    if not is_shared:
        base += np.arange(len(stack))[:, None] * side**n_axes
        flat = flat.reshape(-1)
    result: NDArray[np.float32] = np.zeros((len(stack), base.shape[-1]), dtype=np.float32)
    for corner in np.ndindex(*(2,) * n_axes):
        offset = sum(up * side ** (n_axes - 1 - axis) for axis, up in enumerate(corner))
        weight = np.ones(base.shape, dtype=np.float32)
        for axis, up in enumerate(corner):
            weight *= share[..., axis] if up else 1 - share[..., axis]
        held = flat.take(base + offset, axis=1) if is_shared else flat.take(base + offset)
        result += held * weight
    return result


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
