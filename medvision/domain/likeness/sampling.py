"""Values of many thumbnails at the same or at different places, by linear interpolation."""

import numpy as np
from numpy.typing import NDArray

Stack = NDArray[np.float32]
"""(N, S, S) or (N, S, S, S) float32: thumbnails of one size."""

Places = NDArray[np.float64]
"""(P, D) or (N, P, D) float64: places in a thumbnail, -1 and 1 at the outer edges of each axis."""


def sample_stack(stack: Stack, places: Places) -> NDArray[np.float32]:
    """Interpolate every thumbnail; beyond the outermost centres the edge goes on.

    Args:
        stack: (N, S, ...) of D axes after the first.
        places: (P, D), the same in every thumbnail, or (N, P, D), each its own.

    Returns:
        (N, P) float32.
    """
    side, n_axes = stack.shape[1], stack.ndim - 1
    flat = stack.reshape(len(stack), side**n_axes)
    at = np.clip((places + 1) * (side / 2) - 0.5, 0, side - 1)
    low = np.minimum(at.astype(np.int64), side - 2)
    share = (at - low).astype(np.float32)
    strides = side ** np.arange(n_axes - 1, -1, -1)
    result: NDArray[np.float32] | None = None
    for corner in np.ndindex(*(2,) * n_axes):
        up = np.array(corner)
        index = ((low + up) * strides).sum(axis=-1)
        weight = np.where(up == 1, share, 1 - share).prod(axis=-1)
        held = flat[:, index] if places.ndim == 2 else np.take_along_axis(flat, index, axis=1)
        result = held * weight if result is None else result + held * weight
    return np.zeros((len(stack), 0), np.float32) if result is None else result


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
