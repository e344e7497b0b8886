"""Compressed frames into samples: which decoder does what, and what it costs at most."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from medvision.io.dicom.deflated import inflate_stream
from medvision.io.dicom.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, GE_BIG, IMPLICIT_LITTLE
from medvision.io.pixels.codestream import (
    JPEG,
    JPEG_2000,
    JPEG_LOSSLESS,
    JPEG_LS,
    Codestream,
)
from medvision.io.pixels.description import Description
from medvision.io.pixels.jpeg import decode_jpeg
from medvision.io.pixels.native import count_frame_bits, read_native
from medvision.io.pixels.repair import mend_frame
from medvision.io.pixels.rle import decode_rle
from medvision.io.reasons import RefusalError

Samples = NDArray[np.number]
"""(rows, columns) or (rows, columns, samples), as decoded."""

_BASE = "1.2.840.10008.1.2."
RLE = f"{_BASE}5"
ENCAPSULATED_PLAIN = f"{_BASE}1.98"
DEFLATED_FRAME = f"{_BASE}8.1"

CODINGS = MappingProxyType(
    {
        f"{_BASE}4.50": JPEG,
        f"{_BASE}4.51": JPEG,
        f"{_BASE}4.57": JPEG_LOSSLESS,
        f"{_BASE}4.70": JPEG_LOSSLESS,
        f"{_BASE}4.80": JPEG_LS,
        f"{_BASE}4.81": JPEG_LS,
        f"{_BASE}4.90": JPEG_2000,
        f"{_BASE}4.91": JPEG_2000,
        f"{_BASE}4.92": JPEG_2000,
        f"{_BASE}4.93": JPEG_2000,
        f"{_BASE}4.201": JPEG_2000,
        f"{_BASE}4.202": JPEG_2000,
        f"{_BASE}4.203": JPEG_2000,
    }
)
"""Transfer syntax to the coding that its frames should have (PS3.5 10, PS3.6 A)."""

_NATIVE = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, GE_BIG))
_RETIRED_JPEG = frozenset(f"{_BASE}4.{end}" for end in (*range(52, 57), *range(58, 67)))
_TOLD_BY_FRAME = _NATIVE | _RETIRED_JPEG | {RLE, ENCAPSULATED_PLAIN, DEFLATED_FRAME}
"""Syntaxes without a codestream, native ones whose pixels are encapsulated nevertheless, and
retired JPEG: what such a frame holds is told by its first bytes."""

_LOSSLESS_SYNTAXES = frozenset(
    f"{_BASE}4.{end}" for end in ("57", "70", "80", "90", "92", "201", "202")
)
_FREE_BYTES = 1 << 28
_MAX_RATIO = 1000
_PRECISIONS = MappingProxyType(
    {
        JPEG: (8, 12),
        JPEG_LOSSLESS: range(2, 17),
        JPEG_LS: range(2, 17),
        JPEG_2000: range(1, 33),
    }
)


@dataclass(frozen=True)
class Coded:
    """One decoded frame.

    Args:
        samples: (rows, columns[, samples]), words in native byte order.
        codestream: Its header; None where the samples are words as the file's header has them.
        is_lossless: The samples are those that were encoded.
        flags: Codes of what was mended or contradicts.
    """

    samples: Samples
    codestream: Codestream | None = None
    is_lossless: bool = True
    flags: tuple[str, ...] = ()


def check_syntax(syntax: str, *, is_encapsulated: bool) -> None:
    """Refuse pixels of a transfer syntax that nothing here decodes.

    Args:
        syntax: UID.
        is_encapsulated: The pixels come as fragments.

    Raises:
        RefusalError: `no-decoder`: video, JPEG XL and what is not registered; `undecodable`:
            pixels without fragments under a syntax of compression.
    """
    is_compression = syntax in CODINGS or syntax in _TOLD_BY_FRAME - _NATIVE
    if syntax in _NATIVE or (is_encapsulated and is_compression):
        return
    if is_compression:
        raise RefusalError("undecodable", "compressed pixels must be in fragments, got none")
    from pydicom.uid import UID

    # Only registered names go into the message: the UID is text of the file.
    name = UID(syntax).name if UID(syntax).type == "Transfer Syntax" else "unregistered"
    raise RefusalError("no-decoder", f"transfer syntax must have a decoder, got {name}")


def decode_frame(data: bytes, description: Description) -> Coded:
    """Decode one encapsulated frame.

    Args:
        data: The frame's fragments, joined.
        description: What the header says of the pixels.

    Raises:
        RefusalError: `undecodable`: damaged data, or of another size than the header states;
            `no-decoder`.
    """
    syntax = description.layout.syntax
    if syntax == RLE:
        return Coded(_decode_rle(data, description))
    if syntax in (ENCAPSULATED_PLAIN, DEFLATED_FRAME):
        return Coded(_decode_plain(data, description, is_deflated=syntax == DEFLATED_FRAME))
    mended, codestream, flags = mend_frame(data)
    _check_size(codestream, description, n_bytes=len(mended))
    if CODINGS.get(syntax) != codestream.coding:
        flags = (*flags, "encoding-differs")
    try:
        samples = _DECODERS[codestream.coding](mended, codestream)
    except (RefusalError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - decoders raise what they meet; any bytes need a verdict
        raise RefusalError(
            "undecodable", f"frame must be decodable, got {type(error).__name__}"
        ) from None
    if samples.shape != description.frame_shape:
        raise RefusalError(
            "undecodable", f"frame must be {description.frame_shape}, got {samples.shape}"
        )
    is_lossless = codestream.is_reversible and (
        syntax in _LOSSLESS_SYNTAXES or codestream.coding in (JPEG_LOSSLESS, JPEG_LS)
    )
    return Coded(samples, codestream, is_lossless, flags)


def _check_size(codestream: Codestream, description: Description, *, n_bytes: int) -> None:
    """Refuse, before any memory is taken, a size that is not the header's or not plausible."""
    shape = (codestream.rows, codestream.columns, codestream.samples)
    expected = (description.rows, description.columns, description.samples)
    if shape != expected:
        raise RefusalError("undecodable", f"codestream must be {expected}, got {shape}")
    possible = _PRECISIONS[codestream.coding]
    if codestream.precision not in possible:
        # GDCM ends the process over a precision that JPEG does not have.
        raise RefusalError(
            "undecodable",
            f"precision must be {min(possible)} to {max(possible)}, got {codestream.precision}",
        )
    n_decoded = math.prod(shape) * ((codestream.precision + 7) // 8)
    if n_decoded > _FREE_BYTES + _MAX_RATIO * n_bytes:
        raise RefusalError(
            "undecodable", f"frame must need {_MAX_RATIO} times its bytes at most, got {shape}"
        )


def _decode_rle(data: bytes, description: Description) -> Samples:
    """Decode run-length coding, of packed bits too."""
    bits = description.layout.bits_allocated
    if bits == 1 and description.samples == 1:
        n_bytes = (count_frame_bits(description) + 7) // 8
        packed = decode_rle(data, rows=1, columns=n_bytes, samples=1, n_bytes=1)
        return read_native(memoryview(packed.tobytes()), description, index=0)
    if bits not in (8, 16, 32, 64):
        raise RefusalError(
            "bit-layout-not-supported", f"BitsAllocated must be whole bytes in RLE, got {bits}"
        )
    _check_runs(len(data), description)
    return decode_rle(
        data,
        rows=description.rows,
        columns=description.columns,
        samples=description.samples,
        n_bytes=bits // 8,
    )


def _check_runs(n_bytes: int, description: Description) -> None:
    """Refuse a frame that its bytes cannot fill: two bytes make 128 at most (PS3.5 G.3)."""
    needed = description.frame_samples * description.layout.bits_allocated // 8
    if needed > 64 * n_bytes:
        raise RefusalError(
            "undecodable", f"RLE frame must expand to {needed} bytes, got {n_bytes} to expand"
        )


def _decode_plain(data: bytes, description: Description, *, is_deflated: bool) -> Samples:
    """Read a frame that is native inside its fragment (PS3.5 A.4.11, A.4.13)."""
    if is_deflated:
        n_bytes = (count_frame_bits(description) + 7) // 8
        # A frame is padded to an even length before it is deflated.
        data = inflate_stream(data, limit=n_bytes + 1)
    return read_native(memoryview(data), description, index=0)


def _decode_jpeg_ls(data: bytes, codestream: Codestream) -> Samples:
    """Decode JPEG-LS by CharLS."""
    import jpeg_ls  # type: ignore[import-untyped]  # ships no types

    buffer, told = jpeg_ls.decode_pixel_data(data)
    dtype = np.dtype("u1" if codestream.precision <= 8 else "<u2")
    flat = np.frombuffer(buffer, dtype)
    rows, columns, samples = codestream.rows, codestream.columns, codestream.samples
    if samples == 1:
        return flat.reshape(rows, columns)
    if told["interleave_mode"] == 0:
        return flat.reshape(samples, rows, columns).transpose(1, 2, 0)
    return flat.reshape(rows, columns, samples)


def _decode_jpeg_2000(data: bytes, codestream: Codestream) -> Samples:  # noqa: ARG001 - one signature for all
    """Decode JPEG 2000, high throughput included, by OpenJPEG."""
    from openjpeg.utils import decode

    samples: Samples = decode(data, j2k_format=0)
    return samples


_DECODERS: dict[str, Callable[[bytes, Codestream], Samples]] = {
    JPEG: decode_jpeg,
    JPEG_LOSSLESS: decode_jpeg,
    JPEG_LS: _decode_jpeg_ls,
    JPEG_2000: _decode_jpeg_2000,
}
