"""DICOM files written byte by byte, odd ones too, and the two tiers of header readers compared."""

import struct
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pydicom
from hypothesis import strategies as st

from medvision.domain.study import Instance
from medvision.io.deidentify import Pseudonymiser
from medvision.io.dicom.attributes import ATTRIBUTES
from medvision.io.dicom.scan import scan_content
from medvision.io.dicom.values import read_texts
from medvision.io.headers.translate import read_instance, read_instance_fully
from medvision.io.quiet import silence_readers
from medvision.io.reasons import RefusalError

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
NAMES = Pseudonymiser(bytes(range(32)))
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
UNDEFINED = 0xFFFFFFFF

Element = tuple[int, str, bytes]
"""Tag, VR, value."""


def encode(elements: Iterable[Element], *, implicit: bool) -> bytes:
    """Write elements in the order given."""
    return b"".join(element(tag, vr, value, implicit=implicit) for tag, vr, value in elements)


def element(tag: int, vr: str, value: bytes, *, implicit: bool, length: int | None = None) -> bytes:
    """Write one element; `length` claims another length than the value has."""
    n_bytes = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack("<I", n_bytes) + value
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack("<I", n_bytes) + value
    return head + vr.encode() + struct.pack("<H", n_bytes & 0xFFFF) + value


def sequence(items: list[bytes], *, tag: int, implicit: bool, undefined: bool) -> bytes:
    """Write a sequence of items that are encoded already."""
    content = b""
    for item in items:
        length = UNDEFINED if undefined else len(item)
        content += b"\xfe\xff\x00\xe0" + struct.pack("<I", length) + item
        content += b"\xfe\xff\x0d\xe0\0\0\0\0" if undefined else b""
    content += b"\xfe\xff\xdd\xe0\0\0\0\0" if undefined else b""
    return element(tag, "SQ", content, implicit=implicit, length=UNDEFINED if undefined else None)


def wrap(dataset: bytes, *, syntax: str) -> bytes:
    """Put preamble and meta information before a dataset."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = element(0x00020010, "UI", uid, implicit=False)
    head = element(0x00020000, "UL", struct.pack("<I", len(meta)), implicit=False)
    return bytes(128) + b"DICM" + head + meta + dataset


def text(value: str) -> bytes:
    """Pad text to an even length."""
    content = value.encode("latin-1")
    return content + b" " * (len(content) % 2)


def short(value: int) -> bytes:
    """Write a number of 16 bits."""
    return struct.pack("<H", value)


def base_elements() -> dict[int, tuple[str, bytes]]:
    """A small MR image without its pixels: tag to VR and value."""
    values = {
        "ImageType": text("ORIGINAL\\PRIMARY\\M\\ND"),
        "SOPClassUID": b"1.2.840.10008.5.1.4.1.1.4\0",
        "SOPInstanceUID": b"1.2.3.4.5\0",
        "StudyDate": text("20200229"),
        "Modality": text("MR"),
        "Manufacturer": text("GE MEDICAL SYSTEMS"),
        "PatientID": text("P-1"),
        "EchoTime": text("4.6"),
        "StudyInstanceUID": b"1.2.3.1\0",
        "SeriesInstanceUID": b"1.2.3.11",
        "ImagePositionPatient": text("-10\\-20.5\\3e1"),
        "ImageOrientationPatient": text("1\\0\\0\\0\\1\\0"),
        "SamplesPerPixel": short(1),
        "PhotometricInterpretation": text("MONOCHROME2"),
        "Rows": short(4),
        "Columns": short(6),
        "PixelSpacing": text("0.7\\0.5"),
        "BitsAllocated": short(16),
        "BitsStored": short(12),
        "HighBit": short(11),
        "PixelRepresentation": short(0),
    }
    return {
        ATTRIBUTES[keyword][0]: (ATTRIBUTES[keyword][1], held) for keyword, held in values.items()
    }


PIXELS = (0x7FE00010, "OW", bytes(range(48)))


def build_file(
    changes: dict[int, tuple[str, bytes] | None] | None = None,
    *,
    syntax: str = EXPLICIT,
    inserts: dict[int, bytes] | None = None,
    pixels: Element | None = PIXELS,
    tail: bytes = b"",
) -> bytes:
    """Write the small image with elements changed (None leaves one out) or inserted as bytes."""
    elements = base_elements()
    for tag, held in (changes or {}).items():
        elements.pop(tag, None)
        if held is not None:
            elements[tag] = held
    implicit = syntax == IMPLICIT
    encoded = {
        tag: element(tag, vr, value, implicit=implicit) for tag, (vr, value) in elements.items()
    }
    encoded |= inserts or {}
    if pixels is not None:
        encoded[pixels[0]] = element(*pixels, implicit=implicit)
    return wrap(b"".join(encoded[tag] for tag in sorted(encoded)), syntax=syntax) + tail


def change(**values: bytes | None) -> dict[int, tuple[str, bytes] | None]:
    """Name changed elements by keyword."""
    return {
        ATTRIBUTES[keyword][0]: None if held is None else (ATTRIBUTES[keyword][1], held)
        for keyword, held in values.items()
    }


def read_by_scan(content: bytes) -> Instance | str:
    """Read a header as ingestion does; a refusal as its reason."""
    return _read(read_instance, content)


def read_by_pydicom(content: bytes) -> Instance | str:
    """Read a header by pydicom alone; a refusal as its reason."""
    return _read(read_instance_fully, content)


def _read(read: object, content: bytes) -> Instance | str:
    try:
        return read(Path("none"), file="f", relative_path="x", names=NAMES, content=content)
    except RefusalError as refusal:
        return refusal.reason


def is_trusted(content: bytes) -> bool:
    """Say whether the scan alone tells a file's header."""
    read = read_by_scan(content)
    return isinstance(read, Instance) and read.is_partial


