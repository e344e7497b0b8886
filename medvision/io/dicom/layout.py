"""Where the pixels of an image lie, how their samples lie in words, and whether all are there."""

from dataclasses import dataclass

from medvision.domain.study import PixelLayout
from medvision.io.dicom.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from medvision.io.dicom.values import Texts, read_integer, read_text
from medvision.io.reasons import RefusalError

FLOAT_PIXELS, DOUBLE_PIXELS, PIXELS = 0x7FE0_0008, 0x7FE0_0009, 0x7FE0_0010

_NATIVE = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG))
_GREY = frozenset(("MONOCHROME1", "MONOCHROME2"))
_MAX_BITS = 64
_PLAIN_BITS = (8, 16, 32)
_HALF_SAMPLED = frozenset(("YBR_FULL_422", "YBR_PARTIAL_422"))


@dataclass(frozen=True)
class PixelExtent:
    """The element that holds the pixels.

    Args:
        tag: PIXELS, FLOAT_PIXELS or DOUBLE_PIXELS.
        vr: OB, OW, OF or OD; OW where the file does not state it.
        offset: Byte at which the pixels, or their fragments, begin; None in deflated files.
        length: Bytes; None where the pixels are encapsulated or the file is deflated.
        is_encapsulated: The pixels come as fragments.
    """

    tag: int
    vr: str
    offset: int | None
    length: int | None
    is_encapsulated: bool = False


def read_layout(header: Texts, extent: PixelExtent | None, *, syntax: str) -> PixelLayout:
    """Read how the pixels lie, and check that they are all there.

    Which places of a word are used (BitsStored, HighBit) is described, never judged: the readers
    of pixels see more than the header.

    Args:
        header: Attributes of the top level.
        extent: None where the object has no pixels.
        syntax: Transfer syntax UID, "" where none is named.

    Raises:
        RefusalError: no-pixel-data, no-transfer-syntax, unreadable, empty-image or truncated.

    Source:
        PS3.3 C.7.6.3 (image pixel), PS3.5 8.1 (native pixels).
    """
    if extent is None:
        raise RefusalError("no-pixel-data", "image must have pixel data, got none")
    if extent.is_encapsulated and not syntax:
        raise RefusalError("no-transfer-syntax", "encapsulated pixels must name a syntax, got none")
    bits = read_integer(header, "BitsAllocated", default=0)
    if not 1 <= bits <= _MAX_BITS:
        raise RefusalError("unreadable", f"BitsAllocated must be 1 to {_MAX_BITS}, got {bits}")
    expected = _count_bytes(header, bits)
    if extent.length is not None and extent.length < expected:
        raise RefusalError(
            "truncated", f"pixel data must have {expected} bytes, got {extent.length}"
        )
    stored = read_integer(header, "BitsStored", default=bits) or bits
    return PixelLayout(
        syntax=syntax,
        offset=extent.offset,
        length=extent.length,
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=read_integer(header, "HighBit", default=stored - 1),
        is_signed=read_integer(header, "PixelRepresentation", default=0) == 1,
        is_big_endian=syntax == EXPLICIT_BIG,
        is_plain=_is_plain(header, extent, syntax=syntax, bits=bits),
    )


def _count_bytes(header: Texts, bits: int) -> int:
    """Return how many bytes uncompressed pixels of so many bits need (PS3.5 8.1)."""
    samples = read_integer(header, "SamplesPerPixel", default=1)
    if read_text(header, "PhotometricInterpretation").upper() in _HALF_SAMPLED:
        samples = 2
    frames = max(read_integer(header, "NumberOfFrames", default=1), 1)
    rows = read_integer(header, "Rows", default=0)
    columns = read_integer(header, "Columns", default=0)
    if rows < 1 or columns < 1:
        raise RefusalError("empty-image", f"image must have rows and columns, got {rows}x{columns}")
    return (rows * columns * samples * frames * bits + 7) // 8


def _is_plain(header: Texts, extent: PixelExtent, *, syntax: str, bits: int) -> bool:
    """Say whether samples can be read from the file as whole grey numbers without a decoder.

    In big endian files bytes of 8 bits are swapped in pairs, and words of 32 bits in halves, where
    the VR is OW.

    Source:
        PS3.5 A.3 and 7.3 (byte order).
    """
    is_native = extent.offset is not None and extent.length is not None and syntax in _NATIVE
    if not is_native or extent.tag != PIXELS or bits not in _PLAIN_BITS:
        return False
    if syntax == EXPLICIT_BIG and bits != 16 and not (bits == 8 and extent.vr == "OB"):
        return False
    return (
        read_integer(header, "SamplesPerPixel", default=1) == 1
        and read_text(header, "PhotometricInterpretation").upper() in _GREY
        and "ModalityLUTSequence" not in header
    )
