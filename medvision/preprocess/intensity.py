"""Scaling of intensities: by fixed bounds, by percentiles, by mean and deviation, or not."""

import numpy as np
import torch
from monai.transforms import NormalizeIntensity, ScaleIntensityRange

from medvision.preprocess.rejection import UnusableImageError
from medvision.preprocess.steps import PipelineStep

Bounds = tuple[float, float]
"""(low, high), low < high: intensities or percentiles, as the function says."""


def build_intensity(intensity: str, *, window: Bounds, percentiles: Bounds) -> list[PipelineStep]:
    """Return the step that scales intensities, or none.

    Args:
        intensity: window (bounds to 0 and 1, clipped), percentile (the same, bounds taken from
            the image), zscore (mean 0, standard deviation 1 over the image) or none.
        window: Intensities mapped to 0 and 1 by window.
        percentiles: Percentiles of the image mapped to 0 and 1 by percentile.

    Returns:
        At most one step.
    """
    bounds = window if intensity == "window" else percentiles
    return _STEPS[intensity](bounds)


def find_air(intensity: str) -> float | None:
    """Return the scaled intensity of air, or None where the image's own minimum stands for it.

    Window and percentile clip air to 0; zscore and none put no fixed value there.
    """
    return 0.0 if intensity in {"window", "percentile"} else None


def _build_window(window: Bounds) -> list[PipelineStep]:
    """Map fixed intensities to 0 and 1."""
    low, high = window
    transform = ScaleIntensityRange(low, high, b_min=0.0, b_max=1.0, clip=True)
    parameters = {"a_min": low, "a_max": high, "b_min": 0.0, "b_max": 1.0, "clip": True}
    return [PipelineStep("ScaleIntensityRange", {**parameters}, transform)]


def _build_percentile(percentiles: Bounds) -> list[PipelineStep]:
    """Map two percentiles of the image to 0 and 1."""

    def apply(image: torch.Tensor) -> torch.Tensor:
        low, high = np.percentile(image.detach().numpy(), percentiles).tolist()
        # MONAI's own ScaleIntensityRangePercentiles leaves such an image unscaled.
        if not low < high:
            raise UnusableImageError("no-contrast", f"both percentiles at {low:.9g}")
        scale = ScaleIntensityRange(low, high, b_min=0.0, b_max=1.0, clip=True)
        scaled: torch.Tensor = scale(image)
        return scaled

    lower, upper = percentiles
    parameters = {"lower": lower, "upper": upper, "b_min": 0.0, "b_max": 1.0, "clip": True}
    return [PipelineStep("ScaleIntensityRangePercentiles", {**parameters}, apply)]


def _build_zscore(_bounds: Bounds) -> list[PipelineStep]:
    """Give the image mean 0 and standard deviation 1."""
    return [PipelineStep("NormalizeIntensity", {"nonzero": False}, NormalizeIntensity())]


def _build_none(_bounds: Bounds) -> list[PipelineStep]:
    """Keep the intensities."""
    return []


_STEPS = {
    "window": _build_window,
    "percentile": _build_percentile,
    "zscore": _build_zscore,
    "none": _build_none,
}
