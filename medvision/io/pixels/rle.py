"""Run-length coded frames."""

import struct

import numpy as np
from numpy.typing import NDArray

from medvision.io.reasons import RefusalError

_HEADER = 64
_MAX_SEGMENTS = 15


def decode_rle(
    data: bytes, *, rows: int, columns: int, samples: int, n_bytes: int
) -> NDArray[np.unsignedinteger]:
    """Decode a frame of DICOM's run-length coding.

    Args:
        data: One frame, from its header of 64 bytes on.
        rows: Pixels along a column.
        columns: Pixels along a row.
        samples: 1 or 3.
        n_bytes: Bytes of a sample: 1, 2, 4 or 8.

    Returns:
        (rows, columns) or (rows, columns, samples), unsigned.

    Raises:
        RefusalError: `undecodable`: there are more or fewer segments than bytes of a pixel, or a
            segment holds fewer bytes than there are pixels.

    Source:
        PS3.5 Annex G: a segment per byte of a pixel, the most significant byte first.
    """
    segments = _split_segments(data, n_segments=samples * n_bytes)
    count = rows * columns
    # Filled from the last byte of each word to the first: little endian, without swapping later.
    words = np.empty((count, samples, n_bytes), np.uint8)
    for index, segment in enumerate(segments):
        sample, byte = divmod(index, n_bytes)
        words[:, sample, n_bytes - 1 - byte] = np.frombuffer(_expand(segment, count), np.uint8)
    native = words.view(f"<u{n_bytes}").reshape(rows, columns, samples)
    return native if samples > 1 else native[..., 0]


def _split_segments(data: bytes, *, n_segments: int) -> list[bytes]:
    """Cut a frame into its segments."""
    if len(data) < _HEADER:
        raise RefusalError("undecodable", f"RLE frame must have {_HEADER} bytes, got {len(data)}")
    stated, *offsets = struct.unpack_from("<16I", data)
    if stated != n_segments or stated > _MAX_SEGMENTS:
        raise RefusalError("undecodable", f"RLE segments must be {n_segments}, got {stated}")
    places = [*offsets[:stated], len(data)]
    if places[0] < _HEADER or places != sorted(places):
        raise RefusalError("undecodable", "RLE segments must follow one another, got disorder")
    return [data[place : places[index + 1]] for index, place in enumerate(places[:-1])]


def _expand(segment: bytes, count: int) -> memoryview:
    """Expand the runs of one segment to exactly `count` bytes (PackBits)."""
    expanded = bytearray()
    offset, end = 0, len(segment)
    while offset < end and len(expanded) < count:
        control = segment[offset]
        if control < 128:
            expanded += segment[offset + 1 : offset + 2 + control]
            offset += 2 + control
        elif control > 128:
            expanded += segment[offset + 1 : offset + 2] * (257 - control)
            offset += 2
        else:
            offset += 1
    if len(expanded) < count:
        raise RefusalError(
            "undecodable", f"RLE segment must hold {count} bytes, got {len(expanded)}"
        )
    return memoryview(expanded)[:count]
