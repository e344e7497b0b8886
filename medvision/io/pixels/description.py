"""What a file says of its pixels, and the bytes of the pixels themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from medvision.domain.study import Instance, PixelLayout
from medvision.io.dicom.deflated import inflate_file
from medvision.io.dicom.layout import DOUBLE_PIXELS, FLOAT_PIXELS, PIXELS
from medvision.io.dicom.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, GE_BIG, IMPLICIT_LITTLE
from medvision.io.dicom.values import read_integer, read_text
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

_UNDEFINED = 0xFFFFFFFF
_INFLATED_HEADER = 1 << 26
_MAX_SAMPLE_BYTES = 8
_PALETTES = tuple(
    f"{prefix}{colour}PaletteColorLookupTable{end}"
    for colour in ("Red", "Green", "Blue")
    for prefix, end in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
)
_KEYWORDS = (
    *_PALETTES,
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "ExtendedOffsetTable",
    "HighBit",
    "ModalityLUTSequence",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelRepresentation",
    "PlanarConfiguration",
    "Rows",
    "SamplesPerPixel",
    "VOILUTSequence",
)


@dataclass(frozen=True)
class Description:
    """The pixels of a file as its header describes them.

    Args:
        dataset: The attributes that describe pixels, and no others.
        value: The bytes of the pixels; from the first item on where they are encapsulated.
        kind: Tag of the pixels: PIXELS, FLOAT_PIXELS or DOUBLE_PIXELS.
        is_encapsulated: The pixels come as fragments.
        is_word: Native bytes are swapped in pairs in big endian files (VR OW).
        n_frames: At least 1.
        rows: Pixels along a column, of the whole plane in a mosaic.
        columns: Pixels along a row.
        samples: 1 or 3.
        photometric: How samples are meant, such as MONOCHROME2.
        is_planar: Native colour comes plane by plane, not pixel by pixel.
        layout: How samples lie in words.
    """

    dataset: "Dataset"
    value: memoryview
    kind: int
    is_encapsulated: bool
    is_word: bool
    n_frames: int
    rows: int
    columns: int
    samples: int
    photometric: str
    is_planar: bool
    layout: PixelLayout

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(rows, columns), or (rows, columns, 3)."""
        size = (self.rows, self.columns)
        return size if self.samples == 1 else (*size, self.samples)

    @property
    def frame_samples(self) -> int:
        """Samples of one frame."""
        return self.rows * self.columns * self.samples


def read_attributes(
    data: bytes, instance: Instance, keywords: Sequence[str]
) -> tuple["Dataset", bool]:
    """Read further attributes of a file that has pixels.

    Args:
        data: The whole file.
        instance: Its translated header; bounds what a deflated file may inflate to.
        keywords: Which attributes of the top level, with all that is below them.

    Returns:
        (attributes, is_big_endian).

    Raises:
        RefusalError: The file has changed, is broken, or has no pixels.
    """
    dataset, place = _parse(_inflate(data, instance), keywords)
    return dataset, _name_syntax(dataset, place) in (EXPLICIT_BIG, GE_BIG)


def _inflate(data: bytes, instance: Instance) -> bytes:
    """Return a file's bytes, inflated where they are deflated."""
    largest = instance.rows * instance.columns * max(1, instance.samples) * _MAX_SAMPLE_BYTES
    return inflate_file(data, limit=_INFLATED_HEADER + largest * len(instance.frames))


def describe_pixels(data: bytes, instance: Instance) -> Description:
    """Find the pixels of a file, and what its header says of them.

    Args:
        data: The whole file.
        instance: Its translated header; bounds what a deflated file may inflate to.

    Raises:
        RefusalError: The file has changed, is broken, or has no usable pixels.
    """
    inflated = _inflate(data, instance)
    dataset, place = _parse(inflated, _KEYWORDS)
    syntax = _name_syntax(dataset, place)
    start, length = place.offset, place.length
    is_encapsulated = length == _UNDEFINED
    value = memoryview(inflated)[start : None if is_encapsulated else start + length]
    if not is_encapsulated and len(value) < length:
        raise RefusalError("truncated", f"pixel data must have {length} bytes, got {len(value)}")
    samples = read_integer(dataset, "SamplesPerPixel", default=1)
    return Description(
        dataset,
        value,
        kind=place.tag,
        is_encapsulated=is_encapsulated,
        is_word=place.vr == "OW",
        n_frames=max(1, read_integer(dataset, "NumberOfFrames", default=1)),
        rows=read_integer(dataset, "Rows", default=0),
        columns=read_integer(dataset, "Columns", default=0),
        samples=samples,
        photometric=read_text(dataset, "PhotometricInterpretation").upper(),
        is_planar=samples > 1 and read_integer(dataset, "PlanarConfiguration", default=0) == 1,
        layout=_describe_layout(dataset, place, syntax=syntax),
    )


@dataclass
class _Place:
    """Where the parser met the pixels."""

    stream: BytesIO
    tag: int = 0
    vr: str = ""
    offset: int = 0
    length: int = 0

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        """Note the pixels and stop there."""
        if int(tag) not in (FLOAT_PIXELS, DOUBLE_PIXELS, PIXELS):
            return False
        self.tag, self.vr, self.offset, self.length = int(tag), vr or "", self.stream.tell(), length
        return True


def _parse(data: bytes, keywords: Sequence[str]) -> tuple["Dataset", _Place]:
    """Run pydicom's parser up to the pixels."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.filereader import read_partial

    place = _Place(BytesIO(data))
    tags = [tag for tag in map(tag_for_keyword, keywords) if tag is not None]
    try:
        dataset = read_partial(place.stream, stop_when=place, force=True, specific_tags=tags)
    except (EOFError, OSError):
        raise RefusalError("truncated", "header must be complete, got the file's end") from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - pydicom raises what it meets; any bytes need a verdict
        raise RefusalError(
            "unreadable", f"header must be parsable DICOM, got {type(error).__name__}"
        ) from None
    if not place.tag:
        raise RefusalError("no-pixel-data", "image must have pixel data, got none")
    return dataset, place


def _name_syntax(dataset: "Dataset", place: _Place) -> str:
    """Return the transfer syntax, from the parser where the file does not name it."""
    named = read_text(dataset.file_meta, "TransferSyntaxUID")
    if named:
        return named
    if place.length == _UNDEFINED:
        raise RefusalError("no-transfer-syntax", "encapsulated pixels must name a syntax, got none")
    is_implicit, is_little = dataset.original_encoding
    if not is_little:
        return EXPLICIT_BIG
    return IMPLICIT_LITTLE if is_implicit else EXPLICIT_LITTLE


def _describe_layout(dataset: "Dataset", place: _Place, *, syntax: str) -> PixelLayout:
    """Return how the samples lie, with the standard's rules for what is not stated."""
    allocated = read_integer(dataset, "BitsAllocated", default=0)
    if not 1 <= allocated <= 8 * _MAX_SAMPLE_BYTES:
        raise RefusalError("unreadable", f"BitsAllocated must be 1 to 64, got {allocated}")
    stored = read_integer(dataset, "BitsStored", default=allocated) or allocated
    is_encapsulated = place.length == _UNDEFINED
    return PixelLayout(
        syntax=syntax,
        offset=None,
        length=None if is_encapsulated else place.length,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=read_integer(dataset, "HighBit", default=stored - 1),
        is_signed=read_integer(dataset, "PixelRepresentation", default=0) == 1,
        is_big_endian=syntax in (EXPLICIT_BIG, GE_BIG),
        is_plain=False,
    )
