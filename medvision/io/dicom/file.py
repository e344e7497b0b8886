"""A DICOM file as bytes: its header by pydicom, and whether the pixels are all there.

Tier 2 of reading headers, for what the bounded scan distrusts, and for one file per series.
"""

from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from medvision.io.dicom.bounded_stream import (
    BoundedStream,
    DeflatedError,
    count_inflated,
    inflate_head,
    open_bounded,
)
from medvision.io.dicom.deflated import inflate_file
from medvision.io.dicom.layout import DOUBLE_PIXELS, FLOAT_PIXELS, PIXELS, PixelExtent
from medvision.io.dicom.syntaxes import (
    DEFLATED_FILE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
)
from medvision.io.dicom.values import read_text
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

_PIXEL_TAGS = (FLOAT_PIXELS, DOUBLE_PIXELS, PIXELS)
_UNDEFINED = 0xFFFFFFFF
_ITEM = b"\xfe\xff\x00\xe0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0"
_MAX_FRAGMENTS = 2_000_000
_MAX_INFLATED = 1 << 31

_PLAIN_META = bytes(128) + (
    b"DICM\2\0\0\0UL\4\0\x1c\0\0\0\2\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
)
"""Preamble and meta information of an explicit little endian file."""


@dataclass(frozen=True)
class Header:
    """A parsed header.

    Args:
        dataset: The attributes asked for.
        sop_class: UID of the kind of object, from the meta information where the dataset has none.
        syntax: Transfer syntax UID, as the bytes show it where the file does not say; "" where the
            pixels are encapsulated and the file does not say.
        pixels: None where the object has no pixels.
        fault: Why the file's pixels cannot be used although its header can be read.
    """

    dataset: "Dataset"
    sop_class: str
    syntax: str
    pixels: PixelExtent | None
    fault: RefusalError | None = None


@dataclass
class _Watch:
    """Follows the parser: how far the elements reach, and where the pixels begin."""

    stream: BinaryIO
    end: int = 0
    pixels: PixelExtent | None = field(default=None)

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        """Note an element; stop at the pixels."""
        if int(tag) in _PIXEL_TAGS:
            is_encapsulated = length == _UNDEFINED
            self.pixels = PixelExtent(
                int(tag),
                str(vr or "OW"),
                self.stream.tell(),
                None if is_encapsulated else length,
                is_encapsulated,
            )
            return True
        if length != _UNDEFINED:
            self.end = max(self.end, self.stream.tell() + length)
        return False


def read_header(
    source: Path | bytes, keywords: tuple[str, ...], *, tags: tuple[int, ...] = ()
) -> Header:
    """Parse the attributes of a DICOM file that are asked for, and no others.

    Files without preamble or meta information are read as well. Deflated files are inflated no
    further than their header goes; memory and time are bounded whatever the file claims. Call it
    within quiet.silence_readers: pydicom's warnings may quote the header.

    Args:
        source: The file, or its bytes.
        keywords: Names of the attributes to keep.
        tags: Further elements to keep, 0xGGGGEEEE.

    Raises:
        RefusalError: `unreadable` or `truncated`, where not even the header can be had.
        OSError: The file cannot be opened.
    """
    from pydicom.datadict import tag_for_keyword

    known = [tag for tag in map(tag_for_keyword, keywords) if tag is not None]
    with open_bounded(source) as stream:
        watch = _Watch(stream)
        try:
            dataset = _parse(watch, [*known, *tags])
        except DeflatedError:
            return _read_deflated(stream, [*known, *tags])
        syntax = _name_syntax(dataset, watch)
        sop_class = name_sop_class(dataset, dataset.file_meta)
        try:
            _check_extent(watch, size=stream.n_bytes)
        except RefusalError as fault:
            return Header(dataset, sop_class, syntax, None, fault)
        return Header(dataset, sop_class, syntax, watch.pixels)


def _parse(watch: _Watch, tags: list[int]) -> "Dataset":
    """Run pydicom's parser up to the pixels."""
    from pydicom.filereader import read_partial

    try:
        return read_partial(watch.stream, stop_when=watch, force=True, specific_tags=list(tags))
    except (DeflatedError, RefusalError, MemoryError):
        raise
    except (EOFError, OSError):
        raise RefusalError("truncated", "header must be complete, got the file's end") from None
    except Exception as error:  # noqa: BLE001 - pydicom raises what it meets; any bytes need a verdict
        raise RefusalError(
            "unreadable", f"header must be parsable DICOM, got {type(error).__name__}"
        ) from None


