"""How a row is stored: in float16, in int16 with a scale, or as it is; by the error measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import FloatVolume
from medvision.errors import DataError
from medvision.preprocess.rows import Row

Dtype = Literal["float16", "int16", "float32"]
"""How a store's arrays lie on disk; all of them alike."""

WantedDtype = Literal["auto", "float32", "float16", "int16"]
"""What the configuration may ask for."""

DTYPES: tuple[Dtype, ...] = ("float16", "int16", "float32")
"""In the order in which they are tried: float16 is the cheapest to read, float32 loses nothing."""

_LARGEST = 32767
_WORST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Encoded:
    """An array as it is stored: value = stored * scale + offset, in float32."""

    array: NDArray[np.float16] | NDArray[np.int16] | NDArray[np.float32]
    scale: float
    offset: float


def encode(array: FloatVolume, dtype: Dtype) -> Encoded:
    """Return an array as a type stores it.

    Args:
        array: (C, I, J[, K]) float32, finite; not changed.
        dtype: The type; int16 gets the scale that spreads the array's own range over it.
    """
    if dtype == "int16":
        return _encode_int16(array)
    with np.errstate(over="ignore"):
        return Encoded(array.astype(np.dtype(dtype).newbyteorder("<")), 1.0, 0.0)


def decode(encoded: Encoded) -> FloatVolume:
    """Return the float32 values that readers of the store see."""
    values: FloatVolume = encoded.array.astype(np.float32)
    if encoded.array.dtype == np.int16:
        values *= np.float32(encoded.scale)
        values += np.float32(encoded.offset)
    return values


def measure_rounding(array: FloatVolume, dtype: Dtype) -> float:
    """Return the largest difference that storing makes, in scaled intensity, nine digits.

    Args:
        array: (C, I, J[, K]) float32, finite.
        dtype: The type.

    Returns:
        The maximum over all values; float32's largest where a value is beyond the type's range.
    """
    restored = decode(encode(array, dtype)).astype(np.float64)
    error = float(np.abs(restored - array).max(initial=0.0))
    return float(f"{min(error, _WORST):.9g}")


def choose_own(wanted: WantedDtype, *, errors: dict[Dtype, float], max_rounding: float) -> Dtype:
    """Return the type that one array would be stored in, were it alone.

    Args:
        wanted: auto takes the first type that keeps within the limit; else the type itself.
        errors: What `measure_rounding` returned by type; float32's is 0.
        max_rounding: The largest error allowed, in scaled intensity.
    """
    if wanted != "auto":
        return wanted
    return next(dtype for dtype in DTYPES if errors[dtype] <= max_rounding)


def choose_dtype(wanted: WantedDtype, rows: Sequence[Row], *, max_rounding: float) -> Dtype:
    """Return the one type of a store: the first that keeps every row within the limit.

    Args:
        wanted: auto, or the type that must do.
        rows: All rows, with their measured errors.
        max_rounding: The largest error allowed, in scaled intensity.

    Raises:
        DataError: The type asked for breaks the limit.
    """
    for dtype in DTYPES if wanted == "auto" else (wanted,):
        broken = [row for row in rows if row.rounding(dtype) > max_rounding]
        if not broken:
            return dtype
    worst = max(broken, key=lambda row: row.rounding(dtype))
    raise DataError(
        f"preprocess.dtype: rounding to {wanted} must be at most {max_rounding:g}, got "
        f"{worst.rounding(dtype):.3g} in {worst.image_id} ({len(broken)} of {len(rows)} images).",
        "set preprocess.dtype to auto, or raise preprocess.max_rounding.",
    )


def _encode_int16(array: FloatVolume) -> Encoded:
    """Spread an array's range over the integers from -32767 to 32767."""
    low, high = float(array.min()), float(array.max())
    scale = float(np.float32((high - low) / (2 * _LARGEST))) or 1.0
    offset = float(np.float32((high + low) / 2))
    steps = np.rint((array.astype(np.float64) - offset) / scale)
    return Encoded(np.clip(steps, -_LARGEST, _LARGEST).astype("<i2"), scale, offset)
