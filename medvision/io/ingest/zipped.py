"""A zip's directory and its members, bounded before they are read."""

import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from medvision.io.ingest.unpack import broken_archives, limit_unpacked
from medvision.io.ingest.verdict import Verdict
from medvision.io.reasons import RefusalError

_MOST_OF_A_DIRECTORY = 128 << 20
_END, _END_BYTES = b"PK\x05\x06", 22
_END_64, _END_64_BYTES = b"PK\x06\x06", 56
_LOCATOR_64, _LOCATOR_BYTES = b"PK\x06\x07", 20
_LONGEST_COMMENT = (1 << 16) - 1
_SEE_64 = 0xFFFFFFFF
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_IS_ENCRYPTED = 0x1


class ZipEntry(NamedTuple):
    """A member of a zip while the zip is open.

    Args:
        name: As it stands in the directory; never used as a path.
        n_bytes: Its size; reading never gives more.
        verdict: Why it is not to be read, if so.
        read: Returns its next bytes; raises RefusalError.
    """

    name: str
    n_bytes: int
    verdict: Verdict | None
    read: Callable[[int], bytes]


def read_entries(path: Path, *, limit: int) -> Iterator[ZipEntry]:
    """Yield the members of a zip that are files.

    Args:
        path: The zip.
        limit: Bytes to which all members together may unpack.

    Raises:
        RefusalError: `archive-broken` or `archive-too-large`.
        OSError: It cannot be read.
    """
    with open_zip(path) as archive:
        entries = archive.infolist()
        claimed = sum(entry.file_size for entry in entries)
        allowed = limit_unpacked(path.stat().st_size, limit=limit)
        if claimed > allowed:
            raise RefusalError(
                "archive-too-large",
                f"archive must unpack to {allowed} bytes at most, got {claimed}",
            )
        for entry in entries:
            if not entry.is_dir():
                reader = _EntryReader(archive, entry)
                yield ZipEntry(entry.filename, entry.file_size, judge_entry(entry), reader.read)
                reader.close()


class _EntryReader:
    """A member that is opened when it is first read."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        self._archive = archive
        self._entry = entry
        self._stream: IO[bytes] | None = None

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        with broken_archives():
            if self._stream is None:
                self._stream = self._archive.open(self._entry)
            return self._stream.read(size)

    def close(self) -> None:
        """Let the member go."""
        if self._stream is not None:
            self._stream.close()


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip whose directory is small enough to be read.

    Raises:
        RefusalError: `archive-broken` or `archive-too-large`.
        OSError: It cannot be read.
    """
    with broken_archives():
        n_bytes = _measure_directory(path)
        if n_bytes > _MOST_OF_A_DIRECTORY:
            raise RefusalError(
                "archive-too-large",
                f"directory of an archive must have {_MOST_OF_A_DIRECTORY} bytes at most, "
                f"got {n_bytes}",
            )
        return zipfile.ZipFile(path)


def _measure_directory(path: Path) -> int:
    """Return the bytes of a zip's directory as its end states them; 0 where it has no end.

    Source:
        PKWARE APPNOTE 4.3.14 to 4.3.16.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _LONGEST_COMMENT - _END_BYTES - _LOCATOR_BYTES))
        tail = stream.read()
        at = tail.rfind(_END)
        stated = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
        locator = tail[max(0, at - _LOCATOR_BYTES) : max(0, at)]
        if stated != _SEE_64 or not locator.startswith(_LOCATOR_64):
            return min(stated, size)
        stream.seek(int.from_bytes(locator[8:16], "little"))
        end = stream.read(_END_64_BYTES)
    # zipfile itself refuses what is no end.
    return int.from_bytes(end[40:48], "little") if end.startswith(_END_64) else 0


def judge_entry(entry: zipfile.ZipInfo) -> Verdict | None:
    """Return why a member of a zip is not to be read, if so."""
    mode = stat.S_IFMT(entry.external_attr >> 16)
    if mode not in (0, stat.S_IFREG):
        return Verdict("non-image", "not-a-file")
    if entry.flag_bits & _IS_ENCRYPTED:
        return Verdict(
            "refused", "archive-encrypted", "member must be readable without a password, got a lock"
        )
    if entry.compress_type not in _METHODS:
        return Verdict(
            "refused",
            "archive-not-opened",
            f"member must be stored, deflated or bzip2, got method {entry.compress_type}",
        )
    return None
