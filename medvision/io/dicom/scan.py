"""The bounded scan: what the first 16 KiB of an ordinary uncompressed image tell of it.

Tier 1 of reading headers. The scan only ever says yes: what it returns equals what pydicom reads,
and whatever is unusual it distrusts, so that pydicom decides. Distrusted are files

- without preamble, without group length or transfer syntax, or in another syntax than explicit or
  implicit little endian (so: big endian, deflated, encapsulated, private);
- whose elements do not rise in tag, have an unknown VR, another VR than the standard's where the
  value is needed, or an undefined length and no sequence that ends within the window;
- with a needed value that is not printable ASCII, a number written oddly, or a character set that
  the standard does not know;
- whose group 0028 does not end within the window;
- with several frames, functional groups, a modality table, or the marks of a mosaic (ImageType,
  Siemens' (0019,xx0A), UIH's (0065,1050));
- whose pixels are absent, float, of YBR colour, or shorter than the header says;
- whose header goes on behind the window, unless the class is a classic one whose needed attributes
  end with group 0028, and the pixels are the file's last bytes, with the right element before them.
"""

import os
from typing import NamedTuple

from medvision.io.dicom.attributes import ATTRIBUTES, MARKED_SEQUENCES
from medvision.io.dicom.layout import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    PIXELS,
    PixelExtent,
)
from medvision.io.dicom.objects import name_manufacturer
from medvision.io.dicom.raw_texts import decode_raw
from medvision.io.dicom.walk import (
    UNDEFINED,
    Walk,
    read_explicit,
    walk_explicit,
    walk_implicit,
)

WINDOW_BYTES = 16 * 1024
"""How much of a file is read, but for the few bytes before the pixels."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_SHORT_CLASSES = frozenset(
    f"{_STORAGE}{end}" for end in ("1", "1.1", "1.1.1", "1.2", "1.2.1", "2", "4", "6.1", "7")
)
"""CR, DX, MG, CT, MR, US, SC: no module of theirs has a needed attribute behind group 0028."""

_PET = f"{_STORAGE}128"
_END_OF_IMAGE, _END_OF_PET = 0x0028_FFFF, 0x0054_FFFF
_NO_TILES = frozenset((b"", b"\0\0", b"\1\0"))
_PIXEL_VRS = (b"OW", b"OB")

_META_START = 132
_META_GROUP, _SYNTAX = b"\2\0", 0x0002_0010
_GROUP_LENGTH = (0x0002_0000, 4)
_SYNTAXES = {uid.encode(): uid for uid in (IMPLICIT_LITTLE, EXPLICIT_LITTLE)}
_PIXEL_HEADS = {
    IMPLICIT_LITTLE: (b"\xe0\x7f\x10\0",),
    EXPLICIT_LITTLE: (b"\xe0\x7f\x10\0OW\0\0", b"\xe0\x7f\x10\0OB\0\0"),
}
"""All of the pixels' element before its length."""

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

_KEYWORDS = {tag: (keyword, vr) for keyword, (tag, vr) in ATTRIBUTES.items()}
_WANTED: dict[int, bytes | None] = {
    **{tag: vr.encode() for tag, vr in ATTRIBUTES.values()},
    **dict.fromkeys(_PRIVATE),
}


class ScannedHeader(NamedTuple):
    """A header told by the bounded scan.

    Args:
        attributes: Keyword to texts, of those of attributes.ATTRIBUTES that the header has.
        syntax: Transfer syntax UID.
        pixels: Where the pixels lie.
        proof: (place, bytes): the file must hold one of these at that place for `pixels` to be
            right; none where the element of the pixels was seen.
    """

    attributes: dict[str, tuple[str, ...]]
    syntax: str
    pixels: PixelExtent
    proof: tuple[int, tuple[bytes, ...]]


