"""Changes that real and drawn images undergo alike before they are told apart; all differentiable.

With few images a discriminator learns them by heart; shown only changed ones, real and drawn, it
has more to learn, and since gradients pass through the changes, the generator is not taught to draw
them.

Source:
    Zhao, Liu, Lin, Zhu and Han 2020, arXiv:2006.10738; brightness and contrast stand for its
    colour, which a single channel has not.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Change = Literal["intensity", "translation", "cutout"]

_BRIGHTNESS = 0.5
"""Largest shift of intensity, in standard deviations of the train images."""

_CONTRAST = 0.5
_TRANSLATION = 0.125
_CUTOUT = 0.5


@dataclass(frozen=True)
class Changes:
    """What happens to each of B images.

    Args:
        brightness: Added to intensities, (B,).
        contrast: What the distance from the image's mean is multiplied by, (B,).
        shifts: Voxels by which the content moves along each axis, (B, D) int64.
        corners: First voxel of the box that is blanked, along each axis, (B, D) int64.
    """

    brightness: Tensor
    contrast: Tensor
    shifts: Tensor
    corners: Tensor


def draw_changes(n_images: int, size: Sequence[int], *, generator: torch.Generator) -> Changes:
    """Draw the changes of a batch; how much is drawn depends on the arguments alone.

    Args:
        n_images: B.
        size: Voxels along each spatial axis.
        generator: CPU generator; it moves on.
    """

    def spread(most: float) -> Tensor:
        return (2 * torch.rand(n_images, generator=generator) - 1) * most

    def whole(low: int, high: int) -> Tensor:
        return torch.randint(low, high + 1, (n_images,), generator=generator)

    brightness, contrast = spread(_BRIGHTNESS), 1 + spread(_CONTRAST)
    farthest = list_farthest(size)
    shifts = [whole(-far, far) for far in farthest]
    corners = [whole(0, n - box) for n, box in zip(size, list_box(size), strict=True)]
    return Changes(brightness, contrast, torch.stack(shifts, dim=1), torch.stack(corners, dim=1))


def list_farthest(size: Sequence[int]) -> list[int]:
    """Return the largest shift along each axis, in voxels: an eighth of its length."""
    return [int(n * _TRANSLATION) for n in size]


def list_box(size: Sequence[int]) -> list[int]:
    """Return the voxels of the blanked box along each axis: half of its length."""
    return [int(n * _CUTOUT) for n in size]


def apply_changes(images: Tensor, changes: Changes, *, wanted: Collection[str]) -> Tensor:
    """Change a batch; gradients pass through, of any order.

    Args:
        images: (B, C, I, J[, K]), in standard deviations, so that 0 is the train images' mean.
        changes: As drawn.
        wanted: Which kinds of change: intensity, translation, cutout.

    Returns:
        The changed batch; what comes in from outside, and what is blanked, is 0.
    """
    if "intensity" in wanted:
        once = (-1, *[1] * (images.ndim - 1))
        mean = images.flatten(1).mean(dim=1).reshape(once)
        contrast = changes.contrast.to(images).reshape(once)
        images = (images - mean) * contrast + mean + changes.brightness.to(images).reshape(once)
    if "translation" in wanted:
        images = _translate(images, changes.shifts)
    if "cutout" in wanted:
        images = images * _mask(images, changes.corners)
    return images


def _translate(images: Tensor, shifts: Tensor) -> Tensor:
    """Move each image's content by whole voxels."""
    size = images.shape[2:]
    farthest = list_farthest(size)
    # torch names the last axis first.
    padded = functional.pad(images, [far for far in reversed(farthest) for _ in range(2)])
    moved = []
    for image, shift in zip(padded, shifts.tolist(), strict=True):
        starts = [far - step for far, step in zip(farthest, shift, strict=True)]
        window = tuple(slice(s, s + n) for s, n in zip(starts, size, strict=True))
        moved.append(image[(slice(None), *window)])
    return torch.stack(moved)


def _mask(images: Tensor, corners: Tensor) -> Tensor:
    """Return (B, 1, I, J[, K]): 0 in each image's box, 1 elsewhere."""
    size = images.shape[2:]
    mask = torch.ones(len(images), 1, *size)
    for own, corner in zip(mask, corners.tolist(), strict=True):
        box = tuple(slice(c, c + n) for c, n in zip(corner, list_box(size), strict=True))
        own[(slice(None), *box)] = 0
    return mask.to(images)
