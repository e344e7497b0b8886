"""Distance of two images as pixels, whichever way one was flipped or moved by a voxel."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medvision.domain.synthesis.sample import Distances

Images = NDArray[np.float32]
"""(N, C, I, J) or (N, C, I, J, K) float32: whole images of one size."""

_SIDES = {2: 64, 3: 32}
_LEAST_SPREAD = 1e-6


def pool_images(images: Images) -> Images:
    """Return images of at most 64 pixels a side, volumes of 32, by means of whole blocks.

    Args:
        images: (N, C, *spatial).
    """
    limit = _SIDES[images.ndim - 2]
    held = images
    for axis in range(2, images.ndim):
        length = held.shape[axis]
        factor = -(-length // limit)
        if factor > 1:
            n, start = length // factor, (length % factor) // 2
            held = np.take(held, np.arange(start, start + n * factor), axis=axis)
            shape = (*held.shape[:axis], n, factor, *held.shape[axis + 1 :])
            held = held.reshape(shape).mean(axis=axis + 1, dtype=np.float32)
    return held


def measure_altered(first: Images, second: Images) -> Distances:
    """Measure how far images lie apart at the best of all flips and moves by one voxel.

    Each image has its mean 0 and its spread 1, so that brightness and contrast tell nothing apart.
    The outermost voxels of the second are left out, as of the first what moves out.

    Args:
        first: (N, C, *spatial), at least 3 voxels a side.
        second: (M, C, *spatial) of the same size.

    Returns:
        (N, M) from 0 (the same image) over the root of 2 (nothing in common) to 2; sqrt(2 - 2r) of
        the correlation r over voxels.

    Source:
        none: own definition.
    """
    spatial = second.shape[2:]
    inner = second[(slice(None), slice(None), *(slice(1, n - 1) for n in spatial))]
    wanted = _standardise(inner)
    best = np.full((len(first), len(second)), -1.0, dtype=np.float32)
    for altered in _alter(first):
        np.maximum(best, _standardise(altered) @ wanted.T, out=best)
    result: Distances = np.sqrt(np.maximum(2.0 - 2.0 * best.astype(np.float64), 0.0))
    return result


def _alter(images: Images) -> Iterator[Images]:
    """Yield the images flipped along every choice of axes and moved by up to one voxel each way."""
    spatial = images.shape[2:]
    for flips in np.ndindex(*(2,) * len(spatial)):
        axes = tuple(axis + 2 for axis, is_flipped in enumerate(flips) if is_flipped)
        flipped = np.flip(images, axes) if axes else images
        for start in np.ndindex(*(3,) * len(spatial)):
            window = tuple(slice(a, a + n - 2) for a, n in zip(start, spatial, strict=True))
            yield flipped[(slice(None), slice(None), *window)]


def _standardise(images: Images) -> NDArray[np.float32]:
    """Return rows of mean 0 and length 1; zeros of an image without contrast."""
    rows = images.reshape(len(images), math.prod(images.shape[1:])).astype(np.float32)
    rows = rows - rows.mean(axis=1, keepdims=True)
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    is_flat = size <= _LEAST_SPREAD * math.sqrt(rows.shape[1])
    result: NDArray[np.float32] = np.where(is_flat, 0.0, rows / np.where(is_flat, 1.0, size))
    return result
