"""Stored words into stored values: unused bits cleared, shifted bits moved, signs extended."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import PixelLayout
from medvision.io.reasons import RefusalError

Words = NDArray[np.integer]
"""Any shape: containers of 8, 16, 32 or 64 bits as the file holds them."""

Values = NDArray[np.integer]
"""Any shape: what the words mean, in words of the same size."""

_MAX_CELL_BITS = 32
_CLEAR_MAJORITY = 9


def extract_values(stored: Words, layout: PixelLayout) -> tuple[Values, tuple[str, ...]]:
    """Turn words into the values that their bits mean.

    Where the largest and smallest words show that nothing is to be done, the input itself is
    returned, seen with the right sign, without a copy.

    Args:
        stored: Words in native byte order; their size is the container, their sign is ignored.
        layout: Gives bits_stored, high_bit and is_signed.

    Returns:
        (values, flags): signed where the layout is; flags bits-shifted, high-bits-cleared,
        high-bit-ignored or sign-extended, where words were not what the values are.

    Raises:
        RefusalError: `bit-layout-not-supported`: the bits do not fit the words, or two readings
            of them are possible and differ.

    Source:
        PS3.5 8.1.1: bits beyond the stored ones carry no part of the value; the high bit is the
        place of its most significant bit.
    """
    bits = 8 * stored.dtype.itemsize
    layout, flags = _settle_high_bit(stored, layout, bits=bits)
    if layout.bits_stored == bits:
        return _see(stored, is_signed=layout.is_signed), flags
    if layout.high_bit != layout.bits_stored - 1:
        return _shift(stored, layout, bits=bits)
    if layout.is_signed:
        values, found = _extend_sign(stored, layout.bits_stored, bits=bits)
    else:
        values, found = _clear(stored, layout.bits_stored)
    return values, (*flags, *found)


def _settle_high_bit(
    stored: Words, layout: PixelLayout, *, bits: int
) -> tuple[PixelLayout, tuple[str, ...]]:
    """Return a layout that is possible, and refuse where the header's is none."""
    is_inside = 0 < layout.bits_stored <= bits and 0 <= layout.high_bit < bits
    if not is_inside:
        raise RefusalError(
            "bit-layout-not-supported",
            f"BitsStored and HighBit must fit {bits} bits, "
            f"got {layout.bits_stored} and {layout.high_bit}",
        )
    if layout.high_bit >= layout.bits_stored - 1:
        return layout, ()
    # Too few places for the value: harmless only where the narrow and the wide reading agree.
    narrow = layout.high_bit + 1
    if not _fits(stored, narrow, is_signed=layout.is_signed):
        raise RefusalError(
            "bit-layout-not-supported",
            f"HighBit must be at least BitsStored - 1 ({layout.bits_stored - 1}), "
            f"got {layout.high_bit}",
        )
    return replace(layout, high_bit=layout.bits_stored - 1), ("high-bit-ignored",)


def _fits(stored: Words, n_bits: int, *, is_signed: bool) -> bool:
    """Say whether whole words, read with their sign, lie in the range of `n_bits`."""
    seen = _see(stored, is_signed=is_signed)
    low, high = find_range(n_bits, is_signed=is_signed)
    return seen.size == 0 or (int(seen.min()) >= low and int(seen.max()) <= high)


def find_range(n_bits: int, *, is_signed: bool) -> tuple[int, int]:
    """Return the least and the greatest value of `n_bits`, in two's complement where signed."""
    if is_signed:
        return -(1 << (n_bits - 1)), (1 << (n_bits - 1)) - 1
    return 0, (1 << n_bits) - 1


def _see(stored: Words, *, is_signed: bool) -> Values:
    """Return the same bits as signed or unsigned words, without a copy."""
    return stored.view(f"{'i' if is_signed else 'u'}{stored.dtype.itemsize}")


def _clear(stored: Words, n_bits: int) -> tuple[Values, tuple[str, ...]]:
    """Clear the bits above the lowest `n_bits`."""
    words = _see(stored, is_signed=False)
    if words.size == 0 or int(words.max()) < 1 << n_bits:
        return words, ()
    return words & words.dtype.type((1 << n_bits) - 1), ("high-bits-cleared",)


def _extend_sign(stored: Words, n_bits: int, *, bits: int) -> tuple[Values, tuple[str, ...]]:
    """Repeat the highest of the lowest `n_bits` in all bits above it."""
    if _fits(stored, n_bits, is_signed=True):
        return _see(stored, is_signed=True), ()
    is_dirty = int(_see(stored, is_signed=False).max()) >= 1 << n_bits
    return (
        _move(stored, up=bits - n_bits, down=bits - n_bits),
        ("high-bits-cleared" if is_dirty else "sign-extended",),
    )


