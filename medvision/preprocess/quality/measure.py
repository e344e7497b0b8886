"""All quality measures of one image."""

from collections.abc import Mapping

import numpy as np

from medvision.domain.volume import NumberGrid
from medvision.preprocess.quality.extent import (
    measure_clipping,
    measure_single_value,
    measure_truncation,
)
from medvision.preprocess.quality.planes import Planes, choose_planes
from medvision.preprocess.quality.texture import (
    estimate_ghosting,
    estimate_noise,
    estimate_sharpness,
)

MEASURES = (
    *("n_planes", "plane_pixels", "pixel_mm", "plane_mm", "finite_share"),
    *("minimum", "maximum", "mean", "sd", "p1", "median", "p99", "foreground_mean"),
    *("single_value_share", "clipped_low_share", "clipped_high_share", "border_share"),
    *("noise_sd", "noise_share", "snr", "sharpness", "ghosting"),
)
"""The measures in the order of their columns."""

Measures = Mapping[str, float | None]
"""Measure to its value; None where it cannot be told of this image."""


def measure_image(
    array: NumberGrid, *, spacing_mm: tuple[float, float, float], is_hu: bool
) -> Measures:
    """Measure one image.

    Args:
        array: (I, J, K), any number type, K = 1 for a 2D image; (i, j) are its planes.
        spacing_mm: Voxel size (i, j, k).
        is_hu: The values are Hounsfield units.

    Returns:
        A value for each of `MEASURES`. Size, spacing, finite share, minimum and maximum are of all
        voxels, everything else of the planes of `choose_planes`.

    Source:
        The functions called here name theirs.
    """
    measures = dict.fromkeys(MEASURES, None) | _measure_grid(array, spacing_mm)
    planes = choose_planes(array, is_hu=is_hu)
    measures |= _measure_values(planes)
    low, high = measures["minimum"], measures["maximum"]
    if low is None or high is None or low == high:
        return measures
    measures |= _measure_looks(planes, is_volume=array.shape[2] > 1)
    if array.shape[2] > 1 and not is_hu:
        measures["ghosting"] = estimate_ghosting(planes)
    return measures


def _measure_grid(
    array: NumberGrid, spacing_mm: tuple[float, float, float]
) -> dict[str, float | None]:
    """Measure size, spacing and the range of all voxels."""
    i, j, k = array.shape
    finite = np.isfinite(array) if array.dtype.kind == "f" else None
    is_whole = finite is None or bool(finite.all())
    held = array if is_whole else array[finite]
    return {
        "n_planes": float(k),
        "plane_pixels": float(np.sqrt(i * j)),
        "pixel_mm": float(np.sqrt(spacing_mm[0] * spacing_mm[1])),
        "plane_mm": spacing_mm[2] if k > 1 else None,
        "finite_share": 1.0 if finite is None else float(finite.mean()),
        "minimum": float(held.min()) if held.size else None,
        "maximum": float(held.max()) if held.size else None,
    }


def _measure_values(planes: Planes) -> dict[str, float | None]:
    """Measure how the values are spread."""
    values = planes.values
    p1, median, p99 = (float(value) for value in np.percentile(values, (1, 50, 99)))
    body = values[planes.foreground]
    return {
        "mean": float(values.mean(dtype=np.float64)),
        "sd": float(values.std(dtype=np.float64)),
        "p1": p1,
        "median": median,
        "p99": p99,
        "foreground_mean": float(body.mean(dtype=np.float64)) if body.size else None,
        "single_value_share": measure_single_value(planes),
    }


def _measure_looks(planes: Planes, *, is_volume: bool) -> dict[str, float | None]:
    """Measure what is lost, blurred or noisy in an image that is not constant."""
    values = planes.values[planes.field]
    low, high = (float(value) for value in np.percentile(values, (1, 99)))
    clipped_low, clipped_high = measure_clipping(planes)
    contrast, noise = high - low, estimate_noise(planes)
    body, rest = values[planes.foreground[planes.field]], values[~planes.foreground[planes.field]]
    signal = float(body.mean() - rest.mean()) if body.size and rest.size else None
    return {
        "clipped_low_share": clipped_low,
        "clipped_high_share": clipped_high,
        "border_share": measure_truncation(planes) if is_volume else None,
        "noise_sd": noise,
        "noise_share": noise / contrast if noise is not None and contrast > 0 else None,
        "snr": signal / noise if noise and signal is not None else None,
        "sharpness": estimate_sharpness(planes),
    }
