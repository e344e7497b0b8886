"""A multipart answer taken apart as it arrives: the parts are never held whole."""

from collections.abc import Generator, Iterable, Iterator
from email.message import Message
from enum import Enum, auto

from medvision.io.pacs.reasons import TransientError

_HEADERS_LIMIT = 1 << 14
_PREAMBLE_LIMIT = 1 << 16


class Mark(Enum):
    """What stands between the bytes of the parts."""

    BEGIN = auto()
    END = auto()


Piece = bytes | Mark


def find_boundary(content_type: str) -> str | None:
    """Return the boundary that a Content-Type names; None where the answer is not multipart.

    Args:
        content_type: The header's value.

    Source:
        RFC 2046 5.1.1.
    """
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_maintype() != "multipart":
        return None
    boundary = message.get_boundary()
    return boundary or None


def split_parts(chunks: Iterable[bytes], boundary: str) -> Iterator[Piece]:
    """Yield Mark.BEGIN, the bytes of a part in pieces, Mark.END, for each part.

    Args:
        chunks: The answer's body, cut anywhere.
        boundary: As `find_boundary` returns it.

    Raises:
        TransientError: `broken-answer`: the body ends before the last boundary, or is no
            multipart body.

    Source:
        RFC 2046 5.1.1; PS3.18 8.6.1.2.
    """
    source = iter(chunks)
    delimiter = b"\r\n--" + boundary.encode("latin-1")
    # The first boundary may stand at the very beginning, without a line before it.
    buffer = _skip_preamble(b"\r\n", source, delimiter)
    while True:
        buffer = _fill(buffer, source, 2)
        if buffer[:2] == b"--":
            return
        buffer = _skip_headers(buffer, source)
        yield Mark.BEGIN
        buffer = yield from _read_part(buffer, source, delimiter)
        yield Mark.END


def _skip_preamble(buffer: bytes, source: Iterator[bytes], delimiter: bytes) -> bytes:
    """Return what follows the first boundary."""
    while (place := buffer.find(delimiter)) < 0:
        if len(buffer) > _PREAMBLE_LIMIT:
            raise TransientError("broken-answer")
        buffer += _next(source)
    return buffer[place + len(delimiter) :]


def _skip_headers(buffer: bytes, source: Iterator[bytes]) -> bytes:
    """Return what follows a part's headers; the identity is read from the part itself."""
    # A part without headers has the empty line at once.
    while (place := buffer.find(b"\r\n\r\n")) < 0:
        if len(buffer) > _HEADERS_LIMIT:
            raise TransientError("broken-answer")
        buffer += _next(source)
    return buffer[place + 4 :]


def _read_part(
    buffer: bytes, source: Iterator[bytes], delimiter: bytes
) -> Generator[bytes, None, bytes]:
    """Yield a part's bytes; return what follows the boundary behind it."""
    while (place := buffer.find(delimiter)) < 0:
        # A boundary may be cut by the end of the buffer: keep what could be its beginning.
        safe = len(buffer) - len(delimiter) + 1
        if safe > 0:
            yield buffer[:safe]
            buffer = buffer[safe:]
        buffer += _next(source)
    if place:
        yield buffer[:place]
    return buffer[place + len(delimiter) :]


def _fill(buffer: bytes, source: Iterator[bytes], least: int) -> bytes:
    """Return the buffer with so many bytes at least."""
    while len(buffer) < least:
        buffer += _next(source)
    return buffer


def _next(source: Iterator[bytes]) -> bytes:
    """Return the next chunk; the body must not end here."""
    chunk = next(source, None)
    if chunk is None:
        raise TransientError("broken-answer")
    return chunk
