"""Small arrays of whole images, by which images are compared."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import NumberGrid

Thumbnail = NDArray[np.uint8]
"""(64, 64) uint8 of an image, (32, 32, 32) uint8 of a volume."""

_SIDES = {2: 64, 3: 32}
_ROUNDING = 1e-5


def build_thumbnail(array: NumberGrid, *, spacing_mm: tuple[float, float, float]) -> Thumbnail:
    """Resize the whole field of view of an image by area averaging.

    Args:
        array: (I, J, K), any number type, K = 1 for a 2D image.
        spacing_mm: Voxel size (i, j, k).

    Returns:
        The thumbnail, from its lowest value to its highest.
    """
    dims = 2 if array.shape[2] == 1 else 3
    side = _SIDES[dims]
    extent = np.array(array.shape) * np.array(spacing_mm)
    n_i, n_j, n_k = (
        side if dims == 2 else max(1, round(side * length / extent.max())) for length in extent
    )
    along_i, along_j = _weigh(array.shape[0], n_i), _weigh(array.shape[1], n_j)
    # Plane by plane: a whole volume of floats would take several times the memory of the image.
    planes = [along_i @ _clean(array[:, :, k]) @ along_j.T for k in range(array.shape[2])]
    held: NDArray[np.float32] = np.stack(planes, axis=2)
    if dims == 2:
        return _scale(held[:, :, 0])
    resized: NDArray[np.float32] = held @ _weigh(array.shape[2], n_k).T
    # 0 is kept for what lies around the field of view.
    grey = np.maximum(_scale(resized), 1) if resized.any() else _scale(resized)
    cube = np.zeros((side,) * 3, dtype=np.uint8)
    first = [(side - n) // 2 for n in grey.shape]
    cube[tuple(slice(a, a + n) for a, n in zip(first, grey.shape, strict=True))] = grey
    return cube


def _clean(plane: NumberGrid) -> NDArray[np.float32]:
    """Return a plane as numbers, 0 where it holds none."""
    return np.nan_to_num(plane.astype(np.float32), nan=0, posinf=0, neginf=0)


def _weigh(length: int, n: int) -> NDArray[np.float32]:
    """Return the matrix (n, length) of the share of each pixel in each of n equal parts."""
    edges, index = np.linspace(0, length, n + 1)[:, np.newaxis], np.arange(length)
    covered = np.minimum(edges[1:], index + 1) - np.maximum(edges[:-1], index)
    weights = np.clip(covered, 0, None)
    matrix: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix


def _scale(held: NDArray[np.float32]) -> Thumbnail:
    """Return grey levels from the lowest value to the highest."""
    low, high = float(held.min()), float(held.max())
    # The rounding of the means of equal values is no contrast.
    if high - low <= _ROUNDING * max(abs(low), abs(high)):
        return np.zeros(held.shape, dtype=np.uint8)
    grey: Thumbnail = ((held - low) * (255 / (high - low))).round().astype(np.uint8)
    return grey
