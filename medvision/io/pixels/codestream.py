"""What a compressed frame says of itself: its coding, size, precision, sign and colours."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from medvision.io.reasons import RefusalError

JPEG = "jpeg"
JPEG_LOSSLESS = "jpeg-lossless"
JPEG_LS = "jpeg-ls"
JPEG_2000 = "jpeg-2000"

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
_SOF_CODINGS = {0xC0: JPEG, 0xC1: JPEG, 0xC3: JPEG_LOSSLESS, 0xF7: JPEG_LS}
_UNUSED_SOF = frozenset((0xC2, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD8)))
_FIRST_MARKER = 0xC0
_SOS, _EOI, _APP0, _APP14 = 0xDA, 0xD9, 0xE0, 0xEE
_APPLICATION, _COMMENT = range(0xE0, 0xF0), 0xFE
_MAX_SEGMENTS = 10_000
_RGB_IDS = (b"RGB", b"rgb")


@dataclass(frozen=True)
class Codestream:
    """The header of a compressed frame.

    Args:
        coding: JPEG (DCT), JPEG_LOSSLESS, JPEG_LS or JPEG_2000.
        rows: Pixels along a column.
        columns: Pixels along a row.
        samples: Components.
        precision: Bits of a sample.
        is_signed: Samples carry their own sign, which only JPEG 2000 can say.
        is_reversible: The coding can be lossless.
        is_transformed: JPEG 2000 mixes three components, and decoders give RGB.
        colour: RGB or YBR_FULL where the codestream tells, else empty.
        scan_tails: JPEG: where the spectral selection of each scan lies.
    """

    coding: str
    rows: int
    columns: int
    samples: int
    precision: int
    is_signed: bool = False
    is_reversible: bool = True
    is_transformed: bool = False
    colour: str = ""
    scan_tails: tuple[int, ...] = field(default=())


def describe_codestream(data: bytes) -> Codestream:
    """Read the header of a compressed frame, without decoding it.

    Args:
        data: The frame's bytes, from its first marker.

    Raises:
        RefusalError: `undecodable`: no codestream, or a broken header; `no-decoder`: a process
            of JPEG that DICOM has retired (progressive, hierarchical, arithmetic).

    Source:
        ISO 10918-1 B.2 (JPEG), ISO 14495-1 C.2 (JPEG-LS), ISO 15444-1 A.5 (JPEG 2000).
    """
    try:
        if data.startswith(_JPEG_2000_START):
            return _describe_jpeg_2000(data)
        if data.startswith(_JPEG_START):
            return _describe_jpeg(data)
    except (struct.error, IndexError):
        raise RefusalError("undecodable", "codestream header must be whole, got its end") from None
    raise RefusalError("undecodable", "frame must begin with a codestream, got other bytes")


def strip_remarks(data: bytes) -> bytes:
    """Return JPEG without application segments and comments, which say nothing of the samples.

    Decoders draw conclusions from them, and GDCM ends the process over some.

    Args:
        data: One frame, from its first marker.

    Raises:
        RefusalError: `undecodable`: there is no scan.
    """
    parts = [_JPEG_START]
    for marker, start, end in _walk_jpeg(data):
        if marker == _SOS:
            parts.append(data[start - 4 :])
        elif marker != _COMMENT and marker not in _APPLICATION:
            parts.append(data[start - 4 : end])
    return b"".join(parts)


def _walk_jpeg(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end of the segment's content) up to the first scan, that included."""
    offset = 2
    for _ in range(_MAX_SEGMENTS):
        # Anything between segments is damage: GDCM ends the process over it.
        if data[offset] != 0xFF:
            break
        while data[offset + 1] == 0xFF:
            offset += 1
        marker = data[offset + 1]
        offset += 2
        if marker in _BARE_MARKERS:
            continue
        if marker < _FIRST_MARKER:
            break
        (length,) = struct.unpack_from(">H", data, offset)
        yield marker, offset + 2, offset + length
        if marker in (_SOS, _EOI):
            return
        offset += length
    raise RefusalError("undecodable", "codestream must have segments and a scan, got other bytes")