def compare(content: bytes) -> bool:
    """Assert that the scan says what pydicom says, or nothing; return whether it says anything."""
    scanned = read_by_scan(content)
    parsed = read_by_pydicom(content)
    if not isinstance(scanned, Instance) or not scanned.is_partial:
        assert scanned == parsed
        return False
    assert isinstance(parsed, Instance), parsed
    assert replace(scanned, frames=(), is_partial=False) == replace(parsed, frames=())
    (mine,), (theirs,) = scanned.frames, parsed.frames
    assert replace(mine, variant=()) == replace(theirs, variant=())
    # Private attributes add to the variant and give a direction to an empty one.
    public = {pair for pair in mine.variant if pair != ("gradient", "")}
    assert public <= set(theirs.variant)
    compare_attributes(content)
    return True


def compare_attributes(content: bytes) -> None:
    """Assert that the scanned attributes are those that pydicom reads."""
    scanned = scan_content(content)
    assert scanned is not None
    with silence_readers():
        dataset = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
        expected = {
            keyword: read_texts(dataset, keyword)
            for keyword, (_, vr) in ATTRIBUTES.items()
            if keyword in dataset and vr != "SQ"
        }
    assert scanned.attributes == expected


CREATORS = (b"GEMS_ACQU_01", b"SIEMENS MR HEADER ", b"siemens mr header\\A")

ODD_TEXTS = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=12),
    st.sampled_from(
        (
            *("", " ", "\\", "a\\b", "1\\", "\0", "1.0", " 1.5 ", "+2e3", "1e999", "nan", "inf"),
            *("1_0", "-0", "0", "YES", "NO", "P 1 ", "\\1", "1.2.3\0\0", "20200101", "045Y"),
            *("MOSAIC", "7,5", "SECONDARY", "ISO_IR 13", "utf_16", "WSD"),
        )
    ),
)


@st.composite
def values(draw: st.DrawFn, vr: str) -> bytes:
    """Plausible and implausible values of a VR."""
    if vr in ("US", "FD", "FL") and draw(st.booleans()):
        size = {"US": 2, "FD": 8, "FL": 4}[vr]
        return draw(st.binary(min_size=size, max_size=size))
    if vr == "DS" and draw(st.booleans()):
        return text("\\".join(f"{n:.6g}" for n in draw(st.lists(st.floats(), max_size=6))))
    if vr == "IS" and draw(st.booleans()):
        return text(str(draw(st.integers(-5, 2000))))
    return draw(ODD_TEXTS).encode("latin-1")


@st.composite
def odd_files(draw: st.DrawFn) -> bytes:
    """A small image with some attributes changed, left out or added, and others around them."""
    syntax = draw(st.sampled_from([EXPLICIT, EXPLICIT, IMPLICIT]))
    implicit = syntax == IMPLICIT
    changes: dict[int, tuple[str, bytes] | None] = {}
    for keyword in draw(st.lists(st.sampled_from(sorted(ATTRIBUTES)), max_size=4)):
        tag, vr = ATTRIBUTES[keyword]
        if vr == "SQ":
            changes[tag] = (vr, b"")
            continue
        is_left_out = draw(st.integers(0, 4)) == 0
        own_vr = draw(st.sampled_from([vr] * 6 + ["UN", "LO", "SS"]))
        changes[tag] = None if is_left_out else (own_vr, draw(values(vr)))
    inserts = {}
    for _ in range(draw(st.integers(0, 3))):
        tag, content = draw(others(implicit=implicit))
        inserts[tag] = content
    return build_file(
        changes,
        syntax=syntax,
        inserts=inserts,
        pixels=draw(st.sampled_from([PIXELS] * 6 + [None, (0x7FE00010, "OB", bytes(48))])),
        tail=draw(st.sampled_from([b"", b"", bytes(8), b"\xfc\xff\xfc\xffOB\0\0\2\0\0\0\0\0"])),
    )


@st.composite
def others(draw: st.DrawFn, *, implicit: bool) -> tuple[int, bytes]:
    """An element that translation does not need: text, private, long or a sequence."""
    kind = draw(st.sampled_from(["text", "private", "creator", "sequence", "nested", "count"]))
    if kind in ("sequence", "nested"):
        tag = draw(st.sampled_from([0x00081140, 0x00400275, 0x00091002, 0x00291005, 0x00880200]))
        inner = [element(0x00081155, "UI", b"1.2\0", implicit=implicit)]
        if kind == "nested":
            depths = draw(st.booleans())
            inner.append(sequence(inner, tag=0x00400008, implicit=implicit, undefined=depths))
        items = [b"".join(inner)] * draw(st.integers(0, 2))
        return tag, sequence(items, tag=tag, implicit=implicit, undefined=draw(st.booleans()))
    tag, vr, value = {
        "text": (0x00100010, "PN", "Bücher^A".encode("latin-1") + b"\0"),
        "private": (0x00191008, "UN", draw(st.binary(max_size=40))),
        "creator": (
            0x00190010,
            "LO",
            text(draw(st.sampled_from(["GEMS_ACQU_01", "SIEMENS MR HEADER"]))),
        ),
        "count": (0x0019100A, "US", short(draw(st.integers(0, 3)))),
    }[kind]
    return tag, element(tag, vr, value, implicit=implicit)
