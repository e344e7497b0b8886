"""The bounded scan: what the first 16 KiB of an ordinary uncompressed image tell of it.

Tier 1 of reading headers. The scan only ever says yes: what it returns equals what pydicom reads,
and whatever is unusual it distrusts, so that pydicom decides. It must pass every element up to that
of the pixels: what does not fit into the first 16 KiB (a long private element, and what follows it)
is passed by at most four further looks of 4 KiB. Distrusted are files

- without preamble, without group length or transfer syntax, or in another syntax than explicit or
  implicit little endian (so: big endian, deflated, encapsulated, private);
- whose elements do not rise in tag, have an unknown VR, another VR than the standard's where the
  value is needed, or an undefined length and are no sequence that ends within one look;
- with a needed value that is not printable ASCII, a number written oddly, or a character set that
  the standard does not know;
- with several frames, functional groups, a modality table, or the marks of a mosaic (ImageType,
  Siemens' (0019,xx0A), UIH's (0065,1050));
- whose pixels are absent, float, of YBR colour, or shorter than the header says, or lie behind more
  than the looks can pass.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from medvision.io.dicom.attributes import ATTRIBUTES, MARKED_SEQUENCES
from medvision.io.dicom.layout import PIXELS, PixelExtent
from medvision.io.dicom.raw_texts import decode_raw
from medvision.io.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from medvision.io.dicom.walk import (
    UNDEFINED,
    Elements,
    read_explicit,
    walk_explicit,
    walk_implicit,
)

WINDOW_BYTES = 16 * 1024
"""How much of a file is read at once, and mostly at all."""

_LOOK_BYTES = 4 * 1024
_MAX_LOOKS = 4

ReadAt = Callable[[int, int], bytes]
"""(number of bytes, place) to bytes."""

_BEFORE_FIRST = 0x0007_FFFF
_EMPTY = (b"", b"")
_NO_TILES = frozenset((b"", b"\0\0", b"\1\0"))
_PIXEL_VRS = (b"OW", b"OB")

_META_START = 132
_META_GROUP, _SYNTAX = b"\2\0", (0x0002_0010, b"UI")
_GROUP_LENGTH = (0x0002_0000, b"UL", 4)
_SYNTAXES = {uid.encode(): uid for uid in (IMPLICIT_LITTLE, EXPLICIT_LITTLE)}
_PARTS_OF_8859 = {100: 1, 101: 2, 109: 3, 110: 4, 126: 7, 127: 6, 138: 8, 144: 5, 148: 9}
_NAME_ENCODINGS = {
    "": "latin-1",
    "GB18030": "gb18030",
    "ISO_IR 192": "utf-8",
    **dict.fromkeys(("ISO_IR 13", "ISO 2022 IR 13,ISO 2022 IR 87"), "shift_jis"),
    **{f"ISO_IR {number}": f"iso8859_{part}" for number, part in _PARTS_OF_8859.items()},
}
"""Python's name of the character sets that most names are in (PS3.3 C.12.1.1.2)."""

_CHARACTER_SETS = frozenset(
    (
        *("", "GB18030", "GBK", "ISO 2022 58", "ISO 2022 GBK", "ISO_IR 6", "ISO_IR 192"),
        *(f"ISO_IR {n}" for n in (13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166)),
        *(f"ISO 2022 IR {n}" for n in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144)),
        *(f"ISO 2022 IR {n}" for n in (148, 149, 159, 166)),
    )
)
"""Sets in which printable ASCII means itself (PS3.3 C.12.1.1.2)."""

_MOSAICS = frozenset(("MOSAIC", "VFRAME"))
_CREATORS = tuple(0x0019_0000 | block for block in range(0x10, 0x20))
_SIEMENS_COUNTS = tuple(0x0019_000A | block << 8 for block in range(0x10, 0x20))
_SIEMENS_MR = b"SIEMENS MR HEADER"
_UIH_COUNT = 0x0065_1050
_PRIVATE = (*_CREATORS, *_SIEMENS_COUNTS, _UIH_COUNT)

_KEYWORDS = {tag: (keyword, vr, vr.encode()) for keyword, (tag, vr) in ATTRIBUTES.items()}
_WANTED = frozenset((*_KEYWORDS, *_PRIVATE))


class ScannedHeader(NamedTuple):
    """A header told by the bounded scan.

    Args:
        attributes: Keyword to texts, of those of attributes.ATTRIBUTES that the header has.
        syntax: Transfer syntax UID.
        pixels: Where the pixels lie.
    """

    attributes: dict[str, tuple[str, ...]]
    syntax: str
    pixels: PixelExtent


