"""Fixed views of an image, over which a prediction is averaged: a short list, nothing drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from medvision.augment.batch import SHIFTED_AXES, AugmentParameters, apply_parameters
from medvision.errors import ConfigError


@dataclass(frozen=True)
class FixedView:
    """One way to look at an image; the default is the image itself.

    Args:
        flips: Spatial axes that are flipped, 0 for i.
        shift_voxels: Shift along (i, j); positive moves towards higher indices.
        zoom: Factor by which the image grows about its centre, along every axis.
    """

    flips: tuple[int, ...] = ()
    shift_voxels: tuple[int, int] = (0, 0)
    zoom: float = 1.0

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the view of each image of a batch (B, C, I, J[, K]); the batch is not changed."""
        if self == FixedView():
            return batch
        n_images = len(batch)
        return apply_parameters(
            batch,
            AugmentParameters(
                flips=(self.flips,) * n_images,
                shifts_voxels=(self.shift_voxels,) * n_images,
                turns_deg=(0.0,) * n_images,
                zooms=(self.zoom,) * n_images,
                gains=(1.0,) * n_images,
                noise_sd=0.0,
                noise_seed=0,
            ),
        )


def list_views(
    views: Sequence[str],
    spatial_dims: int,
    *,
    flip_axes: Sequence[int],
    shift_voxels: int,
    zoom: float,
) -> tuple[FixedView, ...]:
    """Return the image itself, and the views of each kind that is asked for.

    `flip` is every combination of the axes that training may flip, so that an image and its
    mirror image are predicted alike; `shift` is one step either way along i and along j; `zoom`
    is once larger and once smaller. Kinds are not combined with one another.

    Args:
        views: Kinds: flip, shift, zoom.
        spatial_dims: 2 or 3.
        flip_axes: Axes that training may flip; no other is.
        shift_voxels: Length of a shift.
        zoom: Relative change of size, in (0, 1).

    Returns:
        The image itself first, then the views in the order of the kinds above.

    Raises:
        ConfigError: A flipped axis does not exist in these images.

    Source:
        Krizhevsky et al. 2012, doi:10.1145/3065386 (predictions averaged over crops and flips).
    """
    axes = sorted(set(flip_axes))
    if "flip" in views and axes and axes[-1] >= spatial_dims:
        raise ConfigError(
            f"augment.flip_axes: axes must be below {spatial_dims} for {spatial_dims}D images, "
            f"got {axes[-1]}."
        )
    flips = [
        FixedView(flips=chosen) for n in range(len(axes)) for chosen in combinations(axes, n + 1)
    ]
    shifts = [
        FixedView(shift_voxels=(by, 0) if axis == 0 else (0, by))
        for axis in range(SHIFTED_AXES)
        for by in (-shift_voxels, shift_voxels)
    ]
    zooms = [FixedView(zoom=1 - zoom), FixedView(zoom=1 + zoom)]
    kinds = (("flip", flips), ("shift", shifts), ("zoom", zooms))
    return (FixedView(), *(view for kind, found in kinds if kind in views for view in found))
