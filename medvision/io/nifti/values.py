"""Stored voxels of a NIfTI or Analyze file turned into values: scaled, exact, or colour."""

import math

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import NumberGrid
from medvision.io.nifti.header import NiftiHeader
from medvision.io.reasons import RefusalError

_WHOLE_TYPES = (np.int16, np.int32, np.int64)
_LARGEST_WHOLE = 2**62


def read_colour(
    voxels: NDArray[np.uint8], *, shape: tuple[int, ...]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return red, green and blue of each voxel; opacity is left out.

    Args:
        voxels: Bytes as the file holds them, three or four a voxel.
        shape: (I, J, K) or (I, J, K, T).

    Returns:
        (array, flags): (*shape, 3) uint8; codes of reasons.FLAGS. NIfTI scales no colour.
    """
    samples = voxels.reshape((-1, *shape), order="F")
    flags = ("opacity-dropped",) if len(samples) > 3 and np.ptp(samples[3]) > 0 else ()
    return np.moveaxis(samples[:3], 0, -1), flags


def scale_values(stored: NumberGrid, header: NiftiHeader) -> tuple[NumberGrid, tuple[str, ...]]:
    """Apply slope and intercept.

    A slope of 0 or NaN means that the file has none. Whole numbers stay whole where slope and
    intercept are whole too. In Analyze the slope is SPM's factor.

    Args:
        stored: (I, J, K) or (I, J, K, T) in the file's type and byte order.
        header: Says how to scale.

    Returns:
        (array, flags): whole numbers of native byte order, or float32; codes of reasons.FLAGS.

    Raises:
        RefusalError: The scaling is infinite, or values are too large for float32.
    """
    slope, intercept = _check_scaling(header)
    flags = ["analyze-scaling"] if header.is_calibrated else []
    if (slope, intercept) == (1.0, 0.0):
        array, more = _keep_values(stored)
        return array, (*flags, *more)
    if header.kind == "analyze":
        flags.append("analyze-scaling")
    is_whole = np.issubdtype(stored.dtype, np.integer)
    if is_whole and slope.is_integer() and intercept.is_integer():
        whole = _scale_whole(stored, int(slope), int(intercept))
        if whole is not None:
            return whole, tuple(flags)
    return _scale_real(stored, slope, intercept), tuple(flags)


def _check_scaling(header: NiftiHeader) -> tuple[float, float]:
    """Return slope and intercept, 1 and 0 where the header has none."""
    slope, intercept = header.slope, header.intercept
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0
    if header.kind == "analyze" and not math.isfinite(intercept):
        intercept = 0.0
    if not math.isfinite(slope) or not math.isfinite(intercept):
        raise RefusalError("bad-scaling", "slope and intercept must be finite, got infinity or NaN")
    return slope, intercept


def _keep_values(stored: NumberGrid) -> tuple[NumberGrid, tuple[str, ...]]:
    """Return unscaled values in the machine's byte order."""
    if np.issubdtype(stored.dtype, np.integer) and not _is_too_wide(stored):
        whole: NumberGrid = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        return whole, ()
    if stored.dtype.itemsize <= 4:
        return stored.astype(np.float32, copy=False), ()
    real = _scale_real(stored, 1.0, 0.0)
    is_exact = np.array_equal(real, stored, equal_nan=True)
    return real, () if is_exact else ("rounded",)


def _is_too_wide(stored: NumberGrid) -> bool:
    """Say whether whole numbers need more than 32 bits, which few readers of NIfTI know."""
    if stored.dtype.itemsize < 8:
        return False
    low, high = int(stored.min()), int(stored.max())
    return low < -(2**31) or high >= (2**32 if low >= 0 else 2**31)


def _scale_whole(stored: NumberGrid, slope: int, intercept: int) -> NumberGrid | None:
    """Scale whole numbers by whole ones; None where the result would not fit."""
    ends = [int(end) * slope + intercept for end in (stored.min(), stored.max())]
    low, high = min(ends), max(ends)
    for dtype in _WHOLE_TYPES:
        limits = np.iinfo(dtype)
        # Each step of the sum must fit, not the result alone.
        most = max(abs(low), abs(high), abs(slope), abs(intercept), abs(low - intercept))
        most = max(most, abs(high - intercept))
        if most <= min(limits.max, _LARGEST_WHOLE):
            whole: NumberGrid = stored.astype(dtype)
            whole *= dtype(slope)
            whole += dtype(intercept)
            return whole
    return None


def _scale_real(stored: NumberGrid, slope: float, intercept: float) -> NDArray[np.float32]:
    """Scale in double precision, a plane at a time, and round once."""
    result = np.empty(stored.shape, dtype=np.float32, order="F")
    planes, sources = result.reshape(-1, order="F"), stored.reshape(-1, order="F")
    step = max(1, stored.shape[0] * stored.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(planes), step):
            part = sources[start : start + step]
            values = part.astype(np.float64)
            values *= slope
            values += intercept
            planes[start : start + step] = values
            if np.isinf(planes[start : start + step]).any() and not np.isinf(part).any():
                raise RefusalError("bad-scaling", "values must fit float32, got larger ones")
    return result
