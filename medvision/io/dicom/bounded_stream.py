"""A file as a stream that bounds what a parser can take of memory and time, whatever it claims."""

import zlib
from collections.abc import Iterator
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path

from medvision.io.reasons import RefusalError

_MAX_READS = 12_000_000
"""Reads of a parser; each element takes one or two. Far above the largest header of an image."""

_LARGE = 1 << 20
_MAX_HEADER = 1 << 26
_CHUNK = 1 << 18


class DeflatedError(Exception):
    """The parser wants all that is left, as it does of deflated files alone."""


class BoundedStream(BufferedReader):
    """A stream that never gives more than the file has, and counts how often it is asked.

    A length in a file can claim 4 GB, for which memory would be taken before anything is read.

    Args:
        raw: The file's bytes.
        n_bytes: How many there are.
    """

    def __init__(self, raw: FileIO | BytesIO, n_bytes: int) -> None:
        super().__init__(raw)
        self.n_bytes = n_bytes
        self._n_reads = 0

    @property
    def name(self) -> str:
        """No name: what a parser remembers of a file must not lead to its path."""
        return ""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            DeflatedError: All bytes that are left are asked for.
            RefusalError: `unreadable`, after more reads than a header can need.
        """
        if size is None or size < 0:
            raise DeflatedError
        self._n_reads += 1
        if self._n_reads > _MAX_READS:
            raise RefusalError("unreadable", "header must have fewer elements, got millions")
        if size > _LARGE:
            size = min(size, max(0, self.n_bytes - self.tell()))
        return super().read(size)

    def copy_head(self, length: int) -> BytesIO:
        """Return a copy of the first bytes."""
        self.seek(0)
        return BytesIO(super().read(length))


def open_bounded(source: Path | bytes) -> BoundedStream:
    """Open a file, or bytes at hand, as a bounded stream.

    Raises:
        OSError: The file cannot be opened.
    """
    if isinstance(source, bytes):
        return BoundedStream(BytesIO(source), len(source))
    return BoundedStream(FileIO(source), source.stat().st_size)


def inflate_head(stream: BoundedStream, start: int) -> bytes:
    """Inflate as much of a deflated dataset as a header may take.

    Args:
        stream: The file.
        start: Where the deflated bytes begin.

    Raises:
        RefusalError: `unreadable`: the bytes are not deflated.
    """
    head = bytearray()
    for piece in _inflate(stream, start):
        head += piece
        if len(head) >= _MAX_HEADER:
            break
    return bytes(head)


def count_inflated(stream: BoundedStream, start: int, *, most: int) -> int:
    """Return how many bytes a deflated dataset has, counting no further than `most`.

    Raises:
        RefusalError: `unreadable`: the bytes are not deflated.
    """
    count = 0
    for piece in _inflate(stream, start):
        count += len(piece)
        if count >= most:
            break
    return count


def _inflate(stream: BoundedStream, start: int) -> Iterator[bytes]:
    """Yield the inflated bytes in pieces of bounded size, as far as they go."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    stream.seek(start)
    try:
        while not inflater.eof:
            chunk = inflater.unconsumed_tail or stream.read(_CHUNK)
            if not chunk:
                yield inflater.flush()
                return
            yield inflater.decompress(chunk, _CHUNK)
    except zlib.error:
        raise RefusalError("unreadable", "deflated dataset must be whole, got an error") from None
