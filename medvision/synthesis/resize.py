"""Halving and doubling of axes, by means and copies that repeat themselves on every device."""

from collections.abc import Sequence

import torch
from torch import Tensor


def halve(images: Tensor, axes: Sequence[int]) -> Tensor:
    """Average neighbours along some spatial axes; an odd last voxel counts as its own neighbour.

    Args:
        images: (B, C, I, J[, K]).
        axes: Spatial axes, 0 for I.

    Returns:
        (B, C, I', J'[, K']), those axes halved, upwards where they are odd.
    """
    for axis in axes:
        along = axis + 2
        n_voxels = images.shape[along]
        if n_voxels % 2:
            images = torch.cat([images, images.narrow(along, n_voxels - 1, 1)], dim=along)
        shape = [*images.shape[:along], -1, 2, *images.shape[along + 1 :]]
        images = images.reshape(shape).mean(dim=along + 1)
    return images


def double(images: Tensor, axes: Sequence[int], *, size: Sequence[int]) -> Tensor:
    """Repeat each voxel along some spatial axes, and crop what is beyond a size.

    Args:
        images: (B, C, I, J[, K]).
        axes: Spatial axes, 0 for I.
        size: Voxels along each spatial axis of the result; at most one fewer than twice.

    Returns:
        (B, C, *size).
    """
    for axis in axes:
        along = axis + 2
        pairs = images.unsqueeze(along + 1)
        shape = [2 if place == along + 1 else -1 for place in range(pairs.ndim)]
        images = pairs.expand(shape).flatten(along, along + 1).narrow(along, 0, size[axis])
    return images
