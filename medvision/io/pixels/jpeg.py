"""JPEG frames decoded by GDCM, which must not have complained of them."""

import re

import numpy as np
from numpy.typing import NDArray

from medvision.io.pixels.codestream import JPEG, Codestream, strip_remarks
from medvision.io.quiet import hear_native
from medvision.io.reasons import RefusalError

Samples = NDArray[np.integer]
"""(rows, columns) or (rows, columns, samples), as decoded."""

_BASELINE, _EXTENDED, _LOSSLESS = (f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 57))
_PIXEL_DATA = (0x7FE0, 0x0010)
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_HARMLESS = re.compile(r"(Unsupported JPEG data precision \d+\s*|\s+)+")


def decode_jpeg(data: bytes, codestream: Codestream) -> Samples:
    """Decode JPEG: DCT of 8 and 12 bits, and lossless of 2 to 16 bits with any predictor.

    Colours stay as they are coded: nothing is turned from YCbCr into RGB.

    Args:
        data: One frame, mended.
        codestream: Its header.

    Returns:
        (rows, columns[, samples]) uint8 or uint16.

    Raises:
        RefusalError: `undecodable`: the data are damaged, even where a picture would result.
    """
    dtype = np.dtype(np.uint8 if codestream.precision <= 8 else np.uint16)
    shape = (codestream.rows, codestream.columns, codestream.samples)
    with hear_native() as heard:
        buffer = _run_gdcm(data, codestream, bits_allocated=8 * dtype.itemsize)
    _check_complaint("".join(heard), data)
    expected = int(np.prod(shape)) * dtype.itemsize
    if len(buffer) != expected:
        raise RefusalError("undecodable", f"frame must have {expected} bytes, got {len(buffer)}")
    samples: Samples = np.frombuffer(buffer, dtype.newbyteorder("<"))
    return samples.reshape(shape if codestream.samples > 1 else shape[:2])


def _run_gdcm(data: bytes, codestream: Codestream, *, bits_allocated: int) -> bytes:
    """Hand a frame to GDCM as an image of its own."""
    import gdcm  # type: ignore[import-untyped]  # ships no types

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(strip_remarks(data))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(*_PIXEL_DATA))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((codestream.columns, codestream.rows, 1))
    image.SetDataElement(element)
    name = "MONOCHROME2" if codestream.samples == 1 else "RGB"
    meaning = gdcm.PhotometricInterpretation.GetPIType(name)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(meaning))
    if codestream.samples > 1:
        image.SetPlanarConfiguration(0)
    syntax = gdcm.TransferSyntax.GetTSType(_name_syntax(codestream))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    # Of fewer bits in a byte it ends the process.
    bits = max(8, codestream.precision)
    image.SetPixelFormat(gdcm.PixelFormat(codestream.samples, bits_allocated, bits, bits - 1, 0))
    buffer = image.GetBuffer()
    if buffer is None:
        raise RefusalError("undecodable", "frame must be decodable JPEG, got damaged data")
    # The binding hands bytes over as text.
    return bytes(buffer.encode("utf-8", "surrogateescape"))


def _name_syntax(codestream: Codestream) -> str:
    """Return the transfer syntax of a codestream, whatever the file names."""
    if codestream.coding != JPEG:
        return _LOSSLESS
    return _BASELINE if codestream.precision == 8 else _EXTENDED


def _check_complaint(text: str, data: bytes) -> None:
    """Refuse a frame of which the library said that it is damaged.

    The library tries its 8-bit decoder first, and says that it does not do 12: harmless. So are
    zero bytes that pad the data before their last marker.
    """
    extraneous = _EXTRANEOUS.search(text)
    if extraneous:
        end = data.rfind(b"\xff\xd9")
        n_extra = int(extraneous.group(1))
        if data[max(0, end - n_extra) : end].strip(b"\x00"):
            raise RefusalError(
                "undecodable", f"JPEG data must end with the image, got {n_extra} bytes more"
            )
        return
    if text and not _HARMLESS.fullmatch(text):
        raise RefusalError("undecodable", "JPEG data must be whole, got damaged data")
