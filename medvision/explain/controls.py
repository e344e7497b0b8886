"""Negative controls that know nothing of the network, and the centre prior."""

import numpy as np
from scipy.ndimage import gaussian_filter

from medvision.domain.geometry import compute_spacing_mm
from medvision.domain.volume import FloatGrid
from medvision.explain.case import CaseImage
from medvision.explain.names import EDGE, RANDOM
from medvision.runtime.seeds import derive_seed

_CENTRE_SPREAD = 0.125


def build_controls(
    image: CaseImage, *, image_id: str, block: tuple[int, int, int], seed: int
) -> dict[str, FloatGrid]:
    """Return the control maps of an image by their names.

    Args:
        image: The image's array and geometry.
        image_id: Part of the random map's seed.
        block: Voxels (i, j, k) of a deleted box; the random map is as smooth as half of it.
        seed: Seed of the random map.
    """
    return {
        EDGE: compute_edge_map(image),
        RANDOM: draw_random_map(
            compute_edge_map(image).shape, block=block, seed=derive_seed(seed, "map", image_id)
        ),
    }


def compute_edge_map(image: CaseImage) -> FloatGrid:
    """Return the size of the intensity gradient per mm (I, J, K), channels summed.

    Source:
        Adebayo 2018, arXiv:1810.03292 (the edge detector that passes for an explanation).
    """
    volume = image.array[..., None] if image.array.ndim == 3 else image.array
    squares = np.zeros(volume.shape[1:], dtype=np.float64)
    for axis, spacing_mm in enumerate(compute_spacing_mm(image.tensor_affine)):
        if volume.shape[axis + 1] > 1:
            slope = np.gradient(volume.astype(np.float64), spacing_mm, axis=axis + 1)
            squares += (slope**2).sum(axis=0)
    return np.sqrt(squares).astype(np.float32)


def draw_random_map(shape: tuple[int, ...], *, block: tuple[int, int, int], seed: int) -> FloatGrid:
    """Return smoothed Gaussian noise (I, J, K): as smooth as a map, and blind."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth: FloatGrid = gaussian_filter(noise, [n / 2 for n in block], mode="wrap")
    return smooth.astype(np.float32)


def compute_centre_prior(shape: tuple[int, ...]) -> FloatGrid:
    """Return a Gaussian in the middle of a grid (I, J, K), an eighth of each axis wide.

    Args:
        shape: Voxels along i, j, k.

    Source:
        none: own definition of a centre prior.
    """
    grid = np.ones(shape)
    for axis, n in enumerate(shape):
        along = (np.arange(n) - (n - 1) / 2) / (_CENTRE_SPREAD * n)
        grid *= np.exp(-(along**2) / 2).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return grid.astype(np.float32)