def _move(stored: Words, *, up: int, down: int) -> Values:
    """Push bits out at the top, then bring the rest down and repeat its sign."""
    moved = np.left_shift(_see(stored, is_signed=True), up)
    return np.right_shift(moved, down, out=moved)


def _shift(stored: Words, layout: PixelLayout, *, bits: int) -> tuple[Values, tuple[str, ...]]:
    """Bring down a value that does not begin at the lowest bit."""
    words = _see(stored, is_signed=False)
    down = layout.high_bit + 1 - layout.bits_stored
    low_bits = words & words.dtype.type((1 << down) - 1)
    has_low = bool(low_bits.any())
    top = int(words.max()) if words.size else 0
    if has_low and top < 1 << layout.bits_stored:
        # The words look like values that were never shifted: header and pixels contradict.
        raise RefusalError(
            "bit-layout-not-supported",
            f"pixels must begin at bit {down}, got values in the lowest {layout.bits_stored} bits",
        )
    has_high = top >= 1 << (layout.high_bit + 1)
    flags = ("bits-shifted", "high-bits-cleared") if has_low or has_high else ("bits-shifted",)
    if layout.is_signed:
        up = bits - 1 - layout.high_bit
        return _move(stored, up=up, down=bits - layout.bits_stored), flags
    mask = words.dtype.type((1 << layout.bits_stored) - 1)
    return (words >> words.dtype.type(down)) & mask, flags


def unpack_cells(data: bytes | memoryview | NDArray[np.uint8], *, n_bits: int, count: int) -> Words:
    """Unpack values that do not fill whole bytes, such as 1-bit masks and packed 12-bit pixels.

    Args:
        data: Little endian, the first pixel in the lowest bits.
        n_bits: Bits of a cell, 1 to 32.
        count: How many cells.

    Returns:
        (count,) uint8, uint16 or uint32: the smallest that holds a cell.

    Raises:
        RefusalError: `truncated`: too few bytes; `bit-layout-not-supported`: no such cells.

    Source:
        PS3.5 8.1.1 and Annex D: pixel cells follow one another without gaps.
    """
    if not 0 < n_bits <= _MAX_CELL_BITS:
        raise RefusalError(
            "bit-layout-not-supported", f"BitsAllocated must be 1 to 32 or 64, got {n_bits}"
        )
    needed = (count * n_bits + 7) // 8
    if len(data) < needed:
        raise RefusalError("truncated", f"pixel data must have {needed} bytes, got {len(data)}")
    packed = np.frombuffer(data, np.uint8)[:needed]
    if n_bits == 1:
        return np.unpackbits(packed, bitorder="little", count=count)
    if n_bits == 12:
        return _unpack_twelve(packed, count=count)
    cells = np.unpackbits(packed, bitorder="little", count=count * n_bits).reshape(count, n_bits)
    size = next(size for size in (1, 2, 4) if n_bits <= 8 * size)
    padded = np.zeros((count, 8 * size), np.uint8)
    padded[:, :n_bits] = cells
    return np.packbits(padded, axis=1, bitorder="little").view(f"<u{size}").reshape(count)


def _unpack_twelve(packed: NDArray[np.uint8], *, count: int) -> NDArray[np.uint16]:
    """Unpack two 12-bit cells from each three bytes."""
    triples = np.zeros((count + 1) // 2 * 3, np.uint16)
    triples[: packed.size] = packed
    first, middle, last = triples[0::3], triples[1::3], triples[2::3]
    cells = np.empty((triples.size // 3, 2), np.uint16)
    cells[:, 0] = first | (middle & 0x0F) << 8
    cells[:, 1] = middle >> 4 | last << 4
    return cells.reshape(-1)[:count]


def choose_sign(unsigned: Values, signed: Values, *, n_bits: int, prefer_signed: bool) -> bool:
    """Decide between the two readings of bits whose sign is in dispute; return is_signed.

    Reading a plane with the wrong sign tears it where it passes half the range: neighbours that
    are close come to lie more than half the range apart. The preferred reading is left only
    where nine tenths of all tears speak against it.

    Args:
        unsigned: (rows, columns), the plane read without sign.
        signed: (rows, columns), the same read with sign.
        n_bits: Bits of a value.
        prefer_signed: The reading to take where the plane does not decide.

    Source:
        None: own definition.
    """
    tears_unsigned = _count_tears(unsigned, 1 << (n_bits - 1))
    tears_signed = _count_tears(signed, 1 << (n_bits - 1))
    if prefer_signed:
        return tears_signed <= _CLEAR_MAJORITY * tears_unsigned
    return tears_unsigned > _CLEAR_MAJORITY * tears_signed


def _count_tears(plane: Values, half: int) -> int:
    """Count neighbours along rows and columns that differ by more than `half`."""
    wide = plane.astype(np.int64)
    return sum(int((np.abs(np.diff(wide, axis=axis)) > half).sum()) for axis in (0, 1))