def scan_path(path: str | os.PathLike[str]) -> ScannedHeader | None:
    """Scan a file.

    Returns:
        None where the file is distrusted.

    Raises:
        OSError: The file cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        return scan_header(partial(os.pread, handle), size=os.fstat(handle).st_size)
    finally:
        os.close(handle)


def scan_content(content: bytes) -> ScannedHeader | None:
    """Scan a file that is at hand as bytes; None where it is distrusted."""
    return scan_header(lambda n_bytes, place: content[place : place + n_bytes], size=len(content))


def scan_header(read: ReadAt, *, size: int) -> ScannedHeader | None:
    """Scan the header of a file.

    Args:
        read: (number of bytes, place) to the bytes there, fewer where the file ends.
        size: Bytes of the file.

    Returns:
        None where the file is distrusted.

    Source:
        PS3.10 7.1 (meta information), PS3.5 7 (data elements), PS3.5 8.1 (native pixels).
    """
    head = read(WINDOW_BYTES, 0)
    begin = _find_dataset(head)
    if begin is None:
        return None
    found: Elements = {}
    element = _walk(read, head, begin, found=found)
    if element is None or _may_be_mosaic(found):
        return None
    attributes = _decode(found)
    if attributes is None or not _is_ordinary(attributes):
        return None
    tag, vr, place, length = element
    if tag != PIXELS or (vr and vr not in _PIXEL_VRS) or place + length > size:
        return None
    return ScannedHeader(attributes, begin[1], PixelExtent(tag, vr.decode() or "OW", place, length))


def _walk(
    read: ReadAt, head: bytes, begin: tuple[int, str], *, found: Elements
) -> tuple[int, bytes, int, int] | None:
    """Walk the dataset to the element of the pixels; note on the way what is wanted."""
    at, syntax = begin
    walk = walk_explicit if syntax == EXPLICIT_LITTLE else walk_implicit
    # What looks like a VR in the first element makes pydicom read the whole as explicit.
    if walk is walk_implicit and head[at + 4 : at + 6].isalpha():
        return None
    base, last = 0, _BEFORE_FIRST
    for look in range(1 + _MAX_LOOKS):
        window = read(_LOOK_BYTES, base) if look else head
        walked = walk(window, at, last=last, wanted=_WANTED, found=found)
        if walked is None:
            return None
        if walked.pixels is not None:
            tag, vr, place, length = walked.pixels
            return tag, vr, base + place, length
        if walked.at == 0:
            return None
        base, at, last = base + walked.at, 0, walked.last
    return None


def _find_dataset(head: bytes) -> tuple[int, str] | None:
    """Return where the dataset begins, and its syntax."""
    if head[_META_START - 4 : _META_START] != b"DICM":
        return None
    at, last, syntax = _META_START, 0, b""
    while head[at : at + 2] == _META_GROUP and at + 12 <= len(head):
        tag, vr, place, length = read_explicit(head, at)
        if tag <= last or length == UNDEFINED or (not last and (tag, vr, length) != _GROUP_LENGTH):
            return None
        if (tag, vr) == _SYNTAX:
            syntax = head[place : place + length].rstrip(b"\0 ")
        last, at = tag, place + length
    return (at, _SYNTAXES[syntax]) if syntax in _SYNTAXES else None


def _decode(found: Elements) -> dict[str, tuple[str, ...]] | None:
    """Return values by keyword, None where one of them is not plain."""
    attributes: dict[str, tuple[str, ...]] = {}
    for tag, (own_vr, value) in found.items():
        if tag not in _KEYWORDS:
            continue
        keyword, vr, stated = _KEYWORDS[tag]
        texts = None
        if own_vr in (stated, b""):
            sets = attributes.get("SpecificCharacterSet", ())
            is_name = vr == "PN" and value.strip(b" \0")
            texts = _decode_name(value, sets) if is_name else decode_raw(value, vr)
        if texts is None:
            return None
        attributes[keyword] = texts
    return attributes


def _decode_name(value: bytes, sets: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return a person's name as first written; None where it takes a full parse."""
    # No other writing is read: what comes before the first mark decides by itself.
    written = value.rstrip(b" \0").partition(b"=")[0]
    encoding = "ascii" if written.isascii() else _NAME_ENCODINGS.get(",".join(sets))
    if encoding is None or b"\\" in value:
        return None
    try:
        text = written.decode(encoding).strip()
    except UnicodeDecodeError:
        return None
    if not text.isprintable():
        return None
    return (text,) if text else ()


def _is_ordinary(attributes: dict[str, tuple[str, ...]]) -> bool:
    """Say whether a header is that of one plane of grey or plain colour."""
    get = attributes.get
    return (
        bool((get("SOPClassUID") or ("",))[0] and get("Rows") and get("Columns"))
        and get("NumberOfFrames", ()) in ((), ("1",))
        and MARKED_SEQUENCES.isdisjoint(attributes)
        and _CHARACTER_SETS.issuperset(get("SpecificCharacterSet", ()))
        and not any(text.upper() in _MOSAICS for text in get("ImageType", ()))
        and not any("YBR" in text.upper() for text in get("PhotometricInterpretation", ()))
    )


def _may_be_mosaic(found: Elements) -> bool:
    """Say whether private elements count several tiles."""
    if found.get(_UIH_COUNT, _EMPTY)[1].strip(b" \0") not in (b"", b"1"):
        return True
    counts = {found[tag][1] for tag in _SIEMENS_COUNTS if tag in found}
    if counts <= _NO_TILES:
        return False
    creators = {_read_creator(found[tag][1]) for tag in _CREATORS if tag in found} - {b""}
    return not creators or _SIEMENS_MR in creators


def _read_creator(value: bytes) -> bytes:
    """Return the name of who reserved a private block, in capitals."""
    return value.partition(b"\\")[0].strip(b" \0").upper()
