"""Uncompressed pixels of any bit width, byte order and colour arrangement."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medvision.io.dicom.layout import DOUBLE_PIXELS, FLOAT_PIXELS
from medvision.io.pixels.bits import unpack_cells
from medvision.io.pixels.description import Description
from medvision.io.reasons import RefusalError

Samples = NDArray[np.number]
"""(rows, columns) or (rows, columns, samples)."""

_HALF_SAMPLED = frozenset(("YBR_FULL_422", "YBR_PARTIAL_422"))
_WORD_BITS = (8, 16, 32, 64)
_SMOOTHER = 16


def count_frame_bits(description: Description) -> int:
    """Return how many bits a native frame takes (PS3.5 8.1.1, PS3.3 C.7.6.3.1.2)."""
    samples = 2 if is_half_sampled(description) else description.samples
    return description.rows * description.columns * samples * description.layout.bits_allocated


def is_half_sampled(description: Description) -> bool:
    """Say whether two pixels of a row share their colour."""
    return description.samples == 3 and description.photometric in _HALF_SAMPLED


def read_native(value: memoryview, description: Description, *, index: int) -> Samples:
    """Read one frame of uncompressed pixels.

    Args:
        value: The pixels of all frames, one after the other.
        description: How they lie.
        index: Which frame, from 0.

    Returns:
        (rows, columns[, samples]) words in native byte order, unsigned; float32 or float64 where
        the file holds real numbers. Frames of whole words are views of `value`.

    Raises:
        RefusalError: `truncated`: too few bytes; `bit-layout-not-supported`.
    """
    if description.kind in (FLOAT_PIXELS, DOUBLE_PIXELS):
        return _read_words(value, description, index=index, kind="f")
    bits = description.layout.bits_allocated
    if bits in _WORD_BITS:
        return _read_words(value, description, index=index, kind="u")
    return _read_cells(value, description, index=index)


def _read_words(value: memoryview, description: Description, *, index: int, kind: str) -> Samples:
    """Read samples that fill whole words."""
    size = {FLOAT_PIXELS: 4, DOUBLE_PIXELS: 8}.get(
        description.kind, description.layout.bits_allocated // 8
    )
    count = count_frame_bits(description) // description.layout.bits_allocated
    start = index * count * size
    if len(value) < start + count * size:
        raise RefusalError(
            "truncated", f"pixel data must have {start + count * size} bytes, got {len(value)}"
        )
    is_big = description.layout.is_big_endian
    flat: Samples
    if is_big and size != 2 and kind == "u" and description.is_word:
        flat = _swap_pairs(value, start=start, count=count * size).view(f"<u{size}")
    else:
        dtype = np.dtype(f"{'>' if is_big else '<'}{kind}{size}")
        flat = np.frombuffer(value, dtype, count=count, offset=start)
    return _arrange(flat.astype(flat.dtype.newbyteorder("="), copy=False), description)


def settle_word_order(description: Description) -> tuple[Description, tuple[str, ...]]:
    """Find out how wide samples of a big endian file are swapped.

    The standard swaps the bytes of each 16-bit word, so that the halves of a wider sample stay in
    little endian order; some writers swap the sample as a whole. The standard's order is left only
    where the other gives a first frame that is far smoother.

    Args:
        description: The pixels.

    Returns:
        (description, flags): `is_word` as the pixels have it; encoding-differs where that is not
        the standard's order.

    Raises:
        RefusalError: `truncated`.

    Source:
        PS3.5 7.3 and Annex D: OW is a string of 16-bit words.
    """
    layout = description.layout
    is_wide = layout.is_big_endian and layout.bits_allocated in (32, 64) and description.is_word
    if not is_wide or description.kind in (FLOAT_PIXELS, DOUBLE_PIXELS):
        return description, ()
    whole = replace(description, is_word=False)
    roughness = [
        float(np.abs(np.diff(read_native(item.value, item, index=0).astype(np.float64))).sum())
        for item in (description, whole)
    ]
    if _SMOOTHER * roughness[1] < roughness[0]:
        return whole, ("encoding-differs",)
    return description, ()


def _swap_pairs(value: memoryview, *, start: int, count: int) -> NDArray[np.uint8]:
    """Read bytes that were swapped in pairs, as words of a big endian file are."""
    first, last = start // 2 * 2, (start + count + 1) // 2 * 2
    if len(value) < last:
        raise RefusalError("truncated", f"pixel data must have {last} bytes, got {len(value)}")
    pairs = np.frombuffer(value[first:last], np.uint8).reshape(-1, 2)
    return pairs[:, ::-1].reshape(-1)[start - first : start - first + count]


def _read_cells(value: memoryview, description: Description, *, index: int) -> Samples:
    """Read samples that do not fill whole bytes; frames follow one another without padding."""
    bits = description.layout.bits_allocated
    count = count_frame_bits(description) // bits
    # Eight cells fill whole bytes, whatever their width: begin there, and leave out the first.
    n_before = index * count % 8
    start = (index * count - n_before) * bits // 8
    n_bytes = ((count + n_before) * bits + 7) // 8
    data: memoryview | NDArray[np.uint8] = value[start:]
    if description.layout.is_big_endian and description.is_word:
        data = _swap_pairs(value, start=start, count=n_bytes)
    cells = unpack_cells(data, n_bits=bits, count=count + n_before)
    return _arrange(cells[n_before:], description)


def _arrange(flat: Samples, description: Description) -> Samples:
    """Give a frame its shape, colours last."""
    rows, columns, samples = description.rows, description.columns, description.samples
    if samples == 1:
        return flat.reshape(rows, columns)
    if is_half_sampled(description):
        return _double_colours(flat, rows=rows, columns=columns)
    if description.is_planar:
        return flat.reshape(samples, rows, columns).transpose(1, 2, 0)
    return flat.reshape(rows, columns, samples)


def _double_colours(flat: Samples, *, rows: int, columns: int) -> Samples:
    """Give both pixels of a pair the colour that they share.

    Source:
        PS3.3 C.7.6.3.1.2: Y1 Y2 CB CR, pair after pair.
    """
    if columns % 2:
        raise RefusalError("undecodable", f"columns must be even in 4:2:2, got {columns}")
    pairs = flat.reshape(rows, columns // 2, 4)
    arranged = np.empty((rows, columns, 3), flat.dtype)
    arranged[:, 0::2, 0] = pairs[..., 0]
    arranged[:, 1::2, 0] = pairs[..., 1]
    for channel in (1, 2):
        arranged[:, 0::2, channel] = pairs[..., channel + 1]
        arranged[:, 1::2, channel] = pairs[..., channel + 1]
    return arranged
