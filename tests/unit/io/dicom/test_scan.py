"""The bounded scan: what it trusts it tells as pydicom does, and what is unusual it distrusts."""

import struct
from dataclasses import replace
from io import BytesIO

import pydicom
import pytest
from dicom_bytes import (
    EXPLICIT,
    IMPLICIT,
    LONG,
    NAMES,
    PIXELS,
    UNDEFINED,
    build_file,
    change,
    compare,
    element,
    is_trusted,
    read_by_scan,
    sequence,
    short,
    text,
)
from dicoms import Plan, build_enhanced, build_slice, make_volume

from medvision.io.dicom.attributes import ATTRIBUTES, MARKED_SEQUENCES
from medvision.io.dicom.scan import _CHARACTER_SETS, WINDOW_BYTES, scan_content, scan_header
from medvision.io.dicom.walk import _LONG, _SEQUENCES, _SHORT
from medvision.io.frames.planes import PLANE_KEYWORDS
from medvision.io.frames.variants import VARIANT_KEYWORDS
from medvision.io.headers.translate import read_instance

ITEM = element(0x00081155, "UI", b"1.2\0", implicit=False)
PRIVATE_SEQUENCE = 0x00291005


def nest(tag: int, *, implicit: bool, depth: int) -> bytes:
    """A sequence of undefined length with others within it."""
    item = element(0x00081155, "UI", b"1.2\0", implicit=implicit)
    for _ in range(depth):
        inner = sequence([item], tag=0x00400008, implicit=implicit, undefined=True)
        item = element(0x00080100, "SH", b"ab", implicit=implicit) + inner
    return sequence([item, item], tag=tag, implicit=implicit, undefined=True)


def long_element(n_bytes: int, *, tag: int = 0x00291010) -> dict[int, bytes]:
    """A private element of so many bytes."""
    return {tag: element(tag, "OB", bytes(n_bytes), implicit=False)}


TRUSTED = {
    "explicit": build_file(),
    "implicit": build_file(syntax=IMPLICIT),
    "bytes": build_file(change(BitsAllocated=short(8)), pixels=(0x7FE00010, "OB", bytes(24))),
    "trailing bytes": build_file(tail=bytes(100)),
    "trailing padding": build_file(tail=element(0xFFFCFFFC, "OB", bytes(8), implicit=False)),
    "more pixels than needed": build_file(pixels=(0x7FE00010, "OW", bytes(64))),
    "one frame stated": build_file(change(NumberOfFrames=text("1"))),
    "empty values": build_file(change(EchoTime=b"", ImageType=b"", PatientID=b"")),
    "padded values": build_file(change(EchoTime=b" 4.6  \0\0", PatientID=b"  P 1  ")),
    "name in Latin-1": build_file(
        inserts={0x00100010: element(0x00100010, "PN", b"B\xfccher", implicit=False)}
    ),
    "group length of the pixels": build_file(
        inserts={0x7FE00000: element(0x7FE00000, "UL", bytes(4), implicit=False)}
    ),
    "sequence of undefined length": build_file(
        inserts={0x00081140: nest(0x00081140, implicit=False, depth=0)}
    ),
    "nested sequences": build_file(
        inserts={PRIVATE_SEQUENCE: nest(PRIVATE_SEQUENCE, implicit=False, depth=3)}
    ),
    "nested sequences, implicit": build_file(
        syntax=IMPLICIT, inserts={PRIVATE_SEQUENCE: nest(PRIVATE_SEQUENCE, implicit=True, depth=3)}
    ),
    "long private element": build_file(inserts=long_element(5 * WINDOW_BYTES)),
    "several long elements": build_file(
        change(Units=text("BQML")),
        inserts={
            **long_element(2 * WINDOW_BYTES),
            **long_element(2 * WINDOW_BYTES, tag=0x00291020),
            **long_element(2 * WINDOW_BYTES, tag=0x00511008),
        },
    ),
    "group 0028 across the window's end": build_file(
        inserts=long_element(WINDOW_BYTES - 520, tag=0x00270010)
    ),
    "colour": build_file(
        change(
            SamplesPerPixel=short(3), PhotometricInterpretation=text("RGB"), BitsAllocated=short(8)
        ),
        pixels=(0x7FE00010, "OB", bytes(72)),
    ),
    "no mosaic of Siemens": build_file(
        inserts={
            0x00190010: element(0x00190010, "LO", text("SIEMENS MR HEADER"), implicit=False),
            0x0019100A: element(0x0019100A, "US", short(1), implicit=False),
        }
    ),
}

