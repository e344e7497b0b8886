"""Deflated DICOM files and deflated frames, inflated within a bound."""

import struct
import zlib

from medvision.io.dicom.syntaxes import DEFLATED_FILE, EXPLICIT_LITTLE
from medvision.io.reasons import RefusalError

_EXPLICIT_LITTLE = EXPLICIT_LITTLE.encode() + b"\0"
_PREAMBLE = 128
_META_START = _PREAMBLE + 4
_LONG_VRS = (b"OB", b"OW", b"UN", b"SQ", b"UT", b"OF", b"OD", b"OL", b"OV", b"UC", b"UR")
_SYNTAX_TAG = (0x0002, 0x0010)
_MAX_ELEMENTS = 1000


def inflate_stream(data: bytes | memoryview, *, limit: int) -> bytes:
    """Inflate a raw deflated stream, and refuse one that is longer than it may be.

    Args:
        data: As RFC 1951 has it, without a header.
        limit: Bytes that the result may have at most.

    Raises:
        RefusalError: `undecodable`: the stream is broken or larger than the limit; `truncated`:
            it does not end.

    Source:
        PS3.5 A.5 (deflated files) and A.4.13 (deflated frames).
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        result = inflater.decompress(data, limit)
        if not inflater.eof:
            # An exact fit still has its end to be read.
            result += inflater.decompress(inflater.unconsumed_tail, 1)
    except zlib.error:
        raise RefusalError("undecodable", "deflated stream must be whole, got an error") from None
    if len(result) > limit:
        raise RefusalError("undecodable", f"deflated stream must hold {limit} bytes, got more")
    if not inflater.eof:
        raise RefusalError("truncated", "deflated stream must end, got none")
    return result


def inflate_file(data: bytes, *, limit: int) -> bytes:
    """Turn a deflated file into one of Explicit VR Little Endian; others are returned as given.

    Args:
        data: A whole file.
        limit: Bytes that the inflated part may have at most.

    Raises:
        RefusalError: `undecodable` or `truncated`, as inflate_stream.
    """
    # Some files begin with the meta information, without a preamble.
    first = _META_START if data[_PREAMBLE:_META_START] == b"DICM" else 0
    start, syntax = _find_syntax(data, first)
    if syntax != DEFLATED_FILE:
        return data
    meta = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(_EXPLICIT_LITTLE)) + _EXPLICIT_LITTLE
    head = data[:first] + b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(meta)) + meta
    return head + inflate_stream(memoryview(data)[start:], limit=limit)


def _find_syntax(data: bytes, offset: int) -> tuple[int, str]:
    """Return where the meta information ends, and the transfer syntax."""
    syntax = ""
    for _ in range(_MAX_ELEMENTS):
        if offset + 12 > len(data):
            break
        group, element, vr, short = struct.unpack_from("<HH2sH", data, offset)
        if group != _SYNTAX_TAG[0]:
            break
        start, length = offset + 8, short
        if vr in _LONG_VRS:
            (length,) = struct.unpack_from("<I", data, start)
            start += 4
        if element == _SYNTAX_TAG[1]:
            value = bytes(data[start : start + min(length, 64)])
            syntax = value.decode("ascii", "replace").strip("\x00 ")
        offset = start + length
    return offset, syntax
