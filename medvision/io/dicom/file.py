"""A DICOM file as bytes: its header without the pixels, and whether the pixels are all there."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from medvision.io.dicom.values import read_text
from medvision.io.quiet import silence_readers
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

_PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_UNDEFINED = 0xFFFFFFFF
_ITEM = b"\xfe\xff\x00\xe0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0"
_DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True)
class PixelExtent:
    """Where the pixel data lie in a file.

    Args:
        length: Bytes; None where the file is deflated and they cannot be counted, or where the
            pixels are encapsulated.
        is_encapsulated: The pixels come as fragments.
    """

    length: int | None
    is_encapsulated: bool


@dataclass(frozen=True)
class Header:
    """A parsed header.

    Args:
        dataset: The attributes asked for.
        syntax: Transfer syntax UID, "" where the file does not say.
        pixels: None where the object has no pixels.
        fault: Why the file's pixels cannot be used although its header can be read.
    """

    dataset: "Dataset"
    syntax: str
    pixels: PixelExtent | None
    fault: RefusalError | None = None


@dataclass
class _Watch:
    """Follows the parser: how far the elements reach, and where the pixels begin."""

    stream: BinaryIO
    end: int = 0
    pixels: tuple[int, int] | None = field(default=None)

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:  # noqa: ARG002 - pydicom's signature
        """Note an element; stop at the pixels."""
        if int(tag) in _PIXEL_TAGS:
            self.pixels = (self.stream.tell(), length)
            return True
        if length != _UNDEFINED:
            self.end = max(self.end, self.stream.tell() + length)
        return False


def read_header(path: Path, keywords: tuple[str, ...]) -> Header:
    """Parse the attributes of a DICOM file that are asked for, and no others.

    Files without preamble or meta information are read as well.

    Args:
        path: The file.
        keywords: Names of the attributes to keep.

    Raises:
        RefusalError: `unreadable` or `truncated`, where not even the header can be had.
        OSError: The file cannot be opened.
    """
    with path.open("rb") as stream, silence_readers():
        watch = _Watch(stream)
        dataset = _parse(watch, keywords)
        syntax = read_text(dataset.file_meta, "TransferSyntaxUID")
        if syntax == _DEFLATED:
            return Header(dataset, syntax, PixelExtent(None, is_encapsulated=False))
        size = path.stat().st_size
        try:
            return Header(dataset, syntax, _measure_pixels(watch, size=size))
        except RefusalError as fault:
            return Header(dataset, syntax, None, fault)


def _parse(watch: _Watch, keywords: tuple[str, ...]) -> "Dataset":
    """Run pydicom's parser up to the pixels."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.filereader import read_partial

    tags = [tag for tag in map(tag_for_keyword, keywords) if tag is not None]
    try:
        return read_partial(watch.stream, stop_when=watch, force=True, specific_tags=tags)
    except (EOFError, OSError):
        raise RefusalError("truncated", "header must be complete, got the file's end") from None
    except Exception as error:  # noqa: BLE001 - pydicom raises what it meets; any bytes need a verdict
        raise RefusalError(
            "unreadable", f"header must be parsable DICOM, got {type(error).__name__}"
        ) from None


def _measure_pixels(watch: _Watch, *, size: int) -> PixelExtent | None:
    """Check that header and pixel data lie within the file."""
    if watch.end > size:
        raise RefusalError("truncated", f"header must have {watch.end} bytes, got {size}")
    if watch.pixels is None:
        return None
    offset, length = watch.pixels
    if length != _UNDEFINED:
        if offset + length > size:
            raise RefusalError(
                "truncated", f"pixel data must have {length} bytes, got {size - offset}"
            )
        return PixelExtent(length, is_encapsulated=False)
    _check_fragments(watch.stream, offset, size=size)
    return PixelExtent(None, is_encapsulated=True)


def _check_fragments(stream: BinaryIO, offset: int, *, size: int) -> None:
    """Walk the fragments of encapsulated pixels to their end.

    Source:
        PS3.5 A.4: encapsulated pixel data are always little endian.
    """
    while True:
        stream.seek(offset)
        head = stream.read(8)
        if head[:4] == _SEQUENCE_END:
            return
        if head[:4] != _ITEM or len(head) < 8:
            raise RefusalError("truncated", "pixel fragments must end with a delimiter, got none")
        offset += 8 + int.from_bytes(head[4:], "little")
        if offset > size:
            raise RefusalError("truncated", f"pixel fragment must end at {offset}, file has {size}")


def read_dataset(path: Path) -> "Dataset":
    """Parse a whole DICOM file, pixels included, and make sure that its encoding is named.

    Raises:
        RefusalError: `unreadable`, `truncated` or `no-transfer-syntax`.
    """
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    try:
        dataset = dcmread(path, force=True)
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