DISTRUSTED = {
    "no preamble": build_file()[132:],
    "no meta": build_file()[:132] + build_file().partition(b"1.2.840.10008.1.2.1\0")[2],
    "no group length": build_file()[:132] + build_file()[144:],
    "big endian": build_file(syntax="1.2.840.10008.1.2.2"),
    "deflated": build_file(syntax="1.2.840.10008.1.2.1.99"),
    "encapsulated": build_file(syntax="1.2.840.10008.1.2.4.70"),
    "private syntax": build_file(syntax="1.2.840.113619.5.2"),
    "explicit called implicit": build_file().replace(
        b"\x14\x001.2.840.10008.1.2.1\0", b"\x14\x001.2.840.10008.1.2\0\0\0"
    ),
    "several frames": build_file(change(NumberOfFrames=text("2"))),
    "functional groups": build_file(change(PerFrameFunctionalGroupsSequence=b"")),
    "modality table": build_file(change(ModalityLUTSequence=b"")),
    "mosaic": build_file(change(ImageType=text("ORIGINAL\\PRIMARY\\M\\MOSAIC"))),
    "mosaic by a count": build_file(
        inserts={0x0019100A: element(0x0019100A, "US", short(36), implicit=False)}
    ),
    "grid of UIH": build_file(
        inserts={0x00651050: element(0x00651050, "DS", text("20"), implicit=False)}
    ),
    "accents in the PatientID": build_file(change(PatientID=b"M\xfcller")),
    "escape in the PatientID": build_file(change(PatientID=b"A\x1b$B12")),
    "codec for a character set": build_file(change(SpecificCharacterSet=text("utf_16"))),
    "number written oddly": build_file(change(EchoTime=b"4_6 ")),
    "number with a comma": build_file(change(EchoTime=b"4,6 ")),
    "number with a gap": build_file(change(PixelSpacing=b"1\\\\2 ")),
    "rows of four bytes": build_file(change(Rows=short(4) * 2)),
    "another VR": build_file({ATTRIBUTES["Rows"][0]: ("UL", struct.pack("<I", 4))}),
    "unknown VR": build_file({ATTRIBUTES["Modality"][0]: ("ZZ", b"MR")}),
    "class without a first value": build_file(change(SOPClassUID=b"\\1.2.3")),
    "syntax of another VR": build_file().replace(b"\x10\0UI\x14", b"\x10\0UL\x14"),
    "no rows": build_file(change(Rows=None)),
    "falling tags": build_file().replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x01\x00CS"),
    "no pixels": build_file(pixels=None),
    "float pixels": build_file(pixels=(0x7FE00008, "OF", bytes(96))),
    "pixels cut": build_file()[:-2],
    "fewer pixels than needed": build_file(pixels=(0x7FE00010, "OW", bytes(46))),
    "fragments": build_file(pixels=None)
    + element(0x7FE00010, "OB", b"", implicit=False, length=UNDEFINED),
    "YBR": build_file(change(PhotometricInterpretation=text("YBR_FULL_422"))),
    "unknown of undefined length": build_file(
        inserts={0x00291005: element(0x00291005, "UN", bytes(12), implicit=False, length=UNDEFINED)}
    ),
    "more long elements than looks": build_file(
        inserts={k: v for n in range(8) for k, v in long_element(20_000, tag=0x290010 + n).items()}
    ),
    "endless sequences": build_file(
        inserts={PRIVATE_SEQUENCE: nest(PRIVATE_SEQUENCE, implicit=False, depth=12)}
    ),
}


@pytest.mark.parametrize("name", TRUSTED)
def test_an_ordinary_file_is_told_as_pydicom_tells_it(name):
    assert compare(TRUSTED[name])


@pytest.mark.parametrize("name", DISTRUSTED)
def test_an_unusual_file_is_left_to_pydicom(name):
    assert not compare(DISTRUSTED[name])
    assert not is_trusted(DISTRUSTED[name])


