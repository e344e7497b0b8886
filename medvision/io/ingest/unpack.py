"""Compressed streams unpacked forward, in bounded memory and to a bounded length."""

import bz2
import gzip
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from medvision.io.ingest.kind import BZIP2, GZIP, XZ
from medvision.io.reasons import RefusalError

GIB = 1 << 30
MOST_IN_MEMORY = 2 * GIB
"""Largest file of an archive: it is read whole."""

_CHUNK = 1 << 16
_LARGEST_RATIO = 200
_FREE_BYTES = 100 << 20
"""Up to this length no ratio is too large: empty images pack well."""

_XZ_MEMORY = 256 << 20


class Source(Protocol):
    """Anything that gives its next bytes."""

    def read(self, size: int, /) -> bytes: ...


class Reader:
    """Bytes read forward, and no more of them than allowed.

    Args:
        source: Gives the bytes.
        limit: Bytes after which reading is refused.
    """

    def __init__(self, source: Source, *, limit: int) -> None:
        self._source = source
        self._limit = limit
        self.position = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than asked for only at the end.

        Raises:
            RefusalError: `archive-too-large`.
        """
        pieces, missing = [], size
        with broken_archives():
            while missing and (piece := self._source.read(min(missing, _CHUNK))):
                pieces.append(piece)
                missing -= len(piece)
                self._advance(len(piece))
        return b"".join(pieces)

    def skip(self, size: int) -> int:
        """Read and drop bytes; return how many there were."""
        start = self.position
        while (left := size - (self.position - start)) and self.read(min(left, _CHUNK)):
            pass
        return self.position - start

    def _advance(self, size: int) -> None:
        """Count bytes, and refuse those beyond the limit."""
        self.position += size
        if self.position > self._limit:
            raise RefusalError(
                "archive-too-large", f"archive must unpack to {self._limit} bytes at most, got more"
            )


class SeekingReader(Reader):
    """Bytes of a plain file, where skipping costs nothing."""

    def __init__(self, stream: BinaryIO, *, limit: int) -> None:
        super().__init__(stream, limit=limit)
        self._stream = stream
        self._size = stream.seek(0, 2)
        stream.seek(0)

    def skip(self, size: int) -> int:
        """Jump over bytes; return how many there were."""
        jumped = max(0, min(size, self._size - self.position))
        self._advance(jumped)
        self._stream.seek(self.position)
        return jumped


class _XzSource:
    """An xz stream, or several of them, unpacked with bounded memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._unpacker = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return some of the next bytes, none at the end."""
        while True:
            if self._unpacker.eof:
                self._rest = self._unpacker.unused_data.lstrip(b"\0") or self._stream.read(_CHUNK)
                if not self._rest.strip(b"\0"):
                    return b""
                self._unpacker = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
            elif self._unpacker.needs_input and not self._rest:
                self._rest = self._stream.read(_CHUNK)
                if not self._rest:
                    raise EOFError
            piece = self._unpacker.decompress(self._rest, max_length=size)
            self._rest = b""
            if piece:
                return piece


def limit_unpacked(n_bytes: int, *, limit: int) -> int:
    """Return how far a compressed file may unpack.

    Args:
        n_bytes: Its size.
        limit: Largest length whatever the size.
    """
    return min(limit, max(_FREE_BYTES, _LARGEST_RATIO * n_bytes))


@contextmanager
def unpacking(path: Path, *, kind: str, limit: int) -> Iterator[Reader]:
    """Open a compressed or plain file for reading forward.

    Args:
        path: The file.
        kind: GZIP, BZIP2, XZ, or anything else for a file that is read as it is.
        limit: Bytes after which reading is refused.

    Raises:
        RefusalError: `archive-broken` or `archive-too-large`.
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        n_bytes = path.stat().st_size
        if kind not in (GZIP, BZIP2, XZ):
            yield SeekingReader(stream, limit=n_bytes)
            return
        allowed = limit_unpacked(n_bytes, limit=limit)
        if kind == GZIP:
            yield Reader(gzip.GzipFile(fileobj=stream, mode="rb"), limit=allowed)
        elif kind == BZIP2:
            yield Reader(bz2.BZ2File(stream), limit=allowed)
        else:
            yield Reader(_XzSource(stream), limit=allowed)


@contextmanager
def broken_archives() -> Iterator[None]:
    """Turn what the unpackers raise on bad bytes into a refusal.

    Raises:
        RefusalError: `archive-broken`, or as it came.
        OSError: The system's own fault, as it came.
    """
    try:
        yield
    except (RefusalError, MemoryError):
        raise
    except Exception as error:
        # The unpackers raise OSError without a number; the system's have one.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # Its own text may quote the file.
        raise RefusalError(
            "archive-broken", f"archive must be whole and well-formed, got {type(error).__name__}"
        ) from None
