"""Reaching the array's size: crop to the foreground, then pad about the centre or resample."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from monai.transforms import CropForeground, Resize, ResizeWithPadOrCrop

from medvision.preprocess.rejection import UnusableImageError
from medvision.preprocess.steps import PipelineStep

Size = tuple[int, int, int]
"""Array size (i, j, k) in voxels."""


def build_crop(above: float) -> PipelineStep:
    """Return the step that crops to the box around the foreground, never beyond the image.

    Args:
        above: Threshold of the foreground, in scaled intensity.

    Raises:
        UnusableImageError: By the step, for an image without a voxel above the threshold.
    """
    crop = CropForeground(select_fn=lambda image: image > above, margin=0, allow_smaller=True)

    def apply(image: torch.Tensor) -> torch.Tensor:
        if not bool((image > above).any()):
            raise UnusableImageError("empty-crop", f"a maximum of {float(image.max()):.9g}")
        cropped: torch.Tensor = crop(image)
        return cropped

    return PipelineStep("CropForeground", {"above": above, "margin": 0}, apply)


def build_sizing(sizing: str, size: Size, *, air: float | None) -> PipelineStep:
    """Return the step that gives every array the same size.

    Args:
        sizing: pad (pad with air, or crop, both centred) or resize (the whole field of view onto
            the size; the aspect is not kept).
        size: Array size (i, j, k).
        air: Value of the padding; the image's own minimum when None.

    Raises:
        UnusableImageError: By the step, for an image without contrast.
    """
    step = _STEPS[sizing](size, air)

    def apply(image: torch.Tensor) -> torch.Tensor:
        # Asked here, since padding would lend contrast to an image that has none.
        if bool(image.min() == image.max()):
            raise UnusableImageError("no-contrast", f"{float(image.min()):.9g} in every voxel")
        return step.transform(image)

    return replace(step, transform=apply)


def _build_pad(size: Size, air: float | None) -> PipelineStep:
    """Pad or crop about the centre."""

    def apply(image: torch.Tensor) -> torch.Tensor:
        value = float(image.min()) if air is None else air
        sized: torch.Tensor = ResizeWithPadOrCrop(size, mode="constant", value=value)(image)
        return sized

    padding = "image minimum" if air is None else air
    return PipelineStep(
        "ResizeWithPadOrCrop", {"spatial_size": list(size), "padding": padding}, apply
    )


def _build_resize(size: Size, _air: float | None) -> PipelineStep:
    """Resample the field of view: shrunk axes are averaged, grown axes interpolated."""

    def apply(image: torch.Tensor) -> torch.Tensor:
        # Interpolation alone would skip voxels of an axis that shrinks more than twofold.
        averaged = Resize(_shrink(image.shape[1:], size), mode="area")(image)
        sized: torch.Tensor = Resize(size, mode="trilinear", align_corners=False)(averaged)
        return sized

    return PipelineStep(
        "Resize", {"spatial_size": list(size), "shrunk": "area", "grown": "trilinear"}, apply
    )


def _shrink(shape: Sequence[int], size: Size) -> Size:
    """Return the size with the axes that grow left as they are."""
    i, j, k = (min(held, wanted) for held, wanted in zip(shape, size, strict=True))
    return i, j, k


_STEPS = {"pad": _build_pad, "resize": _build_resize}
