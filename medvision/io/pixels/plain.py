"""Uncompressed whole-number pixels, read straight into a volume without a decoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from medvision.domain.study import Frame, Instance, PixelLayout, Slice
from medvision.domain.volume import NumberGrid
from medvision.io.nifti.write import choose_dtype
from medvision.io.reasons import RefusalError

StoredPlanes = NDArray[np.integer]
"""(..., rows, columns), as the file holds them."""


@dataclass(frozen=True)
class Encoding:
    """What planes must have in common to be turned into values all at once.

    Args:
        bits_allocated: Bits per sample in the file.
        bits_stored: Bits of the value.
        high_bit: Place of the value's most significant bit.
        is_signed: Two's complement.
        is_big_endian: Byte order in the file.
        slope: Modality value per stored unit.
        intercept: Modality value of stored 0.
    """

    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_big_endian: bool
    slope: float
    intercept: float

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """The samples' dtype in the file."""
        order, kind = ">" if self.is_big_endian else "<", "i" if self.is_signed else "u"
        return np.dtype(f"{order}{kind}{self.bits_allocated // 8}")


def find_encoding(slices: Sequence[Slice]) -> Encoding | None:
    """Return the encoding that all slices share, None where they differ or need a decoder."""
    encodings = set()
    for item in slices:
        layout = item.instance.pixels
        if layout is None or not layout.is_plain:
            return None
        encodings.add(_describe(layout, item.frame))
    return encodings.pop() if len(encodings) == 1 else None


def _describe(layout: PixelLayout, frame: Frame) -> Encoding:
    """Return the encoding of one plane."""
    return Encoding(
        layout.bits_allocated,
        layout.bits_stored,
        layout.high_bit,
        layout.is_signed,
        layout.is_big_endian,
        frame.slope,
        frame.intercept,
    )


def cut_plane(
    content: bytes | memoryview, instance: Instance, frame: Frame, *, dtype: DTypeLike
) -> StoredPlanes:
    """Return one plane of a file as a view of its bytes.

    Args:
        content: The whole file.
        instance: Tells where the pixels begin; its `pixels` are plain.
        frame: Which plane.
        dtype: The samples' dtype in the file.

    Returns:
        (rows, columns), in the file's byte order.

    Raises:
        RefusalError: `truncated`, where the file has become shorter than it was.
    """
    layout = instance.pixels
    offset = 0 if layout is None or layout.offset is None else layout.offset
    rows, columns = instance.rows, instance.columns
    index = frame.index
    if frame.tile is not None:
        n_across = 1 + max(item.tile[1] for item in instance.frames if item.tile) // columns
        # Down to the tile's own last row: how many rows of tiles follow depends on the vendor.
        rows, columns, index = frame.tile[0] + rows, columns * n_across, 0
    count = rows * columns
    start = offset + index * count * np.dtype(dtype).itemsize
    try:
        plane = np.frombuffer(content, dtype, count, start).reshape(rows, columns)
    except ValueError:
        raise RefusalError(
            "truncated",
            f"file must have {count} pixels from byte {start}, got {len(content)} bytes",
        ) from None
    if frame.tile is None:
        return plane
    row, column = frame.tile
    return plane[row : row + instance.rows, column : column + instance.columns]


def rescale_all(
    stored: StoredPlanes, *, slope: float, intercept: float, may_overwrite: bool = False
) -> NumberGrid:
    """Turn stored values into modality values, in the smallest dtype that holds them exactly.

    Args:
        stored: Any shape, native byte order.
        slope: Modality value per stored unit.
        intercept: Modality value of stored 0.
        may_overwrite: The memory of `stored` may hold the result: half the time of a new array.

    Returns:
        Integers where slope and intercept are whole, else float32 rounded once from float64; in
        the memory order of `stored`, and `stored` itself where nothing changes.

    Source:
        PS3.3 C.11.1.1.2: value = slope * stored + intercept.
    """
    if not (slope.is_integer() and intercept.is_integer()) or stored.size == 0:
        return _rescale_real(stored, slope=slope, intercept=intercept)
    ends = [int(slope) * int(end) + int(intercept) for end in (stored.min(), stored.max())]
    dtype = choose_dtype(min(ends), max(ends))
    if dtype is None:
        return _rescale_real(stored, slope=slope, intercept=intercept)
    is_same_size = stored.dtype.itemsize == np.dtype(dtype).itemsize
    values: NDArray[np.integer]
    if may_overwrite and is_same_size:
        values = stored.view(dtype)
    else:
        values = stored.astype(dtype, copy=slope != 1 or intercept != 0)
    # Arithmetic modulo 2^n: what overflows on the way is right again in the end, since the
    # result is known to fit.
    n_values = 1 << (8 * values.dtype.itemsize)
    if slope != 1:
        values *= np.array(int(slope) % n_values).astype(dtype)
    if intercept != 0:
        values += np.array(int(intercept) % n_values).astype(dtype)
    return values


def _rescale_real(stored: StoredPlanes, *, slope: float, intercept: float) -> NDArray[np.float32]:
    """Rescale plane by plane, so that float64 costs the memory of one plane."""
    values = np.empty(stored.shape, dtype=np.float32)
    for index in np.ndindex(*stored.shape[:-2]):
        values[index] = stored[index].astype(np.float64) * slope + intercept
    return values
