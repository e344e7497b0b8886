"""The DICOM file format at its edges: where the dataset begins, and whose instance it is."""

import io
import re
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from medvision.io.dicom.syntaxes import (
    DEFLATED_FILE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    GE_BIG,
    IMPLICIT_LITTLE,
)
from medvision.io.pacs.reasons import RefusedError

PREAMBLE = bytes(128) + b"DICM"

_DEFLATED_SYNTAXES = frozenset(
    {DEFLATED_FILE, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"}  # and both JPIP ones
)
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"})
_META_LIMIT = 1 << 20
_INFLATED_LIMIT = 1 << 22
_MOST_ELEMENTS = 1 << 13
_SYNTAX_TAG = 0x00020010
_LAST_TAG = 0x0020000E
_TAGS = (0x00080016, 0x00080018, 0x0020000D, _LAST_TAG)
_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")


@dataclass(frozen=True)
class Identity:
    """Whose instance a dataset is: raw UIDs, never to be shown.

    Args:
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        sop_uid: SOPInstanceUID.
        sop_class: SOPClassUID; "" where the dataset lacks it.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str


def is_uid(text: str) -> bool:
    """Tell whether a text may stand in a request as a UID: no wildcard, list or path part.

    Letters pass, since some systems make UIDs with them.
    """
    return _UID.fullmatch(text) is not None


def find_dataset(stream: BinaryIO) -> tuple[int, str]:
    """Read a file's meta information.

    Args:
        stream: The file, at its beginning.

    Returns:
        Offset of the dataset's first byte, and the transfer syntax; that is guessed where the
        file does not state it.

    Raises:
        RefusedError: `broken-answer`, where this is no DICOM file.

    Source:
        PS3.10 7.1: preamble, prefix, group 0002 in explicit VR little endian.
    """
    head = stream.read(_META_LIMIT)
    syntax, offset = "", len(PREAMBLE) if head[128:132] == b"DICM" else 0
    try:
        while head[offset : offset + 2] == b"\x02\x00":
            tag, value, offset = _read_element(head, offset)
            if tag == _SYNTAX_TAG:
                syntax = value.rstrip(b"\0 ").decode("ascii")
    except (struct.error, UnicodeDecodeError):
        raise RefusedError("broken-answer") from None
    return offset, syntax or _guess_syntax(head[offset : offset + 6])


def _guess_syntax(start: bytes) -> str:
    """Tell the encoding of a dataset by its first element, which must be of group 0008.

    Some servers store, and send, datasets without meta information.
    """
    is_explicit = start[4:6].isalpha() and start[4:6].isupper()
    if start[:2] == b"\0\x08" and is_explicit:
        return EXPLICIT_BIG
    if start[:2] == b"\x08\0":
        return EXPLICIT_LITTLE if is_explicit else IMPLICIT_LITTLE
    raise RefusedError("broken-answer")


def _read_element(head: bytes, offset: int) -> tuple[int, bytes, int]:
    """Return tag, value and end of one element of the meta information."""
    group, element, vr, length = struct.unpack_from("<HH2sH", head, offset)
    start = offset + 8
    if vr in _LONG_VRS:
        (length,) = struct.unpack_from("<I", head, start)
        start += 4
    return group << 16 | element, head[start : start + length], start + length


def read_identity(stream: BinaryIO, *, offset: int, syntax: str) -> Identity:
    """Read whose instance a dataset is, without its pixels and within bounded memory.

    Args:
        stream: What holds the dataset.
        offset: Where it begins.
        syntax: Its transfer syntax.

    Raises:
        RefusedError: `broken-answer`, where the dataset cannot be parsed or names no instance.
    """
    from pydicom.filereader import read_dataset

    stream.seek(offset)
    source = _inflate(stream) if syntax in _DEFLATED_SYNTAXES else stream
    try:
        dataset = read_dataset(
            source,
            syntax in {IMPLICIT_LITTLE, GE_BIG},
            syntax != EXPLICIT_BIG,
            stop_when=_Stop(),
            specific_tags=list(_TAGS),
        )
        texts = {tag: _read_text(dataset.get(tag)) for tag in _TAGS}
    except Exception:  # noqa: BLE001 - pydicom raises what it meets; any bytes need a verdict
        raise RefusedError("broken-answer") from None
    sop_class, sop_uid, study_uid, series_uid = (texts[tag] for tag in _TAGS)
    if not (sop_uid and study_uid and series_uid):
        raise RefusedError("broken-answer")
    return Identity(study_uid, series_uid, sop_uid, sop_class)


@dataclass
class _Stop:
    """Ends the parsing behind the identity, or after more elements than can come before it."""

    n_elements: int = 0

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:  # noqa: ARG002 - pydicom's signature
        """Tell whether to stop before this element."""
        self.n_elements += 1
        return int(tag) > _LAST_TAG or self.n_elements > _MOST_ELEMENTS


def _read_text(element: object) -> str:
    """Return an element's value as plain text; "" for none."""
    value = getattr(element, "value", None)
    return "" if value is None else str(value).strip("\0 ")


def _inflate(stream: BinaryIO) -> BinaryIO:
    """Inflate the head of a deflated dataset: the identity lies there, the rest may be a bomb."""
    try:
        head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(
            stream.read(_META_LIMIT), _INFLATED_LIMIT
        )
    except zlib.error:
        raise RefusedError("broken-answer") from None
    return io.BytesIO(head)


def build_meta(*, sop_class: str, sop_uid: str, syntax: str) -> bytes:
    """Build preamble, prefix and meta information for a dataset that came without them.

    Args:
        sop_class: SOPClassUID.
        sop_uid: SOPInstanceUID.
        syntax: Transfer syntax in which the dataset came.

    Returns:
        What stands before the dataset in a file; equal arguments give equal bytes.

    Source:
        PS3.10 table 7.1-1.
    """
    from pydicom.uid import PYDICOM_IMPLEMENTATION_UID

    texts = {
        0x0002: sop_class,
        0x0003: sop_uid,
        0x0010: syntax,
        0x0012: str(PYDICOM_IMPLEMENTATION_UID),
    }
    body = struct.pack("<HH2sHI2s", 2, 1, b"OB", 0, 2, b"\0\1")
    for element, text in texts.items():
        value = text.encode("ascii", errors="replace")
        value += b"\0" * (len(value) % 2)
        body += struct.pack("<HH2sH", 2, element, b"UI", len(value)) + value
    return PREAMBLE + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(body)) + body
