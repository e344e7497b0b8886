"""Intensities scaled in place, to the same numbers as MONAI's transforms."""

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatVolume
from medvision.preprocess.checks import raise_empty_crop, raise_flat_foreground, raise_no_range
from medvision.preprocess.plan import VOI_STEP, Parameters
from medvision.preprocess.voi import scale_voi


def scale_window(volume: FloatVolume, parameters: Parameters) -> None:
    """Map `a_min` and `a_max` to 0 and 1, clipped, in place (the volume is the executor's own)."""
    low, high = cast(float, parameters["a_min"]), cast(float, parameters["a_max"])
    volume -= np.float32(low)
    volume /= np.float32(high - low)
    np.clip(volume, 0.0, 1.0, out=volume)


def scale_percentile(volume: FloatVolume, parameters: Parameters) -> None:
    """Map two percentiles of the image or its foreground to 0 and 1, clipped, in place.

    Raises:
        UnusableImageError: Both percentiles are equal, or there is no foreground.
    """
    percentiles = (cast(float, parameters["lower"]), cast(float, parameters["upper"]))
    values = _find_values(volume, parameters["within"])
    low, high = np.percentile(values, percentiles).tolist()
    if not low < high:
        raise_no_range(low)
    scale_window(volume, {"a_min": low, "a_max": high})


def scale_zscore(volume: FloatVolume, parameters: Parameters) -> None:
    """Give the image, or its foreground, mean 0 and standard deviation 1, in place.

    Raises:
        UnusableImageError: The foreground is empty or of one value.
    """
    values = _find_values(volume, parameters["within"])
    mean = values.mean(dtype=np.float64)
    deviation = float(np.sqrt(np.mean(np.square(values - np.float32(mean)), dtype=np.float64)))
    if deviation == 0 and parameters["within"] != "image":
        raise_flat_foreground(float(values.flat[0]))
    volume -= np.float32(mean)
    volume /= np.float32(deviation or 1.0)


def _find_values(volume: FloatVolume, within: JsonValue) -> NDArray[np.float32]:
    """Return the voxels that are measured."""
    if within == "image":
        return volume
    above = cast(dict[str, float | str], within)["above"]
    limit = float(volume.mean(dtype=np.float64)) if above == "mean" else float(above)
    values: NDArray[np.float32] = volume[volume > limit]
    if values.size == 0:
        raise_empty_crop(float(volume.max()), above=limit)
    return values


SCALERS: dict[str, Callable[[FloatVolume, Parameters], None]] = {
    "ScaleIntensityRange": scale_window,
    "ScaleIntensityRangePercentiles": scale_percentile,
    "NormalizeIntensity": scale_zscore,
    VOI_STEP: scale_voi,
}
"""Step to what scales a volume (C, I, J, K) in place."""
