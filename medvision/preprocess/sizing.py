"""MONAI's ways to the array's size: crop to the foreground, pad about the centre, or resample."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from monai.transforms import CropForeground, Resize, ResizeWithPadOrCrop

from medvision.preprocess.checks import raise_empty_crop, raise_no_contrast
from medvision.preprocess.plan import Parameters, Size

_Transform = Callable[[torch.Tensor], torch.Tensor]


def build_crop(parameters: Parameters) -> _Transform:
    """Return the step that crops to the box around the foreground, never beyond the image.

    Args:
        parameters: `above`, the threshold of the foreground.

    Raises:
        UnusableImageError: By the step, for an image without a voxel above the threshold.
    """
    above = cast(float, parameters["above"])
    crop = CropForeground(select_fn=lambda image: image > above, margin=0, allow_smaller=True)

    def apply(image: torch.Tensor) -> torch.Tensor:
        if not bool((image > above).any()):
            raise_empty_crop(float(image.max()), above=above)
        cropped: torch.Tensor = crop(image)
        return cropped

    return apply


def build_pad(parameters: Parameters) -> _Transform:
    """Return the step that pads with air, or crops, about the centre.

    Args:
        parameters: `spatial_size` (i, j, k); `padding`, a value or the image's minimum.

    Raises:
        UnusableImageError: By the step, for an image without contrast.
    """
    size, padding = _read_size(parameters), parameters["padding"]

    def apply(image: torch.Tensor) -> torch.Tensor:
        _check_contrast(image)
        value = float(image.min()) if padding == "image minimum" else cast(float, padding)
        sized: torch.Tensor = ResizeWithPadOrCrop(size, mode="constant", value=value)(image)
        return sized

    return apply


def build_resize(parameters: Parameters) -> _Transform:
    """Return the step that resamples the field of view: shrunk axes averaged, grown interpolated.

    Args:
        parameters: `spatial_size` (i, j, k); the aspect is not kept.

    Raises:
        UnusableImageError: By the step, for an image without contrast.
    """
    size = _read_size(parameters)

    def apply(image: torch.Tensor) -> torch.Tensor:
        _check_contrast(image)
        # Interpolation alone would skip voxels of an axis that shrinks more than twofold.
        averaged = Resize(_shrink(image.shape[1:], size), mode="area")(image)
        sized: torch.Tensor = Resize(size, mode="trilinear", align_corners=False)(averaged)
        return sized

    return apply


def _check_contrast(image: torch.Tensor) -> None:
    """Asked before sizing, since padding would lend contrast to an image that has none."""
    if bool(image.min() == image.max()):
        raise_no_contrast(float(image.min()))


def _read_size(parameters: Parameters) -> Size:
    """Return the array's size."""
    i, j, k = cast(list[int], parameters["spatial_size"])
    return i, j, k


def _shrink(shape: Sequence[int], size: Size) -> Size:
    """Return the size with the axes that grow left as they are."""
    i, j, k = (min(held, wanted) for held, wanted in zip(shape, size, strict=True))
    return i, j, k
