"""Compressed frames that break their standard in known ways, mended in memory."""

import struct

from medvision.io.pixels.codestream import JPEG, Codestream, describe_codestream

REPAIRED = "codestream-repaired"

_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_JPEG_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
_MAX_BOXES = 100
_WHOLE_SPECTRUM = b"\x00\x3f\x00"


def mend_frame(data: bytes) -> tuple[bytes, Codestream, tuple[str, ...]]:
    """Mend what can be mended without a guess, and read the codestream's header.

    Mended are a JP2 file around the codestream, zero bytes before it, and the spectral selection
    of sequential JPEG written as 0 to 0 in place of 0 to 63.

    Args:
        data: One frame.

    Returns:
        (data, codestream, flags): the frame as its standard wants it; codestream-repaired where
        it was not so.

    Raises:
        RefusalError: `undecodable` or `no-decoder`, as describe_codestream.

    Source:
        PS3.5 8.2.4: the optional JP2 file format header is not used. ISO 10918-1 table B.3:
        in sequential scans Ss is 0, Se is 63, Ah and Al are 0.
    """
    bare = _strip_lead(_unwrap_jp2(data))
    codestream = describe_codestream(bare)
    mended = _mend_spectrum(bare, codestream)
    if mended is data:
        return data, codestream, ()
    return mended, codestream, (REPAIRED,)


def _unwrap_jp2(data: bytes) -> bytes:
    """Return the codestream of a JP2 file, or what was given."""
    if not data.startswith(_JP2_SIGNATURE):
        return data
    offset = 0
    for _ in range(_MAX_BOXES):
        if offset + 16 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, offset)
        start = offset + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        if kind == b"jp2c":
            return data[start : offset + length if length else len(data)]
        if length < 8:
            break
        offset += length
    return data


def _strip_lead(data: bytes) -> bytes:
    """Return a frame without zero bytes before its first marker."""
    bare = data.lstrip(b"\x00") if data.startswith(b"\x00") else data
    return bare if bare.startswith(_JPEG_STARTS) else data


def _mend_spectrum(data: bytes, codestream: Codestream) -> bytes:
    """Give sequential scans that select no spectrum the whole one."""
    broken = [tail for tail in codestream.scan_tails if data[tail : tail + 3] == bytes(3)]
    if codestream.coding != JPEG or not broken:
        return data
    mended = bytearray(data)
    for tail in broken:
        mended[tail : tail + 3] = _WHOLE_SPECTRUM
    return bytes(mended)