def _describe_jpeg(data: bytes) -> Codestream:
    """Read the header of JPEG and JPEG-LS."""
    frame: tuple[str, int, int, int, int] | None = None
    ids = b""
    hint = ""
    tails: tuple[int, ...] = ()
    is_near = False
    for marker, start, end in _walk_jpeg(data):
        if marker in _UNUSED_SOF:
            raise RefusalError("no-decoder", f"JPEG process must be in use, got SOF{marker - 0xC0}")
        if marker in _SOF_CODINGS:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", data, start)
            frame = (_SOF_CODINGS[marker], rows, columns, samples, precision)
            ids = bytes(data[start + 6 : end : 3])
        elif marker == _APP14 and data[start : start + 5] == b"Adobe" and end - start >= 12:
            hint = "YBR_FULL" if data[start + 11] == 1 else "RGB"
        elif marker == _APP0 and data[start : start + 4] == b"JFIF":
            hint = hint or "YBR_FULL"
        elif marker == _SOS:
            tails = _find_scan_tails(data, start - 4)
            is_near = data[end - 3] != 0
    if frame is None:
        raise RefusalError("undecodable", "codestream must tell its size, got none")
    coding, rows, columns, samples, precision = frame
    return Codestream(
        coding,
        rows,
        columns,
        samples,
        precision,
        is_reversible=coding == JPEG_LOSSLESS or (coding == JPEG_LS and not is_near),
        colour="" if samples != 3 else "RGB" if ids in _RGB_IDS else hint,
        scan_tails=tails if coding == JPEG else (),
    )


def _find_scan_tails(data: bytes, offset: int) -> tuple[int, ...]:
    """Find the three last bytes of the headers of all scans from `offset`: Ss, Se, Ah and Al."""
    tails: list[int] = []
    while offset >= 0 and len(tails) < _MAX_SEGMENTS:
        (length,) = struct.unpack_from(">H", data, offset + 2)
        if length == 6 + 2 * data[offset + 4]:
            tails.append(offset + 2 + length - 3)
        # Coded data cannot hold the marker: a byte 0xFF of theirs is followed by zero.
        offset = data.find(b"\xff\xda", offset + 2)
    return tuple(tails)


def _describe_jpeg_2000(data: bytes) -> Codestream:
    """Read the header of JPEG 2000, high throughput included."""
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    (samples,) = struct.unpack_from(">H", data, 40)
    components = [struct.unpack_from(">BBB", data, 42 + 3 * k) for k in range(min(samples, 4))]
    if len({component[0] for component in components}) != 1:
        raise RefusalError("undecodable", "components must have one precision, got several")
    if any(component[1:] != (1, 1) for component in components):
        raise RefusalError("undecodable", "components must be sampled in full, got fewer samples")
    is_transformed, is_reversible = _read_coding_style(data)
    return Codestream(
        JPEG_2000,
        rows=bottom - top,
        columns=right - left,
        samples=samples,
        precision=(components[0][0] & 0x7F) + 1,
        is_signed=bool(components[0][0] & 0x80),
        is_reversible=is_reversible,
        is_transformed=is_transformed,
    )


def _read_coding_style(data: bytes) -> tuple[bool, bool]:
    """Return whether components are mixed, and whether the wavelet is reversible."""
    offset = 2
    for _ in range(_MAX_SEGMENTS):
        marker, length = struct.unpack_from(">HH", data, offset)
        if marker == 0xFF52:
            # Scod, progression, layers (2), transform; then levels, block size (2), style, wavelet.
            return data[offset + 8] == 1, data[offset + 13] == 1
        if marker == 0xFF90 or length < 2:
            break
        offset += 2 + length
    raise RefusalError("undecodable", "codestream must tell its coding style, got none")
