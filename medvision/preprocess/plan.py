"""The plan of preprocessing: named steps with parameters, in order, and what addresses them."""

import hashlib
import json
from dataclasses import dataclass

from medvision.domain.record import JsonValue
from medvision.preprocess.windows import Bounds, find_window, scale_air

Size = tuple[int, int, int]
"""Array size (i, j, k) in voxels."""

PLUGIN_STEP = "Plugin"
"""Name of the step that a function of the user's carries out."""

BIAS_STEP = "N4BiasFieldCorrection"
"""Name of the step that evens an MR volume; as in ITK, since MONAI has none."""

VOI_STEP = "VOILUT"
"""Name of the step that each image's own header fills in; MONAI has none of this kind."""

Parameters = dict[str, JsonValue]
"""A step's parameters as plain JSON types."""


@dataclass(frozen=True)
class PlanStep:
    """One step: the name of the MONAI transform that defines it, and its parameters."""

    name: str
    parameters: Parameters

    def as_dict(self) -> dict[str, JsonValue]:
        """Return name and parameters as plain JSON types."""
        return {"name": self.name, "parameters": self.parameters}


@dataclass(frozen=True)
class Plan:
    """What every image of a study goes through.

    Args:
        spatial_dims: 2 or 3.
        steps: In the order in which they run.
    """

    spatial_dims: int
    steps: tuple[PlanStep, ...]

    @property
    def digest(self) -> str:
        """Content address of the whole plan."""
        return [f"{self.spatial_dims}D", *self.prefix_digests][-1]

    @property
    def prefix_digests(self) -> tuple[str, ...]:
        """Content address of the chain up to each step.

        Two plans share a digest as far as their steps are equal: what was computed up to there
        can be kept.
        """
        digest = f"{self.spatial_dims}D"
        chain = []
        for step in self.steps:
            text = json.dumps([digest, step.as_dict()], sort_keys=True)
            digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
            chain.append(digest)
        return tuple(chain)


def build_plan(
    *,
    spatial_dims: int,
    orientation: str | None,
    spacing_mm: tuple[float, float, float] | None,
    intensity: str,
    window: Bounds | str,
    percentiles: Bounds,
    normalise_within: str,
    crop_foreground: bool,
    foreground_above: float,
    foreground_units: str,
    sizing: str,
    size: Size,
) -> Plan:
    """Plan the one pipeline that every image of a study goes through.

    Args:
        spatial_dims: 2 leaves orientation and spacing out, and sizes to (i, j, 1).
        orientation: Axis codes such as RAS, or None to keep the source's.
        spacing_mm: Voxel size (i, j, k) reached by trilinear sampling, or None.
        intensity: window (bounds to 0 and 1, clipped), percentile (the same, bounds taken from
            the image), zscore (mean 0, standard deviation 1), voi (0 and 1 as the image's header
            asks), voi-or-percentile, or none; auto is resolved before.
        window: Intensities mapped to 0 and 1, or the name of a preset.
        percentiles: Percentiles of the image mapped to 0 and 1.
        normalise_within: image or foreground: where percentiles, mean and deviation are taken.
        crop_foreground: Crop to the box around the voxels above `foreground_above`.
        foreground_above: Threshold of the foreground.
        foreground_units: scaled (the crop follows the scaling) or source (it goes before
            resampling, on the values as the source has them).
        sizing: pad (with air, or crop, both centred) or resize (the field of view onto the size).
        size: Array size (i, j, k); k is ignored in 2D.

    Raises:
        ConfigError: The window's name is unknown.
    """
    crop = PlanStep(
        "CropForeground", {"above": foreground_above, "margin": 0, "units": foreground_units}
    )
    is_early = crop_foreground and foreground_units == "source"
    is_late = crop_foreground and foreground_units == "scaled"
    above = foreground_above if foreground_units == "source" else "mean"
    within: JsonValue = "image" if normalise_within == "image" else {"above": above}
    steps = [PlanStep("Orientation", {"axcodes": orientation})] if orientation else []
    steps = steps if spatial_dims == 3 else []
    steps += [crop] if is_early else []
    steps += _plan_spacing(spacing_mm) if spatial_dims == 3 and spacing_mm else []
    bounds = find_window(window) if intensity == "window" else percentiles
    steps += _plan_intensity(intensity, bounds, within=within)
    steps += [crop] if is_late else []
    target = size if spatial_dims == 3 else (size[0], size[1], 1)
    steps.append(_plan_sizing(sizing, target, air=_find_air(intensity, bounds)))
    return Plan(spatial_dims, tuple(steps))


def _plan_spacing(spacing_mm: tuple[float, float, float]) -> list[PlanStep]:
    """Resample; oblique volumes keep their axes: a rotation would only add interpolation."""
    how: Parameters = {"mode": "bilinear", "padding_mode": "border", "dtype": "float64"}
    return [PlanStep("Spacing", {"pixdim": list(spacing_mm), **how})]


def _plan_intensity(intensity: str, bounds: Bounds, *, within: JsonValue) -> list[PlanStep]:
    """Return the step that scales intensities, or none."""
    low, high = bounds
    to_unit: Parameters = {"b_min": 0.0, "b_max": 1.0, "clip": True}
    percentile = PlanStep(
        "ScaleIntensityRangePercentiles",
        {"lower": low, "upper": high, **to_unit, "within": within},
    )
    otherwise: JsonValue = [percentile.name, percentile.parameters]
    table: dict[str, list[PlanStep]] = {
        "window": [PlanStep("ScaleIntensityRange", {"a_min": low, "a_max": high, **to_unit})],
        "percentile": [percentile],
        "voi": [PlanStep(VOI_STEP, {"otherwise": None})],
        "voi-or-percentile": [PlanStep(VOI_STEP, {"otherwise": otherwise})],
        "zscore": [PlanStep("NormalizeIntensity", {"within": within})],
        "none": [],
    }
    return table[intensity]


def _find_air(intensity: str, bounds: Bounds) -> float | None:
    """Return the scaled intensity of air, or None where the image's minimum stands for it."""
    if intensity == "window":
        return scale_air(bounds)
    return 0.0 if intensity in {"percentile", "voi", "voi-or-percentile"} else None


def _plan_sizing(sizing: str, size: Size, *, air: float | None) -> PlanStep:
    """Return the step that gives every array the same size."""
    target: JsonValue = list(size)
    if sizing == "resize":
        parameters: Parameters = {"spatial_size": target, "shrunk": "area", "grown": "trilinear"}
        return PlanStep("Resize", parameters)
    padding = "image minimum" if air is None else air
    return PlanStep("ResizeWithPadOrCrop", {"spatial_size": target, "padding": padding})
