"""Entries of a file that grows: each with its key, its length and the digest of what follows.

So neither what a killed run left half-written nor what was damaged is ever taken for an entry.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from medvision.runtime.alone import write_all
from medvision.runtime.files import hash_fast

_HEAD = struct.Struct("<64s64sQ")
"""Key, digest of the body, and its length."""


class Place(NamedTuple):
    """Where an entry's body lies: file, first byte, length, and the digest that it must have."""

    path: Path
    start: int
    n_bytes: int
    digest: str

    @property
    def end(self) -> int:
        """Byte behind the body."""
        return self.start + self.n_bytes


def append_entry(path: Path, stream: BinaryIO, *, key: str, body: bytes) -> Place:
    """Write an entry at the end of a file; nothing of it stays where that fails.

    Args:
        path: The file.
        stream: The same, open for writing by this process alone, unbuffered.
        key: 64 hexadecimal digits.
        body: The content.

    Raises:
        OSError: It cannot be written.
    """
    start, digest = stream.seek(0, os.SEEK_END), hash_fast(body)
    try:
        for piece in (_HEAD.pack(key.encode(), digest.encode(), len(body)), body):
            write_all(stream, piece)
    except BaseException:
        # What follows must not come behind half an entry.
        stream.truncate(start)
        raise
    return Place(path, start + _HEAD.size, len(body), digest)


def list_entries(path: Path, stream: BinaryIO, *, start: int = 0) -> Iterator[tuple[str, Place]]:
    """Yield key and place of the whole entries of a file; bodies are not read.

    Args:
        path: The file.
        stream: The same, open for reading, best unbuffered.
        start: Byte at which an entry begins.
    """
    n_bytes = stream.seek(0, os.SEEK_END)
    while start + _HEAD.size <= n_bytes:
        stream.seek(start)
        key, digest, length = _HEAD.unpack(stream.read(_HEAD.size))
        # What is damaged here is no name of anything, and its body has no such digest.
        name, wanted = (text.decode("ascii", "replace") for text in (key, digest))
        place = Place(path, start + _HEAD.size, length, wanted)
        if place.end > n_bytes:
            return
        yield name, place
        start = place.end


def read_entry(place: Place) -> bytes | None:
    """Return the body of an entry; one that is gone or damaged is none."""
    try:
        with place.path.open("rb", buffering=0) as stream:
            stream.seek(place.start)
            body = stream.read(place.n_bytes)
    except OSError:
        return None
    return body if hash_fast(body) == place.digest else None
