"""Comments inside compressed pixels: overwritten in place, every other byte as it was."""

import struct
from collections.abc import Callable, Iterator

_ITEM = b"\xfe\xff\x00\xe0"
_JPEG = b"\xff\xd8\xff"
_JPEG2000 = b"\xff\x4f\xff\x51"
_SCAN, _END, _COMMENT = 0xDA, 0xD9, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
_NEEDED = ((0xE0, b"JFIF\0"), (0xEE, b"Adobe"), (0xE8, b"mrfx"), (0xE8, b"SPIFF\0"))
"""Application segments that say how colours are meant."""

_J2K_COMMENT, _J2K_TILE, _J2K_DATA, _J2K_END = 0x64, 0x90, 0x93, 0xD9

Span = tuple[int, int]
"""First byte, and byte behind the last."""


def blank_comments(pixels: bytes) -> bytes:
    """Overwrite with zeros what an encoder or a camera wrote beside the pixels.

    Args:
        pixels: Encapsulated pixel data: items of JPEG, JPEG-LS or JPEG 2000 codestreams.

    Returns:
        As many bytes, which decode to the same pixels.

    Source:
        ITU-T T.81 B.2.4.5 and B.2.4.6 (COM and APPn), T.800 A.9.2 (COM); PS3.5 A.4.
    """
    blanked = bytearray(pixels)
    for start, end in _find_items(pixels):
        find = _find_finder(pixels[start : start + 4])
        for first, last in find(pixels, (start, end)) if find else ():
            blanked[first:last] = bytes(last - first)
    return bytes(blanked)


def _find_items(pixels: bytes) -> Iterator[Span]:
    """Yield where the content of each item lies."""
    offset = 0
    while pixels[offset : offset + 4] == _ITEM and offset + 8 <= len(pixels):
        (length,) = struct.unpack_from("<I", pixels, offset + 4)
        start = offset + 8
        offset = min(start + length, len(pixels))
        yield start, offset


def _find_finder(head: bytes) -> Callable[[bytes, Span], Iterator[Span]] | None:
    """Return the search for a codestream that begins so."""
    if head.startswith(_JPEG):
        return _find_in_jpeg
    return _find_in_jpeg2000 if head.startswith(_JPEG2000) else None


def _find_in_jpeg(pixels: bytes, span: Span) -> Iterator[Span]:
    """Yield the comments and application segments before the first scan."""
    offset, end = span
    offset += 2
    while offset + 4 <= end and pixels[offset] == 0xFF:
        marker = pixels[offset + 1]
        if marker in (0xFF, *_WITHOUT_LENGTH):
            offset += 1 if marker == 0xFF else 2
            continue
        if marker in (_SCAN, _END):
            return
        content, offset = offset + 4, offset + 2 + _read_length(pixels, offset + 2)
        if marker == _COMMENT or (
            marker in _APPLICATION and not _is_needed(marker, pixels[content : content + 6])
        ):
            yield content, min(offset, end)


def _is_needed(marker: int, head: bytes) -> bool:
    """Say whether an application segment is one that decoders read."""
    return any(marker == known and head.startswith(name) for known, name in _NEEDED)


def _find_in_jpeg2000(pixels: bytes, span: Span) -> Iterator[Span]:
    """Yield the comments of the main header and of each tile's header."""
    offset, end = span
    offset += 2
    tile_end = 0
    while offset + 4 <= end and pixels[offset] == 0xFF:
        marker = pixels[offset + 1]
        # A tile that ends before its own header would lead round in a circle.
        if marker == _J2K_END or (marker == _J2K_DATA and tile_end <= offset):
            return
        if marker == _J2K_DATA:
            offset = tile_end
            continue
        if marker == _J2K_TILE:
            tile_end = _find_tile_end(pixels, offset, end=end)
        content, offset = offset + 6, offset + 2 + _read_length(pixels, offset + 2)
        if marker == _J2K_COMMENT:
            yield content, max(content, min(offset, end))


def _find_tile_end(pixels: bytes, offset: int, *, end: int) -> int:
    """Return where the next tile part begins; the last may leave its length open."""
    if offset + 10 > end:
        return end
    (length,) = struct.unpack_from(">I", pixels, offset + 6)
    return offset + length if length >= 12 else end


def _read_length(pixels: bytes, offset: int) -> int:
    """Return a segment's length, which counts itself and so is two at least."""
    return max(int.from_bytes(pixels[offset : offset + 2]), 2)
