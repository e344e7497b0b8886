"""The first elements of an uncompressed little endian dataset, walked without a parser."""

import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

UNDEFINED = 0xFFFFFFFF
PIXEL_GROUP = 0x7FE0_0000

ReadElement = Callable[[bytes, int], tuple[int, bytes, int, int]]
"""(bytes, place of an element) to (tag, VR, place of the value, its length).

The VR is empty where the file does not state it; the tag is 0 where the bytes are no element.
"""

_NO_ELEMENT = (0, b"", 0, 0)
_HEAD_BYTES = 12
_FIRST_TAG = 0x0008_0000
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_CHARACTER_SET = 0x0008_0005
_MAX_DEPTH = 8

_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""VRs whose length takes four bytes after two of nothing (PS3.5 7.1.2)."""

_unpack_explicit = struct.Struct("<HH2sH").unpack_from
_unpack_implicit = struct.Struct("<HHI").unpack_from
_unpack_length = struct.Struct("<I").unpack_from

_SEQUENCES = frozenset(
    (
        *(0x0008_1032, 0x0008_1049, 0x0008_1052, 0x0008_1062, 0x0008_1072, 0x0008_1084),
        *(0x0008_1110, 0x0008_1111, 0x0008_1115, 0x0008_1120, 0x0008_1140, 0x0008_114A),
        *(0x0008_1199, 0x0008_1250, 0x0008_2112, 0x0008_2218, 0x0008_9092, 0x0008_9121),
        *(0x0008_9215, 0x0010_0024, 0x0010_0050, 0x0010_1002, 0x0018_0012, 0x0018_0014),
        *(0x0018_0026, 0x0028_3000, 0x0028_3010, 0x0028_9145, 0x0032_1064, 0x0040_0008),
        *(0x0040_0100, 0x0040_0220, 0x0040_0260, 0x0040_0275, 0x0040_0321, 0x0040_030E),
        *(0x0040_0555, 0x0040_9096, 0x0040_A043, 0x0040_A170, 0x0040_A730, 0x0054_0012),
        *(0x0054_0013, 0x0054_0016, 0x0054_0220, 0x0054_0222, 0x0054_0300, 0x0054_0304),
        *(0x0054_0410, 0x0054_0412, 0x0054_0414, 0x0088_0200, 0x0400_0561, 0x2050_0010),
        *(0x5200_9229, 0x5200_9230),
    )
)
"""Sequences that a classic header often has: where no VR is stated, only these and private ones
are known to be sequences."""


class Walk(NamedTuple):
    """How far a walk came.

    Args:
        found: Tag to the value's bytes, of the wanted elements.
        last: Tag of the last element.
        end: Byte behind the last element; it may lie behind the window.
        pixels: (tag, VR, place of the value, its length) of the first element of the pixels'
            group; None where the window ended before it.
    """

    found: dict[int, bytes]
    last: int
    end: int
    pixels: tuple[int, bytes, int, int] | None


def read_explicit(head: bytes, at: int) -> tuple[int, bytes, int, int]:
    """Read the head of an element that states its VR, as ReadElement."""
    group, element, vr, length = _unpack_explicit(head, at)
    if vr in _SHORT:
        return group << 16 | element, vr, at + 8, length
    if vr in _LONG:
        return group << 16 | element, vr, at + 12, _unpack_length(head, at + 8)[0]
    return _NO_ELEMENT


def read_implicit(head: bytes, at: int) -> tuple[int, bytes, int, int]:
    """Read the head of an element that does not state its VR, as ReadElement."""
    group, element, length = _unpack_implicit(head, at)
    return group << 16 | element, b"", at + 8, length


def walk_explicit(head: bytes, start: int, wanted: Mapping[int, bytes | None]) -> Walk | None:
    """Walk the elements of an explicit little endian dataset, up to the pixels or the window's end.

    The loop is the costliest part of the scan, so it spells out what read_explicit does.

    Args:
        head: The first bytes of a file.
        start: Where the dataset begins.
        wanted: Tag to the VR that the element must have, None for any.

    Returns:
        None where tags do not rise, a VR is unknown or another than it must be, a wanted value
        lies beyond the window, or an element of undefined length is no sequence that ends within
        the window.

    Source:
        PS3.5 7.1 (data elements), 7.5 (sequences).
    """
    found: dict[int, bytes] = {}
    last, at, limit = _FIRST_TAG - 1, start, len(head) - _HEAD_BYTES
    while at <= limit:
        group, number, vr, length = _unpack_explicit(head, at)
        tag, place = group << 16 | number, at + 8
        if vr not in _SHORT:
            if vr not in _LONG:
                return None
            length, place = _unpack_length(head, place)[0], at + 12
        if tag <= last:
            return None
        if tag >= PIXEL_GROUP:
            return Walk(found, last, at, (tag, vr, place, length))
        at = place + length
        if length == UNDEFINED:
            at = _skip(head, place, read=read_explicit, tag=tag, vr=vr)
        if at < 0:
            return None
        if tag in wanted:
            if at > len(head) or wanted[tag] not in (vr, None):
                return None
            found[tag] = head[place:at]
        last = tag
    return Walk(found, last, at, None)


def walk_implicit(head: bytes, start: int, wanted: Mapping[int, bytes | None]) -> Walk | None:
    """Walk the elements of an implicit little endian dataset, as walk_explicit."""
    found: dict[int, bytes] = {}
    last, at, limit = _FIRST_TAG - 1, start, len(head) - _HEAD_BYTES
    while at <= limit:
        group, number, length = _unpack_implicit(head, at)
        tag, place = group << 16 | number, at + 8
        if tag <= last:
            return None
        if tag >= PIXEL_GROUP:
            return Walk(found, last, at, (tag, b"", place, length))
        at = place + length
        if length == UNDEFINED:
            at = _skip(head, place, read=read_implicit, tag=tag, vr=b"")
        if at < 0:
            return None
        if tag in wanted:
            if at > len(head):
                return None
            found[tag] = head[place:at]
        last = tag
    return Walk(found, last, at, None)


def _skip(head: bytes, at: int, *, read: ReadElement, tag: int, vr: bytes, depth: int = 0) -> int:
    """Return the byte behind a sequence of undefined length, -1 where it cannot be told."""
    if vr != b"SQ" and (vr or not (tag in _SEQUENCES or _is_private_sequence(head, at, tag))):
        return -1
    while depth < _MAX_DEPTH and at + 8 <= len(head):
        marker, _, at, length = read_implicit(head, at)
        if marker == _SEQUENCE_END:
            return at
        if marker != _ITEM:
            return -1
        at = _skip_item(head, at, length=length, read=read, depth=depth)
        if at < 0:
            return -1
    return -1


def _is_private_sequence(head: bytes, at: int, tag: int) -> bool:
    """Say whether a private element of undefined length begins with an item."""
    return bool(tag >> 16 & 1) and len(head) >= at + 8 and read_implicit(head, at)[0] == _ITEM


def _skip_item(head: bytes, at: int, *, length: int, read: ReadElement, depth: int) -> int:
    """Return the byte behind an item, -1 where its elements do not fill it exactly.

    Nor is an item trusted that has a character set of its own.
    """
    end = at + length if length != UNDEFINED else len(head)
    while at < end:
        if at + _HEAD_BYTES > len(head):
            return -1
        if length == UNDEFINED and read_implicit(head, at)[0] == _ITEM_END:
            return at + 8
        tag, vr, place, size = read(head, at)
        if not 0 < tag < _ITEM or tag == _CHARACTER_SET:
            return -1
        if size == UNDEFINED:
            at = _skip(head, place, read=read, tag=tag, vr=vr, depth=depth + 1)
            if at < 0:
                return -1
        else:
            at = place + size
    return at if at == end and length != UNDEFINED else -1
