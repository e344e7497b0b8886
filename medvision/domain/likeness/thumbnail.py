"""Small arrays of whole images, by which images are compared."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import NumberGrid

Thumbnail = NDArray[np.uint8]
"""(64, 64) uint8 of an image, (32, 32, 32) uint8 of a volume."""

_SIDES = {2: 64, 3: 32}


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
    held = np.nan_to_num(array.astype(np.float32), posinf=0, neginf=0)
    extent = np.array(array.shape) * np.array(spacing_mm)
    for axis in range(dims):
        n = side if dims == 2 else max(1, round(side * extent[axis] / extent.max()))
        held = _resize(held, axis, n)
    low, high = float(held.min()), float(held.max())
    held = (held - low) * (255 / (high - low) if high > low else 0)
    if dims == 2:
        return held[:, :, 0].round().astype(np.uint8)
    cube = np.zeros((side,) * 3, dtype=np.uint8)
    first = [(side - n) // 2 for n in held.shape]
    place = tuple(slice(a, a + n) for a, n in zip(first, held.shape, strict=True))
    cube[place] = held.round()
    return cube


def _resize(held: NDArray[np.float32], axis: int, n: int) -> NDArray[np.float32]:
    length = held.shape[axis]
    edges = np.linspace(0, length, n + 1)
    weights = np.clip(
        np.minimum(edges[1:, None], np.arange(1, length + 1))
        - np.maximum(edges[:-1, None], np.arange(length)),
        0,
        None,
    ).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, held, axes=(1, axis)), 0, axis)
