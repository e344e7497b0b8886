"""Random views of the same images for contrastive learning: drawn first, then applied."""

from dataclasses import dataclass

import torch
from monai.networks.layers.simplelayers import GaussianFilter
from torch.nn import functional

from medvision.augment.batch import AugmentParameters, apply_parameters, draw_parameters


@dataclass(frozen=True)
class ViewParameters:
    """What happens to each of B images, in the order crop, blur, flip, gain, noise.

    Args:
        sides: Per image the share of each axis that is cropped out and stretched to the whole.
        centres: Per image the middle of the crop along each axis, in [-1, 1] from end to end.
        is_blurred: Per image whether it is blurred.
        blur_voxels: Standard deviation of the Gaussian blur, in voxels; 0 for none.
        changes: Flips, gains and noise.
    """

    sides: tuple[tuple[float, ...], ...]
    centres: tuple[tuple[float, ...], ...]
    is_blurred: tuple[bool, ...]
    blur_voxels: float
    changes: AugmentParameters


def draw_view(
    generator: torch.Generator,
    *,
    n_images: int,
    spatial_dims: int,
    crop: float,
    blur_voxels: float,
    flip_axes: tuple[int, ...],
    noise_sd: float,
    gain: float,
) -> ViewParameters:
    """Draw one view of each image of a batch.

    The number of draws depends on the arguments alone, so that a resumed training meets the same
    views.

    Args:
        generator: CPU generator; advanced.
        n_images: B, the images of the batch.
        spatial_dims: 2 or 3.
        crop: Smallest share of an axis that a view shows, in (0, 1]; shares are uniform above it.
        blur_voxels: Standard deviation of the blur that every second image gets on average.
        flip_axes: Axes flipped with probability 1/2 each; the other axes never are.
        noise_sd: Standard deviation of noise, in scaled intensity.
        gain: Factors are uniform in [1 - gain, 1 + gain].

    Returns:
        The parameters, one entry per image.

    Raises:
        ConfigError: A flipped axis does not exist in these images.

    Source:
        Chen 2020, arXiv:2002.05709, appendix A, without what colour photographs alone have.
    """
    span = (n_images, spatial_dims)
    sides = crop + (1 - crop) * torch.rand(span, generator=generator, dtype=torch.float64)
    places = 2 * torch.rand(span, generator=generator, dtype=torch.float64) - 1
    coins = torch.randint(0, 2, (n_images,), generator=generator)
    changes = draw_parameters(
        generator,
        n_images=n_images,
        spatial_dims=spatial_dims,
        flip_axes=flip_axes,
        shift_voxels=0,
        rotate_degrees=0.0,
        zoom=0.0,
        noise_sd=noise_sd,
        gain=gain,
    )
    return ViewParameters(
        sides=tuple(map(tuple, sides.tolist())),
        centres=tuple(map(tuple, (places * (1 - sides)).tolist())),
        is_blurred=tuple(bool(coin) for coin in coins.tolist()),
        blur_voxels=blur_voxels,
        changes=changes,
    )


def apply_view(batch: torch.Tensor, parameters: ViewParameters) -> torch.Tensor:
    """Apply a drawn view to a batch.

    Args:
        batch: (B, C, I, J[, K]) float32 on any device; not changed.
        parameters: What `draw_view` returned for B images.

    Returns:
        The changed batch, of the same shape, type and device; bit-equal at each replay on the
        same kind of device.
    """
    cropped = _crop(batch, sides=parameters.sides, centres=parameters.centres)
    return apply_parameters(_blur(cropped, parameters), parameters.changes)


def _crop(
    batch: torch.Tensor,
    *,
    sides: tuple[tuple[float, ...], ...],
    centres: tuple[tuple[float, ...], ...],
) -> torch.Tensor:
    """Stretch each image's box to the whole grid by linear interpolation."""
    if all(side == 1.0 for row in sides for side in row):
        return batch
    # affine_grid counts x first, which is the last axis of the array.
    scale = torch.tensor(sides, dtype=batch.dtype, device=batch.device).flip(1)
    middle = torch.tensor(centres, dtype=batch.dtype, device=batch.device).flip(1)
    theta = torch.cat([torch.diag_embed(scale), middle.unsqueeze(2)], dim=2)
    grid = functional.affine_grid(theta, list(batch.shape), align_corners=False)
    return functional.grid_sample(batch, grid, padding_mode="border", align_corners=False)


def _blur(batch: torch.Tensor, parameters: ViewParameters) -> torch.Tensor:
    """Blur the images that were chosen."""
    chosen = torch.tensor(parameters.is_blurred, device=batch.device)
    if not parameters.blur_voxels or not chosen.any():
        return batch
    blur = GaussianFilter(batch.ndim - 2, parameters.blur_voxels).to(batch.device)
    return torch.where(chosen.reshape(-1, *[1] * (batch.ndim - 1)), blur(batch), batch)
