"""MONAI's scaling of intensities: by fixed bounds, by percentiles, by mean and deviation."""

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from monai.transforms import NormalizeIntensity, ScaleIntensityRange

from medvision.domain.record import JsonValue
from medvision.preprocess.checks import raise_empty_crop, raise_flat_foreground, raise_no_range
from medvision.preprocess.plan import Parameters
from medvision.preprocess.voi import scale_voi

_Transform = Callable[[torch.Tensor], torch.Tensor]


def build_window(parameters: Parameters) -> _Transform:
    """Map fixed intensities, `a_min` and `a_max`, to 0 and 1, clipped."""
    transform: _Transform = ScaleIntensityRange(**parameters)
    return transform


def build_percentile(parameters: Parameters) -> _Transform:
    """Map two percentiles, `lower` and `upper`, of the image or its foreground to 0 and 1.

    Raises:
        UnusableImageError: By the step, where both percentiles are equal.
    """
    percentiles = (cast(float, parameters["lower"]), cast(float, parameters["upper"]))

    def apply(image: torch.Tensor) -> torch.Tensor:
        mask = _find_foreground(image, parameters["within"])
        values = image if mask is None else image[mask]
        low, high = np.percentile(values.detach().numpy(), percentiles).tolist()
        # MONAI's own ScaleIntensityRangePercentiles leaves such an image unscaled.
        if not low < high:
            raise_no_range(low)
        scaled: torch.Tensor = ScaleIntensityRange(low, high, b_min=0.0, b_max=1.0, clip=True)(
            image
        )
        return scaled

    return apply


def build_zscore(parameters: Parameters) -> _Transform:
    """Give the image, or its foreground, mean 0 and standard deviation 1; all voxels are scaled."""

    def apply(image: torch.Tensor) -> torch.Tensor:
        mask = _find_foreground(image, parameters["within"])
        if mask is None:
            whole: torch.Tensor = NormalizeIntensity()(image)
            return whole
        values = image[mask].as_subclass(torch.Tensor)
        deviation = float(values.std(unbiased=False))
        if deviation == 0:
            raise_flat_foreground(float(values[0]))
        scaled: torch.Tensor = NormalizeIntensity(float(values.mean()), deviation)(image)
        return scaled

    return apply


def build_voi(parameters: Parameters) -> _Transform:
    """Show values as the image's own header asks; MONAI has no such transform."""

    def apply(image: torch.Tensor) -> torch.Tensor:
        shown = image.clone()
        values = image.detach().as_subclass(torch.Tensor).numpy().copy()
        scale_voi(values, parameters)
        shown[...] = torch.from_numpy(values)
        return shown

    return apply


def _find_foreground(image: torch.Tensor, within: JsonValue) -> torch.Tensor | None:
    """Return the mask of the voxels that are measured; None for all."""
    if within == "image":
        return None
    above = cast(dict[str, float | str], within)["above"]
    # Taken in double precision, so that every machine draws the same line.
    limit = float(image.double().mean()) if above == "mean" else float(above)
    mask: torch.Tensor = image > limit
    if not bool(mask.any()):
        raise_empty_crop(float(image.max()), above=limit)
    return mask.as_subclass(torch.Tensor)
