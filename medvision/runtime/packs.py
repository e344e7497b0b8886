"""Files by name, whether each lies by itself or with many others in a pack.

A pack is an uncompressed ZIP; an index beside the packs tells where each of their members is. Who
opens a file here need not know which of the two it is.
"""

import io
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from medvision.errors import StaleOutputError
from medvision.runtime.zipped import Entry, build_header

INDEX = "packs.sqlite"
"""Name of the index in the folder whose files lie in packs."""

_PACK = re.compile(r"pack-[0-9]+-of-[0-9]+(\.[0-9]+)?\.zip")
_CHUNK = 1 << 20
_MOST_BYTES, _MOST_CRC = (1 << 63) - 1, (1 << 32) - 1
_SCHEMA = """
CREATE TABLE members (
    name TEXT PRIMARY KEY, pack TEXT NOT NULL, offset INTEGER NOT NULL, n_bytes INTEGER NOT NULL,
    crc INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Member:
    """A file in a pack."""

    pack: Path
    entry: Entry


def name_pack(shard: str, number: int = 1) -> str:
    """Return the name of a shard's pack, or of its second, third, ... one.

    Args:
        shard: Such as `3-of-16`.
        number: From 1.
    """
    return f"pack-{shard}.zip" if number == 1 else f"pack-{shard}.{number}.zip"


def is_pack(name: str) -> bool:
    """Tell a pack by its name."""
    return _PACK.fullmatch(name) is not None


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading, unbuffered, wherever it lies.

    Args:
        path: Its name; not that of the pack.

    Raises:
        FileNotFoundError: There is no such file, or its pack is missing.
        StaleOutputError: The index or the pack is not as it was written.
        OSError: It cannot be opened.
    """
    try:
        return cast(BinaryIO, path.open("rb", buffering=0))
    except FileNotFoundError:
        member = find_member(path)
        if member is None:
            raise
    return open_member(member)


def open_member(member: Member) -> BinaryIO:
    """Open a member of a pack for reading, whether or not an index names it; raises as `open_file`.

    Args:
        member: Where it lies.
    """
    return cast(BinaryIO, _MemberStream(member))


def read_file(path: Path) -> bytes:
    """Return the bytes of a file, wherever it lies; raises as `open_file`."""
    with open_file(path) as stream:
        return stream.read()


def copy_file(path: Path, target: Path) -> None:
    """Write the bytes of a file, wherever it lies, into another; raises as `open_file`."""
    with open_file(path) as stream, target.open("wb") as copy:
        while piece := stream.read(_CHUNK):
            copy.write(piece)


def has_file(path: Path) -> bool:
    """Tell whether there is such a file, by itself or in a pack.

    Raises:
        StaleOutputError: The index cannot be read.
    """
    return path.is_file() or find_member(path) is not None


def count_bytes(path: Path) -> int:
    """Return the size of a file, wherever it lies; raises as `open_file`."""
    with open_file(path) as stream:
        return stream.seek(0, io.SEEK_END)


def has_packs(folder: Path) -> bool:
    """Tell whether files of a folder lie in packs."""
    return (folder / INDEX).is_file()


def find_member(path: Path) -> Member | None:
    """Return where a file lies in a pack; None where the index beside it does not name it.

    Raises:
        StaleOutputError: The index cannot be read.
    """
    index = path.parent / INDEX
    if not has_packs(path.parent):
        return None
    # Opened anew each time, 0.1 ms: no handle is shared by processes and threads, and an index
    # that was replaced is seen. Never written, so that it needs no locks.
    address = f"{index.absolute().as_uri()}?mode=ro&immutable=1"
    query = "SELECT name, offset, n_bytes, crc, pack FROM members WHERE name = ?"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            row = connection.execute(query, (path.name,)).fetchone()
            if row is None:
                return None
            *entry, pack = row
            return Member(path.with_name(_check_pack(pack)), _check_entry(Entry(*entry)))
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise StaleOutputError(
            f"{path.parent.name}/{INDEX}: file must be a whole index of packs, "
            f"got {type(error).__name__}.",
            f"run the step {_name_step(path)} again: it is made anew.",
        ) from error


def _name_step(path: Path) -> str:
    """Return the step that wrote a pack, or its index: masks are of the cohort."""
    return "cohort" if path.parent.name == "masks" else "ingest"


def _check_pack(pack: object) -> str:
    """Return the name of a pack as it stands in an index; raises ValueError where it is none."""
    if not isinstance(pack, str) or not is_pack(pack):
        raise ValueError("pack must have the name of one.")
    return pack


def _check_entry(entry: Entry) -> Entry:
    """Return a member as it stands in an index; raises ValueError where it can be none."""
    # SQLite keeps what it was given, whatever the type of the column.
    limits = ((entry.offset, _MOST_BYTES), (entry.n_bytes, _MOST_BYTES), (entry.crc, _MOST_CRC))
    for value, most in limits:
        if not isinstance(value, int) or not 0 <= value <= most:
            raise ValueError("place of a member must be whole numbers that a file can have.")
    if not entry.name.isascii():
        raise ValueError("name of a member must be ASCII.")
    return entry


def say_remedy(path: Path, step: str) -> str:
    """Return how a file with other bytes than its step wrote is made anew, as a hint.

    Ingestion sees by size and time that a file by itself was changed; of a pack it looks at the
    headers alone.

    Args:
        path: The file.
        step: Name of the step.
    """
    member = find_member(path) if step == "ingest" and not path.is_file() else None
    first = "" if member is None else f"remove {member.pack.name}, then "
    return f"{first}run the step {step} again."


def write_index(path: Path, members: Iterable[tuple[str, str, int, int, int]]) -> None:
    """Write an index; no reader may have it open under this name.

    Args:
        path: The file; there is none yet, or an empty one.
        members: Name, pack, offset, size and CRC-32 of each, sorted by name.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # What is killed meanwhile is never looked at.
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("BEGIN")
        connection.execute(_SCHEMA)
        connection.executemany("INSERT INTO members VALUES (?, ?, ?, ?, ?)", members)
        connection.execute("COMMIT")


def holds(stream: BinaryIO, entry: Entry) -> bool:
    """Tell whether a pack has a member's header where it should be, and room for its content.

    Args:
        stream: The pack.
        entry: The member.
    """
    # First of all: no file system lets one go to a place beyond its largest file.
    if stream.seek(0, io.SEEK_END) < entry.end:
        return False
    header = build_header(entry)
    stream.seek(entry.offset)
    return stream.read(len(header)) == header


class _MemberStream(io.RawIOBase):
    """The content of a member as a file of its own."""

    def __init__(self, member: Member) -> None:
        self._start, self._n_bytes = member.entry.start, member.entry.n_bytes
        self._position = 0
        self._pack = cast(BinaryIO, member.pack.open("rb", buffering=0))
        if not holds(self._pack, member.entry):
            self._pack.close()
            raise StaleOutputError(
                f"{member.pack.name}: pack must hold {member.entry.name} where its index says, "
                "got other bytes.",
                f"run the step {_name_step(member.pack)} again: what is damaged is made anew.",
            )
        self._pack.seek(self._start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        view = view[: max(0, self._n_bytes - self._position)]
        n_read = cast(io.FileIO, self._pack).readinto(view) or 0
        self._position += n_read
        return n_read

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._n_bytes}[whence]
        self._position = max(0, base + offset)
        self._pack.seek(self._start + self._position)
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        # A stream that could not be opened has no pack.
        if not self.closed and hasattr(self, "_pack"):
            self._pack.close()
        super().close()
