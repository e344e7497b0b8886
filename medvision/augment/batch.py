"""Random changes of a batch: drawn first, then applied, so that each can be replayed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from medvision.augment.affine import turn_and_zoom
from medvision.domain.record import JsonValue
from medvision.errors import ConfigError

SHIFTED_AXES = 2
"""Shifts go along i and j: slices are too thick for a shift along k to be a small change."""


@dataclass(frozen=True)
class AugmentParameters:
    """What happens to each of B images, in the order flip, shift, turn and zoom, gain, noise.

    Args:
        flips: Per image the spatial axes that are flipped, 0 for i.
        shifts_voxels: Per image the shift along (i, j); positive moves towards higher indices.
        turns_deg: Per image the angle by which it turns from axis i towards axis j.
        zooms: Per image the factor by which it grows along every axis.
        gains: Per image the factor that intensities are multiplied by.
        noise_sd: Standard deviation of the added normal noise.
        noise_seed: Seed that the noise is drawn from again at each replay.
    """

    flips: tuple[tuple[int, ...], ...]
    shifts_voxels: tuple[tuple[int, int], ...]
    turns_deg: tuple[float, ...]
    zooms: tuple[float, ...]
    gains: tuple[float, ...]
    noise_sd: float
    noise_seed: int

    def as_dict(self) -> dict[str, JsonValue]:
        """Return the parameters as plain JSON types."""
        return {
            "flips": [list(axes) for axes in self.flips],
            "shifts_voxels": [list(shift) for shift in self.shifts_voxels],
            "turns_deg": list(self.turns_deg),
            "zooms": list(self.zooms),
            "gains": list(self.gains),
            "noise_sd": self.noise_sd,
            "noise_seed": self.noise_seed,
        }


def draw_parameters(
    generator: torch.Generator,
    *,
    n_images: int,
    spatial_dims: int,
    flip_axes: tuple[int, ...],
    shift_voxels: int,
    rotate_degrees: float,
    zoom: float,
    noise_sd: float,
    gain: float,
) -> AugmentParameters:
    """Draw the changes of one batch.

    The number of draws depends on the arguments alone, never on the images, so that a resumed
    training meets the same changes.

    Args:
        generator: CPU generator; advanced.
        n_images: B, the images of the batch.
        spatial_dims: 2 or 3.
        flip_axes: Axes flipped with probability 1/2 each; the other axes never are.
        shift_voxels: Shifts are uniform in [-shift_voxels, shift_voxels] along i and j.
        rotate_degrees: Turns in the plane of i and j are uniform in
            [-rotate_degrees, rotate_degrees].
        zoom: Factors of size are uniform in [1 - zoom, 1 + zoom].
        noise_sd: Standard deviation of noise, in scaled intensity.
        gain: Factors are uniform in [1 - gain, 1 + gain].

    Returns:
        The parameters, one entry per image.

    Raises:
        ConfigError: A flipped axis does not exist in these images.
    """
    _check_axes(flip_axes, spatial_dims)
    coins = torch.randint(0, 2, (n_images, len(flip_axes)), generator=generator)
    span = (n_images, SHIFTED_AXES)
    shifts = torch.randint(-shift_voxels, shift_voxels + 1, span, generator=generator)
    gains = 1 + _draw_evenly(gain, n_images, generator)
    seed = torch.randint(0, 2**31, (1,), generator=generator)
    turns = tuple(_draw_evenly(rotate_degrees, n_images, generator).tolist())
    zooms = tuple((1 + _draw_evenly(zoom, n_images, generator)).tolist())
    return AugmentParameters(
        flips=tuple(
            tuple(axis for axis, coin in zip(flip_axes, row, strict=True) if coin)
            for row in coins.tolist()
        ),
        shifts_voxels=tuple((i, j) for i, j in shifts.tolist()),
        turns_deg=turns,
        zooms=zooms,
        gains=tuple(gains.tolist()),
        noise_sd=noise_sd,
        noise_seed=int(seed.item()),
    )


def apply_parameters(
    batch: torch.Tensor, parameters: AugmentParameters, *, rows: Sequence[int] | None = None
) -> torch.Tensor:
    """Apply drawn changes to a batch, or to some images of one as if all were there.

    Args:
        batch: (B, C, I, J[, K]) float32 on any device; not changed.
        parameters: What `draw_parameters` returned for the whole batch.
        rows: Positions of the B images in the whole batch; it is whole when omitted.

    Returns:
        The changed batch, of the same shape, type and device; bit-equal at each replay on the same
        kind of device.
    """
    held = list(range(len(batch)) if rows is None else rows)
    n_images, parameters = len(parameters.gains), _select(parameters, held)
    moved = torch.stack(
        [
            _shift_image(_flip_image(image, axes), shift)
            for image, axes, shift in zip(
                batch, parameters.flips, parameters.shifts_voxels, strict=True
            )
        ]
    )
    if any(parameters.turns_deg) or any(factor != 1 for factor in parameters.zooms):
        moved = turn_and_zoom(moved, turns_deg=parameters.turns_deg, zooms=parameters.zooms)
    gains = torch.tensor(parameters.gains, dtype=batch.dtype, device=batch.device)
    scaled = moved * gains.reshape(-1, *[1] * (batch.ndim - 1))
    if not parameters.noise_sd:
        return scaled
    generator = torch.Generator(device=batch.device).manual_seed(parameters.noise_seed)
    shape = (n_images, *batch.shape[1:])
    noise = torch.randn(shape, generator=generator, dtype=batch.dtype, device=batch.device)
    return scaled + parameters.noise_sd * (noise if rows is None else noise[held])


def _select(parameters: AugmentParameters, rows: Sequence[int]) -> AugmentParameters:
    """Return the changes of some images."""
    return replace(
        parameters,
        flips=tuple(parameters.flips[row] for row in rows),
        shifts_voxels=tuple(parameters.shifts_voxels[row] for row in rows),
        turns_deg=tuple(parameters.turns_deg[row] for row in rows),
        zooms=tuple(parameters.zooms[row] for row in rows),
        gains=tuple(parameters.gains[row] for row in rows),
    )


def _draw_evenly(reach: float, count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw (count,) numbers uniform in [-reach, reach]."""
    return reach * (2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1)


def _check_axes(flip_axes: tuple[int, ...], spatial_dims: int) -> None:
    """Refuse an axis that the images do not have."""
    for axis in flip_axes:
        if axis >= spatial_dims:
            raise ConfigError(
                f"augment.flip_axes: axes must be below {spatial_dims} for {spatial_dims}D images, "
                f"got {axis}.",
                "0 is i (left-right in RAS), 1 is j, 2 is k.",
            )


def _flip_image(image: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """Flip (C, I, J[, K]) along the spatial axes."""
    return torch.flip(image, [axis + 1 for axis in axes]) if axes else image


def _shift_image(image: torch.Tensor, shift: tuple[int, int]) -> torch.Tensor:
    """Move (C, I, J[, K]) along i and j; what comes in from outside is the image's minimum."""
    if shift == (0, 0):
        return image
    moved = image.min().expand(image.shape).clone()
    target = [_overlap(length, by) for length, by in zip(image.shape[1:], shift, strict=False)]
    source = [_overlap(length, -by) for length, by in zip(image.shape[1:], shift, strict=False)]
    moved[:, target[0], target[1]] = image[:, source[0], source[1]]
    return moved


def _overlap(length: int, shift: int) -> slice:
    """Return where an axis still holds the image after it was moved by `shift`."""
    by = max(-length, min(length, shift))
    return slice(by, length) if by >= 0 else slice(0, length + by)
