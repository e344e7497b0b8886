"""A turn and a zoom of every image of a batch, in one resampling."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional


def turn_and_zoom(
    batch: torch.Tensor, *, turns_deg: Sequence[float], zooms: Sequence[float]
) -> torch.Tensor:
    """Turn each image in the plane of i and j about its centre, and enlarge it.

    Args:
        batch: (B, C, I, J[, K]) float on any device; not changed.
        turns_deg: Per image the angle by which its content turns from axis i towards axis j,
            measured in voxels.
        zooms: Per image the factor by which its content grows along every axis, above 0.

    Returns:
        The changed batch, of the same shape, type and device; linear interpolation, and what
        comes in from outside is the image's minimum.
    """
    theta = _build_theta(batch.shape[2:], turns_deg=turns_deg, zooms=zooms)
    size = list(batch.shape)
    grid = functional.affine_grid(theta.to(batch), size, align_corners=False)
    low = batch.flatten(1).amin(dim=1).reshape(-1, *[1] * (batch.ndim - 1))
    moved = functional.grid_sample(batch - low, grid, align_corners=False)
    return moved + low


def _build_theta(
    shape: torch.Size, *, turns_deg: Sequence[float], zooms: Sequence[float]
) -> torch.Tensor:
    """Return (B, D, D + 1): from places of the result to those of the source.

    torch numbers axes from the last one, each from -1 to 1, so that a turn in voxels takes the
    ratio of the two sides.
    """
    n_axes = len(shape)
    ratio = shape[1] / shape[0]
    i, j = n_axes - 1, n_axes - 2
    theta = torch.zeros(len(turns_deg), n_axes, n_axes + 1, dtype=torch.float64)
    for row, (degrees, zoom) in enumerate(zip(turns_deg, zooms, strict=True)):
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        theta[row, range(n_axes), range(n_axes)] = 1 / zoom
        theta[row, i, i] = theta[row, j, j] = cosine / zoom
        theta[row, i, j] = sine * ratio / zoom
        theta[row, j, i] = -sine / ratio / zoom
    return theta