def scan_path(path: str | os.PathLike[str]) -> ScannedHeader | None:
    """Scan a file.

    Returns:
        None where the file is distrusted.

    Raises:
        OSError: The file cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        size = os.fstat(handle).st_size
        scanned = scan_header(os.pread(handle, WINDOW_BYTES, 0), size=size)
        if scanned is None:
            return None
        place, expected = scanned.proof
        if expected and os.pread(handle, len(expected[0]), place) not in expected:
            return None
        return scanned
    finally:
        os.close(handle)


def scan_content(content: bytes) -> ScannedHeader | None:
    """Scan a file that is at hand as bytes; None where it is distrusted."""
    scanned = scan_header(content[:WINDOW_BYTES], size=len(content))
    if scanned is None:
        return None
    place, expected = scanned.proof
    if expected and content[place : place + len(expected[0])] not in expected:
        return None
    return scanned


def scan_header(head: bytes, *, size: int) -> ScannedHeader | None:
    """Scan the first bytes of a file.

    Args:
        head: The first WINDOW_BYTES bytes; fewer where the file has no more.
        size: Bytes of the file.

    Returns:
        What holds if the file also holds `proof`; None where the file is distrusted.

    Source:
        PS3.10 7.1 (meta information), PS3.5 7 (data elements), PS3.5 8.1 (native pixels).
    """
    place = _find_dataset(head)
    walked = None if place is None else _walk(head, *place)
    if place is None or walked is None or walked.last <= _END_OF_IMAGE:
        return None
    attributes = _decode(walked.found)
    if attributes is None or not _is_ordinary(attributes) or _may_be_mosaic(walked, attributes):
        return None
    syntax = place[1]
    if walked.pixels is not None:
        return _take_pixels(walked.pixels, attributes, syntax=syntax, size=size)
    return _expect_pixels(walked, attributes, syntax=syntax, size=size)


def _walk(head: bytes, start: int, syntax: str) -> Walk | None:
    """Walk the dataset in its syntax."""
    if syntax == EXPLICIT_LITTLE:
        return walk_explicit(head, start, _WANTED)
    # What looks like a VR in the first element makes pydicom read the whole as explicit.
    return None if head[start + 4 : start + 6].isalpha() else walk_implicit(head, start, _WANTED)


def _find_dataset(head: bytes) -> tuple[int, str] | None:
    """Return where the dataset begins, and its syntax."""
    if head[_META_START - 4 : _META_START] != b"DICM":
        return None
    at, last, syntax = _META_START, 0, b""
    while head[at : at + 2] == _META_GROUP and at + 12 <= len(head):
        tag, _, place, length = read_explicit(head, at)
        if tag <= last or length == UNDEFINED or (not last and (tag, length) != _GROUP_LENGTH):
            return None
        if tag == _SYNTAX:
            syntax = head[place : place + length].rstrip(b"\0 ")
        last, at = tag, place + length
    return (at, _SYNTAXES[syntax]) if syntax in _SYNTAXES else None


def _decode(found: dict[int, bytes]) -> dict[str, tuple[str, ...]] | None:
    """Return values by keyword, None where one of them is not plain."""
    attributes: dict[str, tuple[str, ...]] = {}
    for tag, value in found.items():
        if tag not in _KEYWORDS:
            continue
        keyword, vr = _KEYWORDS[tag]
        texts = decode_raw(value, vr)
        if texts is None:
            return None
        attributes[keyword] = texts
    return attributes


def _is_ordinary(attributes: dict[str, tuple[str, ...]]) -> bool:
    """Say whether a header is that of one plane of grey or plain colour."""
    get = attributes.get
    return (
        bool(get("SOPClassUID") and get("Rows") and get("Columns") and get("BitsAllocated"))
        and get("NumberOfFrames", ()) in ((), ("1",))
        and MARKED_SEQUENCES.isdisjoint(attributes)
        and _CHARACTER_SETS.issuperset(get("SpecificCharacterSet", ()))
        and not any(text.upper() in _MOSAICS for text in get("ImageType", ()))
        and not any("YBR" in text.upper() for text in get("PhotometricInterpretation", ()))
    )


def _may_be_mosaic(walked: Walk, attributes: dict[str, tuple[str, ...]]) -> bool:
    """Say whether private elements count several tiles, or may do so behind the window."""
    found = walked.found
    if found.get(_UIH_COUNT, b"").strip(b" \0") not in (b"", b"1"):
        return True
    manufacturer = attributes.get("Manufacturer") or ("",)
    if walked.pixels is None and name_manufacturer(manufacturer[0]) == "UIH":
        return True
    counts = {found[tag] for tag in _SIEMENS_COUNTS if tag in found}
    if counts <= _NO_TILES:
        return False
    creators = {_read_creator(found[tag]) for tag in _CREATORS if tag in found} - {b""}
    return not creators or _SIEMENS_MR in creators


def _read_creator(value: bytes) -> bytes:
    """Return the name of who reserved a private block, in capitals."""
    return value.partition(b"\\")[0].strip(b" \0").upper()


def _take_pixels(
    element: tuple[int, bytes, int, int],
    attributes: dict[str, tuple[str, ...]],
    *,
    syntax: str,
    size: int,
) -> ScannedHeader | None:
    """Return the header of a file whose pixels begin within the window."""
    tag, vr, place, length = element
    if tag != PIXELS or (vr and vr not in _PIXEL_VRS) or place + length > size:
        return None
    extent = PixelExtent(tag, vr.decode() or "OW", place, length)
    return ScannedHeader(attributes, syntax, extent, (0, ()))


def _expect_pixels(
    walked: Walk, attributes: dict[str, tuple[str, ...]], *, syntax: str, size: int
) -> ScannedHeader | None:
    """Return the header of a file whose pixels should be its last bytes."""
    sop_class = attributes["SOPClassUID"][0]
    is_short = sop_class in _SHORT_CLASSES or (sop_class == _PET and walked.last > _END_OF_PET)
    bits = int(attributes["BitsAllocated"][0])
    if not is_short or bits % 8:
        return None
    samples = int((attributes.get("SamplesPerPixel") or ("1",))[0])
    length = int(attributes["Rows"][0]) * int(attributes["Columns"][0]) * samples * bits // 8
    length += length % 2
    place = size - length
    extent = PixelExtent(PIXELS, "OW", place, length)
    proof = tuple(start + length.to_bytes(4, "little") for start in _PIXEL_HEADS[syntax])
    before = place - len(proof[0])
    if not length or before < walked.end:
        return None
    return ScannedHeader(attributes, syntax, extent, (before, proof))
