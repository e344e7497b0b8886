"""Files parsed by pydicom: whatever they claim, memory and time stay bounded."""

import struct
import zlib
from io import BytesIO

import pydicom
import pytest
from dicom_bytes import (
    PIXELS,
    UNDEFINED,
    build_file,
    change,
    element,
    read_by_pydicom,
    sequence,
    short,
    wrap,
)

from medvision.io.dicom import bounded_stream
from medvision.io.dicom.file import read_dataset, read_header
from medvision.io.reasons import RefusalError

DEFLATED = "1.2.840.10008.1.2.1.99"


def deflate(dataset: bytes, *, tail: bytes = b"") -> bytes:
    """Write a deflated file."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return wrap(packer.compress(dataset) + packer.flush() + tail, syntax=DEFLATED)


def dataset_of(content: bytes) -> bytes:
    """Return the dataset of an explicit file."""
    return content.partition(b"1.2.840.10008.1.2.1\0")[2]


def test_a_deflated_file_is_read_and_its_pixels_need_a_decoder():
    instance = read_by_pydicom(deflate(dataset_of(build_file())))
    plain = read_by_pydicom(build_file())
    assert instance.fault is None
    assert instance.series_uid == plain.series_uid
    assert instance.frames == plain.frames
    layout = instance.pixels
    assert (layout.syntax, layout.offset, layout.length, layout.is_plain) == (
        *(DEFLATED, None, None),
        False,
    )
    assert instance.is_encapsulated


def test_a_deflated_file_that_lacks_pixels_is_truncated():
    instance = read_by_pydicom(deflate(dataset_of(build_file())[:-10]))
    assert instance.fault[0] == "truncated"


def test_a_deflated_stream_that_breaks_off_or_is_none_has_a_verdict():
    content = deflate(dataset_of(build_file()))
    for end in range(140, len(content), 7):
        read = read_by_pydicom(content[:end])
        assert isinstance(read, str) or read.fault
    assert read_by_pydicom(wrap(b"\xff" * 64, syntax=DEFLATED)) == "unreadable"


def test_a_deflated_bomb_is_inflated_no_further_than_its_header(monkeypatch):
    pieces = []
    inflate = bounded_stream._inflate

    def count(*args):
        for piece in inflate(*args):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(bounded_stream, "_inflate", count)
    head = dataset_of(build_file(pixels=None))
    claim = element(0x7FE00010, "OW", b"", implicit=False, length=48)
    bomb = deflate(head + claim + bytes(300 << 20))
    assert len(bomb) < 1 << 20
    assert read_by_pydicom(bomb).fault is None
    assert sum(pieces) <= (1 << 26) + (1 << 20)
    assert max(pieces) <= 1 << 18


@pytest.mark.parametrize("tag", [0x00100020, 0x00080008, 0x00291010])
def test_a_length_of_four_gigabytes_takes_no_memory(tag):
    claim = element(tag, "UN", b"", implicit=False, length=0xFFFFFFFE)
    content = build_file({tag: None}, inserts={tag: claim + bytes(100)})
    read = read_by_pydicom(content)
    assert isinstance(read, str) or read.fault is not None


def test_sequences_nested_without_end_have_a_verdict():
    item = b""
    head = sequence([b""], tag=0x00400275, implicit=False, undefined=True)[:-16]
    for _ in range(20_000):
        item += head
    read = read_by_pydicom(build_file(inserts={0x00400275: item}))
    assert isinstance(read, str) or read.fault is not None


def test_a_header_of_millions_of_elements_is_refused(monkeypatch):
    monkeypatch.setattr(bounded_stream, "_MAX_READS", 5_000)
    many = element(0x00291010, "UN", b"", implicit=False) * 10_000
    assert read_by_pydicom(build_file(inserts={0x00291010: many})) == "unreadable"


def test_fragments_are_walked_to_their_end():
    def fragments(*sizes: int, end: bytes) -> bytes:
        items = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", n) + bytes(n) for n in sizes)
        head = element(0x7FE00010, "OB", b"", implicit=False, length=UNDEFINED)
        return build_file(pixels=None, syntax="1.2.840.10008.1.2.4.70") + head + items + end

    delimiter = b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert read_by_pydicom(fragments(0, 10, 20, end=delimiter)).fault is None
    assert read_by_pydicom(fragments(0, 10, end=b"")).fault[0] == "truncated"
    assert read_by_pydicom(fragments(0, 10, end=delimiter[:3])).fault[0] == "truncated"
    cut = fragments(0, 10, 20, end=b"")[:-5]
    assert read_by_pydicom(cut).fault[0] == "truncated"


@pytest.mark.parametrize(
    ("content", "is_plain"),
    [
        pytest.param(build_file()[132 + 12 + 28 :], True, id="no meta, no preamble"),
        pytest.param(build_file()[132:], True, id="no preamble"),
        pytest.param(build_file(tail=bytes(64)), True, id="trailing bytes"),
    ],
)
def test_a_file_without_its_wrapping_is_read_as_the_same_image(content, is_plain):
    instance, whole = read_by_pydicom(content), read_by_pydicom(build_file())
    assert instance.sop_uid == whole.sop_uid
    assert instance.frames == whole.frames
    assert instance.pixels.is_plain == is_plain
    layout = instance.pixels
    assert content[layout.offset : layout.offset + layout.length] == PIXELS[2]
    assert layout.syntax == "1.2.840.10008.1.2.1"


def write_big_endian(*, bits: int, vr: str) -> bytes:
    """Write the small image in big endian."""
    dataset = pydicom.dcmread(
        BytesIO(build_file(change(BitsAllocated=short(bits), Rows=short(64 // bits))))
    )
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    dataset["PixelData"].VR = vr
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=False, little_endian=False)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("bits", "vr", "is_plain"),
    [(16, "OW", True), (8, "OB", True), (8, "OW", False), (32, "OW", False)],
)
def test_big_endian_words_are_plain_where_no_halves_are_swapped(bits, vr, is_plain):
    layout = read_by_pydicom(write_big_endian(bits=bits, vr=vr)).pixels
    assert layout.is_big_endian
    assert layout.is_plain == is_plain


def test_what_a_parser_remembers_of_a_file_does_not_lead_to_its_path(tmp_path):
    path = tmp_path / "Doe_John.dcm"
    path.write_bytes(build_file())
    header = read_header(path, ("PatientID",))
    assert header.dataset.filename == ""
    assert header.dataset.PatientID == "P-1"
    assert "StudyInstanceUID" not in header.dataset


def test_a_whole_dataset_names_its_encoding(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(build_file()[132 + 12 + 28 :])
    assert read_dataset(path).file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    path.write_bytes(deflate(dataset_of(build_file())))
    assert read_dataset(path).PixelData == PIXELS[2]
    path.write_bytes(deflate(dataset_of(build_file()))[:-20])
    with pytest.raises(RefusalError, match="deflated"):
        read_dataset(path)