def _name_syntax(dataset: "Dataset", watch: _Watch) -> str:
    """Return the transfer syntax, from the parser where the file names none."""
    named = read_text(dataset.file_meta, "TransferSyntaxUID")
    if named or (watch.pixels is not None and watch.pixels.is_encapsulated):
        return named
    is_implicit, is_little = dataset.original_encoding
    if not is_little:
        return EXPLICIT_BIG
    return IMPLICIT_LITTLE if is_implicit else EXPLICIT_LITTLE


def name_sop_class(dataset: "Dataset", meta: "Dataset") -> str:
    """Return the SOP class, from the meta information where the dataset has none."""
    return read_text(dataset, "SOPClassUID") or read_text(meta, "MediaStorageSOPClassUID")


def _check_extent(watch: _Watch, *, size: int) -> None:
    """Check that header and pixel data lie within the file."""
    if watch.end > size:
        raise RefusalError("truncated", f"header must have {watch.end} bytes, got {size}")
    extent = watch.pixels
    if extent is None or extent.offset is None:
        return
    if extent.length is None:
        _check_fragments(watch.stream, extent.offset, size=size)
    elif extent.offset + extent.length > size:
        raise RefusalError(
            "truncated", f"pixel data must have {extent.length} bytes, got {size - extent.offset}"
        )


def _check_fragments(stream: BinaryIO, offset: int, *, size: int) -> None:
    """Walk the fragments of encapsulated pixels to their end.

    Source:
        PS3.5 A.4: encapsulated pixel data are always little endian.
    """
    for _ in range(_MAX_FRAGMENTS):
        stream.seek(offset)
        head = stream.read(8)
        if head[:4] == _SEQUENCE_END:
            return
        if head[:4] != _ITEM or len(head) < 8:
            raise RefusalError("truncated", "pixel fragments must end with a delimiter, got none")
        offset += 8 + int.from_bytes(head[4:], "little")
        if offset > size:
            raise RefusalError("truncated", f"pixel fragment must end at {offset}, file has {size}")
    raise RefusalError("unreadable", f"pixel fragments must be {_MAX_FRAGMENTS} at most, got more")


def _read_deflated(stream: BoundedStream, tags: list[int]) -> Header:
    """Read the header of a deflated file, whose dataset begins where the parser stopped.

    Source:
        PS3.5 A.5 (deflated explicit little endian).
    """
    start = stream.tell()
    meta = _parse(_Watch(stream.copy_head(start)), []).file_meta
    # The inflated dataset is parsed as a file that names no other syntax than its own.
    watch = _Watch(BytesIO(_PLAIN_META + inflate_head(stream, start)))
    dataset = _parse(watch, tags)
    sop_class = name_sop_class(dataset, meta)
    extent = watch.pixels
    if extent is None or extent.offset is None:
        return Header(dataset, sop_class, DEFLATED_FILE, None)
    needed = extent.offset - len(_PLAIN_META) + (extent.length or 0)
    found = count_inflated(stream, start, most=needed)
    if found < needed:
        fault = RefusalError("truncated", f"content must have {needed} bytes, got {found}")
        return Header(dataset, sop_class, DEFLATED_FILE, None, fault)
    return Header(dataset, sop_class, DEFLATED_FILE, replace(extent, offset=None, length=None))


def read_dataset(path: Path) -> "Dataset":
    """Parse a whole DICOM file, pixels included, and make sure that its encoding is named.

    Raises:
        RefusalError: `unreadable`, `truncated` or `undecodable`.
        OSError: The file cannot be opened.
    """
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    content = inflate_file(path.read_bytes(), limit=_MAX_INFLATED)
    try:
        dataset = dcmread(BytesIO(content), force=True)
    except (EOFError, OSError):
        raise RefusalError("truncated", "file must be complete, got its end") from None
    except Exception as error:  # noqa: BLE001 - pydicom raises what it meets; any bytes need a verdict
        raise RefusalError(
            "unreadable", f"file must be parsable DICOM, got {type(error).__name__}"
        ) from None
    if not read_text(dataset.file_meta, "TransferSyntaxUID"):
        is_implicit, is_little = dataset.original_encoding
        native = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = native if is_little else ExplicitVRBigEndian
    return dataset
