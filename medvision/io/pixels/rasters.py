"""The frames of a file one by one: decoded, with stored values as the standard means them."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medvision.io.dicom.values import read_value
from medvision.io.pixels.bits import extract_values
from medvision.io.pixels.codecs import Coded, check_syntax, decode_frame
from medvision.io.pixels.description import Description
from medvision.io.pixels.fragments import split_frames
from medvision.io.pixels.native import read_native, settle_word_order
from medvision.io.pixels.precision import settle_values
from medvision.io.reasons import RefusalError

_MIXED_BY_CODEC = frozenset(("YBR_RCT", "YBR_ICT"))
_MAX_FRAMES = 100_000


@dataclass(frozen=True)
class Raster:
    """One frame.

    Args:
        values: (rows, columns) stored values, or (rows, columns, 3) unsigned samples.
        photometric: What the samples mean now, after decoding.
        flags: Codes of what is worth knowing.
    """

    values: NDArray[np.number]
    photometric: str
    flags: tuple[str, ...]


ReadFrame = Callable[[int], Raster]
"""From the number of a frame, from 0, to its raster."""


def open_frames(description: Description) -> tuple[ReadFrame, tuple[str, ...]]:
    """Make the frames of a file readable, without decoding any yet.

    Args:
        description: The pixels and what the header says of them.

    Returns:
        (read, flags): the function that decodes a frame; codes that concern all frames.

    Raises:
        RefusalError: `no-decoder`, `truncated` or `undecodable`: the frames cannot be found.
    """
    if not 1 <= description.n_frames <= _MAX_FRAMES:
        raise RefusalError(
            "unreadable", f"NumberOfFrames must be 1 to {_MAX_FRAMES}, got {description.n_frames}"
        )
    check_syntax(description.layout.syntax, is_encapsulated=description.is_encapsulated)
    if not description.is_encapsulated:
        native, flags = settle_word_order(description)
        return lambda index: _read_plain(native, index), flags
    frames, flags = split_frames(
        description.value,
        n_frames=description.n_frames,
        extended_table=_read_extended_table(description),
    )
    return lambda index: _read_coded(frames[index], description), flags


def _read_extended_table(description: Description) -> tuple[int, ...]:
    """Return the extended offset table, nothing where there is none."""
    raw = read_value(description.dataset, "ExtendedOffsetTable")
    if not isinstance(raw, bytes):
        return ()
    return struct.unpack(f"<{len(raw) // 8}Q", raw[: len(raw) // 8 * 8])


def _read_plain(description: Description, index: int) -> Raster:
    """Read a frame of native pixels."""
    samples = read_native(description.value, description, index=index)
    return _give_meaning(Coded(samples), description)


def _read_coded(data: bytes, description: Description) -> Raster:
    """Decode a frame of encapsulated pixels."""
    return _give_meaning(decode_frame(data, description), description)


def _give_meaning(coded: Coded, description: Description) -> Raster:
    """Turn decoded samples into stored values."""
    photometric = description.photometric
    samples = coded.samples
    if not np.issubdtype(samples.dtype, np.integer):
        return Raster(samples, photometric, coded.flags)
    words = cast("NDArray[np.integer]", samples)
    if description.samples > 1:
        return Raster(words, _name_colours(coded, photometric), coded.flags)
    layout = description.layout
    if coded.codestream is not None:
        values, flags = settle_values(
            words, coded.codestream, layout, is_lossless=coded.is_lossless
        )
    elif layout.bits_allocated in (8, 16, 32, 64):
        values, flags = extract_values(words, layout)
    else:
        values, flags = _extract_cells(words, description)
    return Raster(values, photometric, (*coded.flags, *flags))


def _extract_cells(
    cells: NDArray[np.integer], description: Description
) -> tuple[NDArray[np.integer], tuple[str, ...]]:
    """Give values to cells that are narrower than the words which they were unpacked into."""
    layout = description.layout
    if layout.high_bit >= layout.bits_allocated:
        raise RefusalError(
            "bit-layout-not-supported",
            f"HighBit must be below BitsAllocated ({layout.bits_allocated}), got {layout.high_bit}",
        )
    values, flags = extract_values(cells, layout)
    return values, tuple(flag for flag in flags if flag != "sign-extended")


def _name_colours(coded: Coded, photometric: str) -> str:
    """Return what three samples mean, by the codestream where it says more than the header.

    Source:
        PS3.5 8.2.1: JPEG does not state its colours, but component names RGB and the markers of
        JFIF and Adobe do. PS3.3 C.7.6.3.1.2: decoders of JPEG 2000 undo its own transforms.
    """
    if coded.codestream is None:
        return photometric
    if coded.codestream.is_transformed or photometric in _MIXED_BY_CODEC:
        return "RGB"
    return coded.codestream.colour or photometric
