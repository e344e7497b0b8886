"""Bytes of a file in order, unpacked where it is gzip, hashed on their way; never too many."""

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from medvision.io.reasons import RefusalError
from medvision.runtime.packs import open_file

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
_MOST_GROWTH = 1040
"""Deflate's best ratio is 1032 (RFC 1951: 258 bytes by two bits of code)."""

_MOST_BYTES = 1 << 34
_MOST_TRAILING_BYTES = 1 << 26


class _Hasher(Protocol):
    """What is used of blake3."""

    def update(self, data: bytes | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


class _HashedFile(io.RawIOBase):
    """A file, each byte of which is hashed once, as it is read."""

    def __init__(self, raw: BinaryIO) -> None:
        from blake3 import blake3

        self._raw = raw
        self.hasher: _Hasher = blake3()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        n_read = cast(io.FileIO, self._raw).readinto(view) or 0
        self.hasher.update(view[:n_read])
        return n_read


class ByteStream:
    """A file's content from its first byte to its last.

    Args:
        hashed: The file as it lies on the disk.
        n_file_bytes: Its size.
        is_packed: It is gzip.
    """

    def __init__(self, hashed: _HashedFile, *, n_file_bytes: int, is_packed: bool) -> None:
        self._hashed = hashed
        self._unpacked: io.RawIOBase = hashed
        self._faults: tuple[type[Exception], ...] = ()
        if is_packed:
            self._unpacked, self._faults = _open_gzip(hashed)
        self._most = n_file_bytes * (_MOST_GROWTH if is_packed else 1)
        self.position = 0

    def read(self, n_bytes: int) -> bytes:
        """Return the next bytes.

        Raises:
            RefusalError: The file ends before them, is broken, or they are too many.
        """
        return self.read_array(n_bytes).tobytes()

    def read_array(self, n_bytes: int) -> NDArray[np.uint8]:
        """Return the next bytes as an array of its own.

        Raises:
            RefusalError: The file ends before them, is broken, or they are too many.
        """
        self._check_possible(n_bytes)
        array = np.empty(n_bytes, dtype=np.uint8)
        view = array.data
        done = 0
        while done < n_bytes:
            n_read = self._fill(view[done : done + _CHUNK])
            if not n_read:
                raise _describe_short(n_bytes, got=done)
            done += n_read
        return array

    def skip(self, n_bytes: int) -> None:
        """Read over bytes that are not wanted, such as extensions.

        Raises:
            RefusalError: The file ends before them, or is broken.
        """
        missing = n_bytes
        buffer = memoryview(bytearray(min(_CHUNK, max(n_bytes, 1))))
        while missing > 0:
            n_read = self._fill(buffer[:missing])
            if not n_read:
                raise _describe_short(n_bytes, got=n_bytes - missing)
            missing -= n_read

    def finish(self) -> str:
        """Read to the end, so that checksums are verified, and return the file's digest.

        Returns:
            BLAKE3 of the file as it lies on the disk, in hexadecimal.

        Raises:
            RefusalError: The file is broken, or goes on for too long.
        """
        buffer = memoryview(bytearray(_CHUNK))
        n_trailing = 0
        while n_read := self._fill(buffer):
            n_trailing += n_read
            if n_trailing > _MOST_TRAILING_BYTES:
                raise RefusalError(
                    "unreadable",
                    f"file must end after its voxels, got more than {_MOST_TRAILING_BYTES} bytes",
                )
        while self._hashed.readinto(buffer):
            continue
        return self._hashed.hasher.hexdigest()

    def _fill(self, view: memoryview) -> int:
        """Read into a buffer; return how many bytes came, 0 at the end."""
        try:
            n_read = self._unpacked.readinto(view) or 0
        except self._faults as error:
            raise RefusalError(
                "truncated", f"file must be complete, got {type(error).__name__}"
            ) from None
        self.position += n_read
        return n_read

    def _check_possible(self, n_bytes: int) -> None:
        """Refuse a size that the file cannot hold, before memory is asked for it."""
        if self.position + n_bytes > self._most:
            raise _describe_short(n_bytes, got=max(0, self._most - self.position))
        if n_bytes > _MOST_BYTES:
            raise RefusalError(
                "too-large", f"voxels must take {_MOST_BYTES} bytes at most, got {n_bytes}"
            )


@contextmanager
def open_stream(source: Path | bytes) -> Iterator[ByteStream]:
    """Open a file, or the bytes of one, for reading from front to back.

    Args:
        source: Path, also of a file in a pack, or the content as it would lie on the disk.

    Raises:
        OSError: The file cannot be opened.
    """
    if isinstance(source, bytes):
        raw: BinaryIO = io.BytesIO(source)
        n_bytes = len(source)
    else:
        raw = open_file(source)
        n_bytes = raw.seek(0, io.SEEK_END)
    with raw:
        raw.seek(0)
        is_packed = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        yield ByteStream(_HashedFile(raw), n_file_bytes=n_bytes, is_packed=is_packed)


def _open_gzip(hashed: _HashedFile) -> tuple[io.RawIOBase, tuple[type[Exception], ...]]:
    """Return a reader of what gzip packed, which verifies checksums, and what it may raise."""
    # Imported here: most commands unpack nothing.
    from isal.igzip import IGzipFile
    from isal.isal_zlib import IsalError

    reader = IGzipFile(fileobj=hashed, mode="rb")  # type: ignore[no-untyped-call] # isal has none
    faults = (EOFError, gzip.BadGzipFile, cast(type[Exception], IsalError))
    return cast(io.RawIOBase, reader), faults


def _describe_short(n_bytes: int, *, got: int) -> RefusalError:
    """Say that a file ends too early."""
    return RefusalError("truncated", f"file must have {n_bytes} bytes here, got {got}")
