"""Crop, pad and resize of a resampled volume, to the same numbers as MONAI's transforms."""

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatVolume, Volume
from medvision.preprocess.checks import check_contrast, raise_empty_crop
from medvision.preprocess.fused.sample import build_taps
from medvision.preprocess.plan import Parameters


def crop_foreground(volume: Volume, parameters: Parameters) -> Volume:
    """Keep the box around the voxels above a threshold.

    Raises:
        UnusableImageError: There is none.
    """
    above = np.float32(cast(float, parameters["above"]))
    mask: NDArray[np.bool_] = np.any(volume.array > above, axis=0)
    if not mask.any():
        raise_empty_crop(float(volume.array.max()), above=float(above))
    slices, first = [], []
    for axis in range(3):
        held = np.flatnonzero(np.moveaxis(mask, axis, 0).reshape(mask.shape[axis], -1).any(axis=1))
        slices.append(slice(int(held[0]), int(held[-1]) + 1))
        first.append(float(held[0]))
    return Volume(volume.array[(slice(None), *slices)], _shift(volume.affine, first))


def pad_or_crop(volume: Volume, parameters: Parameters) -> Volume:
    """Crop and pad about the centre.

    Raises:
        UnusableImageError: The image has no contrast.
    """
    check_contrast(volume.array)
    size = cast(list[int], parameters["spatial_size"])
    padding = parameters["padding"]
    value = volume.array.min() if padding == "image minimum" else cast(float, padding)
    result: FloatVolume = np.full((len(volume.array), *size), value, dtype=np.float32)
    source, target, first = [slice(None)], [slice(None)], []
    for held, wanted in zip(volume.array.shape[1:], size, strict=True):
        # MONAI crops about half the length less half the size, each rounded down.
        start = max(held // 2 - wanted // 2, 0) if held > wanted else 0
        before = max(wanted - held, 0) // 2
        length = min(held, wanted)
        source.append(slice(start, start + length))
        target.append(slice(before, before + length))
        first.append(float(start - before))
    result[tuple(target)] = volume.array[tuple(source)]
    return Volume(result, _shift(volume.affine, first))


def resize(volume: Volume, parameters: Parameters) -> Volume:
    """Resample the field of view onto the size: shrunk axes averaged, grown ones interpolated.

    Raises:
        UnusableImageError: The image has no contrast.
    """
    check_contrast(volume.array)
    size = cast(list[int], parameters["spatial_size"])
    array, affine = volume.array, volume.affine
    for axis, wanted in enumerate(size):
        held = array.shape[axis + 1]
        if held == wanted:
            continue
        change = _average if wanted < held else _interpolate
        array = change(array, wanted, axis=axis + 1)
        affine = affine @ _scale(held / wanted, axis=axis)
    return Volume(np.ascontiguousarray(array, dtype=np.float32), affine)


def _average(array: FloatVolume, n_bins: int, *, axis: int) -> FloatVolume:
    """Average over the voxels that each bin touches, as torch's adaptive pooling."""
    length = array.shape[axis]
    bins = np.arange(n_bins)
    start, stop = bins * length // n_bins, -((bins + 1) * length // -n_bins)
    parts = [
        array.take(range(first, end), axis=axis).mean(axis=axis, dtype=np.float64)
        for first, end in zip(start.tolist(), stop.tolist(), strict=True)
    ]
    return np.stack(parts, axis=axis).astype(np.float32)


def _interpolate(array: FloatVolume, n_voxels: int, *, axis: int) -> FloatVolume:
    """Interpolate between voxel centres, the outermost of which reach to the border."""
    length = array.shape[axis]
    line = (np.arange(n_voxels) + 0.5) * (length / n_voxels) - 0.5
    taps = build_taps(np.clip(line, 0, length - 1), length)
    weight: NDArray[np.float32] = taps.weight.reshape([-1 if a == axis else 1 for a in range(4)])
    low, high = array.take(taps.low, axis=axis), array.take(taps.high, axis=axis)
    blended: FloatVolume = low + (high - low) * weight
    return blended


def _shift(affine: Affine, first: list[float]) -> Affine:
    """Return the affine of a grid that begins at another voxel."""
    result: Affine = affine.copy()
    result[:3, 3] += affine[:3, :3] @ np.array(first)
    return result


def _scale(factor: float, *, axis: int) -> Affine:
    """Return the map from indices of a resized axis to those of the old one, borders kept."""
    result: Affine = np.eye(4)
    result[axis, axis] = factor
    result[axis, 3] = (factor - 1) / 2
    return result


SIZERS: dict[str, Callable[[Volume, Parameters], Volume]] = {
    "CropForeground": crop_foreground,
    "ResizeWithPadOrCrop": pad_or_crop,
    "Resize": resize,
}
"""Step to what gives a volume another extent."""