def test_a_slice_written_by_pydicom_is_trusted_in_both_syntaxes():
    dataset = build_slice(Plan(make_volume()), 1)
    for syntax in (pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.ImplicitVRLittleEndian):
        dataset.file_meta.TransferSyntaxUID = syntax
        stream = BytesIO()
        dataset.save_as(stream, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR)
        assert compare(stream.getvalue())


def test_an_enhanced_object_is_left_to_pydicom():
    stream = BytesIO()
    build_enhanced(Plan(make_volume()), order=[0]).save_as(stream, enforce_file_format=True)
    assert not is_trusted(stream.getvalue())


@pytest.mark.parametrize("name", ["explicit", "long private element", "colour"])
def test_a_path_and_its_bytes_are_told_alike(tmp_path, name):
    content = TRUSTED[name]
    path = tmp_path / "file"
    path.write_bytes(content)
    read = read_instance(path, file="f", relative_path="x", names=NAMES)
    assert read == read_by_scan(content)
    assert read.is_partial


def test_the_pixels_begin_where_the_scan_says():
    for name in ("explicit", "implicit", "long private element"):
        layout = read_by_scan(TRUSTED[name]).pixels
        assert TRUSTED[name][layout.offset : layout.offset + layout.length] == PIXELS[2]


def test_no_more_is_read_than_the_looks_allow():
    for content in (*TRUSTED.values(), *DISTRUSTED.values()):
        n_read = []

        def read(n_bytes, place, content=content, n_read=n_read):
            n_read.append(n_bytes)
            return content[place : place + n_bytes]

        scan_header(read, size=len(content))
        assert n_read[0] == 16 * 1024
        assert sum(n_read[1:]) <= 4 * 4096
        if name_is_short(content):
            assert len(n_read) == 1


def name_is_short(content: bytes) -> bool:
    """Say whether the first window shows the whole file."""
    return len(content) <= WINDOW_BYTES and scan_content(content) is not None


def test_the_table_of_attributes_is_the_standards():
    for keyword, (tag, vr) in ATTRIBUTES.items():
        assert pydicom.datadict.tag_for_keyword(keyword) == tag, keyword
        assert pydicom.datadict.dictionary_VR(tag) == vr, keyword
    assert list(ATTRIBUTES.values()) == sorted(ATTRIBUTES.values())
    assert {*VARIANT_KEYWORDS, *PLANE_KEYWORDS, *MARKED_SEQUENCES} <= ATTRIBUTES.keys()


def test_known_sequences_and_lengths_of_vrs_are_the_standards():
    assert {pydicom.datadict.dictionary_VR(tag) for tag in _SEQUENCES} == {"SQ"}
    assert {vr.decode() for vr in _LONG} == set(LONG)
    assert {vr.decode() for vr in _LONG} == {
        str(vr) for vr in pydicom.valuerep.EXPLICIT_VR_LENGTH_32
    } - {"OB or OW", "US or OW", "US or SS", "US or SS or OW"}
    assert {vr.decode() for vr in _SHORT} == {
        str(vr) for vr in pydicom.valuerep.EXPLICIT_VR_LENGTH_16
    }


def test_printable_ascii_means_itself_in_every_character_set():
    plain = bytes(range(0x20, 0x7F))
    assert set(pydicom.charset.python_encoding) == _CHARACTER_SETS
    for encoding in pydicom.charset.python_encoding.values():
        assert plain.decode(encoding) == plain.decode("ascii")


def test_what_a_fault_hides_from_the_scan_is_pydicoms_to_say():
    read = read_by_scan(DISTRUSTED["fewer pixels than needed"])
    assert read.fault == ("truncated", "pixel data must have 48 bytes, got 46")
    assert not read.is_partial


def test_private_attributes_are_told_by_pydicom_alone():
    content = build_file(
        inserts={
            0x00430010: element(0x00430010, "LO", text("GEMS_PARM_01"), implicit=False),
            0x00431039: element(0x00431039, "IS", text("800\\8\\0\\0"), implicit=False),
        }
    )
    assert compare(content)
    scanned = dict(read_by_scan(content).frames[0].variant)
    assert "b-value" not in scanned
    assert replace(read_by_scan(content), frames=()).is_partial
    assert read_by_scan(build_file(syntax=EXPLICIT)) == read_by_scan(build_file())
