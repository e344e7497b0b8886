"""The deterministic MONAI pipeline: orient, resample, scale, crop, size; built from settings."""

import torch
from monai.transforms import Compose, Orientation, Spacing

from medvision.preprocess.intensity import build_intensity, find_air
from medvision.preprocess.sizing import Size, build_crop, build_sizing
from medvision.preprocess.steps import PipelineStep

_RAS_LABELS = (("L", "R"), ("P", "A"), ("I", "S"))


def build_pipeline(
    *,
    spatial_dims: int,
    orientation: str | None,
    spacing_mm: tuple[float, float, float] | None,
    intensity: str,
    window: tuple[float, float],
    percentiles: tuple[float, float],
    crop_foreground: bool,
    foreground_above: float,
    sizing: str,
    size: Size,
) -> tuple[Compose, list[PipelineStep]]:
    """Build the one pipeline that every image of a study goes through.

    Args:
        spatial_dims: 2 leaves orientation and spacing out, and sizes to (i, j, 1).
        orientation: Axis codes such as RAS, or None to keep the source's.
        spacing_mm: Voxel size (i, j, k) reached by trilinear sampling, or None.
        intensity: window, percentile, zscore or none; see `build_intensity`.
        window: Intensities mapped to 0 and 1.
        percentiles: Percentiles of the image mapped to 0 and 1.
        crop_foreground: Crop to the box around the voxels above `foreground_above`.
        foreground_above: Threshold after intensity scaling.
        sizing: pad or resize; see `build_sizing`.
        size: Array size (i, j, k); k is ignored in 2D.

    Returns:
        (compose, steps): MONAI's Compose from MetaTensor (C, I, J, K) to (C, *size), whose affine
        stays true throughout; its steps in order, for the record.
    """
    steps = _build_spatial(orientation, spacing_mm) if spatial_dims == 3 else []
    steps += build_intensity(intensity, window=window, percentiles=percentiles)
    if crop_foreground:
        steps.append(build_crop(foreground_above))
    target = size if spatial_dims == 3 else (size[0], size[1], 1)
    steps.append(build_sizing(sizing, target, air=find_air(intensity)))
    return Compose([step.transform for step in steps], log_stats=False), steps


def _build_spatial(
    orientation: str | None, spacing_mm: tuple[float, float, float] | None
) -> list[PipelineStep]:
    """Return the steps that only volumes go through."""
    steps = []
    if orientation is not None:
        orient = Orientation(orientation, labels=_RAS_LABELS)
        steps.append(PipelineStep("Orientation", {"axcodes": orientation}, orient))
    if spacing_mm is not None:
        # Oblique volumes keep their own axes: a rotation would only add interpolation.
        resample = Spacing(spacing_mm, mode="bilinear", padding_mode="border", dtype=torch.float64)
        how = {"mode": "bilinear", "padding_mode": "border", "dtype": "float64"}
        steps.append(PipelineStep("Spacing", {"pixdim": list(spacing_mm), **how}, resample))
    return steps
