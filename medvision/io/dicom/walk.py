"""The elements of an uncompressed little endian dataset, walked without a parser."""

import struct
from collections.abc import Callable, Container
from typing import NamedTuple

UNDEFINED = 0xFFFFFFFF
FIRST_OF_PIXELS = 0x7FE0_0001
"""The group's length may come before it."""

ReadElement = Callable[[bytes, int], tuple[int, bytes, int, int]]
"""(bytes, place of an element) to (tag, VR, place of the value, its length).

The VR is empty where the file does not state it; the tag is 0 where the bytes are no element.
"""

Elements = dict[int, tuple[bytes, bytes]]
"""Tag to VR (empty where the file does not state it) and value."""

_NO_ELEMENT = (0, b"", 0, 0)
_NO_SEQUENCE, _BEHIND = -1, -2
"""No byte: the element is no well-formed sequence, or one that ends behind the window."""

_HEAD_BYTES = 12
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
        last: Tag of the last element that was passed.
        at: Place of the first element that was not passed; it may lie behind the window.
        pixels: (tag, VR, place of the value, its length) of the first element of the pixels'
            group; None where the window ended before it.
    """

    last: int
    at: int
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


def walk_explicit(
    window: bytes, at: int, *, last: int, wanted: Container[int], found: Elements
) -> Walk | None:
    """Walk the elements of an explicit little endian dataset, up to the pixels or the window's end.

    The loop is the costliest part of the scan, so it spells out what read_explicit does.

    Args:
        window: Part of a file.
        at: Place in the window at which an element begins.
        last: Tag of the element before it.
        wanted: Tags of the elements to keep.
        found: Takes them.

    Returns:
        None where tags do not rise, a VR is unknown, or an element of undefined length is no
        sequence.

    Source:
        PS3.5 7.1 (data elements), 7.5 (sequences).
    """
    n_bytes = len(window)
    while at <= n_bytes - _HEAD_BYTES:
        group, number, vr, length = _unpack_explicit(window, at)
        tag, place = group << 16 | number, at + 8
        if vr not in _SHORT:
            if vr not in _LONG:
                return None
            length, place = _unpack_length(window, place)[0], at + 12
        if tag <= last:
            return None
        if tag >= FIRST_OF_PIXELS:
            return Walk(last, at, (tag, vr, place, length))
        end = place + length
        if length == UNDEFINED:
            end = _skip(window, place, read=read_explicit, tag=tag, vr=vr)
            if end < 0:
                return Walk(last, at, None) if end == _BEHIND else None
        if tag in wanted:
            if end > n_bytes:
                break
            found[tag] = vr, window[place:end]
        last, at = tag, end
    return Walk(last, at, None)


def walk_implicit(
    window: bytes, at: int, *, last: int, wanted: Container[int], found: Elements
) -> Walk | None:
    """Walk the elements of an implicit little endian dataset, as walk_explicit."""
    n_bytes = len(window)
    while at <= n_bytes - _HEAD_BYTES:
        group, number, length = _unpack_implicit(window, at)
        tag, place = group << 16 | number, at + 8
        if tag <= last:
            return None
        if tag >= FIRST_OF_PIXELS:
            return Walk(last, at, (tag, b"", place, length))
        end = place + length
        if length == UNDEFINED:
            end = _skip(window, place, read=read_implicit, tag=tag, vr=b"")
            if end < 0:
                return Walk(last, at, None) if end == _BEHIND else None
        if tag in wanted:
            if end > n_bytes:
                break
            found[tag] = b"", window[place:end]
        last, at = tag, end
    return Walk(last, at, None)


def _skip(window: bytes, at: int, *, read: ReadElement, tag: int, vr: bytes, depth: int = 0) -> int:
    """Return the byte behind a sequence of undefined length, or _NO_SEQUENCE, or _BEHIND."""
    if at + 8 > len(window):
        return _BEHIND
    is_sequence = vr == b"SQ" if vr else tag in _SEQUENCES or _is_private_sequence(window, at, tag)
    if not is_sequence or depth >= _MAX_DEPTH:
        return _NO_SEQUENCE
    while at + 8 <= len(window):
        marker, _, at, length = read_implicit(window, at)
        if marker == _SEQUENCE_END:
            return at
        if marker != _ITEM:
            return _NO_SEQUENCE
        at = _skip_item(window, at, length=length, read=read, depth=depth)
        if at < 0:
            return at
    return _BEHIND


def _is_private_sequence(window: bytes, at: int, tag: int) -> bool:
    """Say whether a private element of undefined length begins with an item."""
    return bool(tag >> 16 & 1) and read_implicit(window, at)[0] == _ITEM


def _skip_item(window: bytes, at: int, *, length: int, read: ReadElement, depth: int) -> int:
    """Return the byte behind an item, as _skip; its elements must fill it exactly.

    Nor is an item trusted that has a character set of its own.
    """
    end = at + length if length != UNDEFINED else len(window)
    while at < end:
        if at + _HEAD_BYTES > len(window):
            return _BEHIND
        if length == UNDEFINED and read_implicit(window, at)[0] == _ITEM_END:
            return at + 8
        tag, vr, place, size = read(window, at)
        if not 0 < tag < _ITEM or tag == _CHARACTER_SET:
            return _NO_SEQUENCE
        at = place + size
        if size == UNDEFINED:
            at = _skip(window, place, read=read, tag=tag, vr=vr, depth=depth + 1)
        if at < 0:
            return at
    if length == UNDEFINED:
        return _BEHIND
    return at if at == end else _NO_SEQUENCE
