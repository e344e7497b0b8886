"""Members of archives read again for conversion, and the spool of those that lie in a stream."""

import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from medvision.io.deidentify import Pseudonymiser
from medvision.io.ingest.archive import MARK, read_archive
from medvision.io.ingest.kind import ARCHIVES, HEAD_BYTES, TAR, ZIP, classify_head
from medvision.io.ingest.tar import read_members
from medvision.io.ingest.unpack import MOST_IN_MEMORY, broken_archives, unpacking
from medvision.io.ingest.zipped import open_zip
from medvision.io.reasons import RefusalError
from medvision.runtime.files import PARTIAL_PREFIX, storage_faults

_CHUNK = 1 << 20


@dataclass(frozen=True)
class MemberReader:
    """Returns the bytes of members of archives, by `archive!member`.

    Args:
        source: Folder of the input.
        spool: Folder of the members that were unpacked beforehand, each under its id.
        names: Gives members their ids.
        limit: Bytes to which one archive may unpack.
    """

    source: Path
    spool: Path
    names: Pseudonymiser
    limit: int

    def __call__(self, path: str) -> bytes:
        """Return the bytes of a member.

        Raises:
            RefusalError: It cannot be read, or is not there.
            OSError: The archive cannot be read.
        """
        spooled = self.spool / self.names.file_id(path)
        if spooled.is_file():
            return spooled.read_bytes()
        archive, name = self._split(path)
        changed = archive.stat().st_mtime_ns
        with archive.open("rb") as stream:
            kind = classify_head(stream.read(HEAD_BYTES))
        if kind == ZIP:
            return _read_zipped(archive, name, changed)
        if kind == TAR:
            return _read_from_tar(archive, name, changed)
        if kind in ARCHIVES:
            return _read_streamed(archive, name, kind=kind, limit=self.limit)
        raise _refuse_missing()

    def _split(self, path: str) -> tuple[Path, str]:
        """Return the archive and the name of its member."""
        at = path.find(MARK)
        while at >= 0:
            if (self.source / path[:at]).is_file():
                return self.source / path[:at], path[at + len(MARK) :]
            at = path.find(MARK, at + 1)
        raise _refuse_missing()


def spool_members(archive: Path, wanted: Mapping[str, str], *, spool: Path, limit: int) -> None:
    """Unpack members of an archive in one pass, into a private folder, under ids of their own.

    A fault is left to be found by those who read the member.

    Args:
        archive: The archive.
        wanted: Name of a member to its id.
        spool: The folder; made with mode 0700.
        limit: Bytes to which the archive may unpack.

    Raises:
        StorageError: The folder cannot be written.
    """
    with storage_faults(spool):
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with archive.open("rb") as stream:
            kind = classify_head(stream.read(HEAD_BYTES))
        for member in read_archive(archive, kind=kind, limit=limit) if kind in ARCHIVES else ():
            if member.name in wanted and member.verdict is None:
                _write_private(spool / wanted[member.name], member.read)
    except (RefusalError, FileNotFoundError):
        return


def _write_private(path: Path, read: Callable[[int], bytes]) -> None:
    """Write what is read into a new file that nobody else can open."""
    partial = path.with_name(PARTIAL_PREFIX + path.name)
    with storage_faults(path):
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            while piece := read(_CHUNK):
                stream.write(piece)
        partial.replace(path)


def _read_zipped(archive: Path, name: str, changed: int) -> bytes:
    """Return the bytes of a zip's member."""
    opened, entries = _open_zip(archive, changed)
    entry = entries.get(name)
    if entry is None or entry.file_size > MOST_IN_MEMORY:
        raise _refuse_missing()
    with broken_archives(), opened.open(entry) as stream:
        return stream.read(MOST_IN_MEMORY)


@lru_cache(maxsize=2)
def _open_zip(
    archive: Path,
    changed: int,  # noqa: ARG001 - part of the key: another time, another directory
) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """Return an open zip and its first member of each name."""
    opened = open_zip(archive)
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in opened.infolist():
        entries.setdefault(entry.filename, entry)
    return opened, entries


def _read_from_tar(archive: Path, name: str, changed: int) -> bytes:
    """Return the bytes of a member of a tar that is not compressed."""
    place = _list_tar(archive, changed).get(name)
    if place is None or place[1] > MOST_IN_MEMORY:
        raise _refuse_missing()
    offset, n_bytes = place
    with archive.open("rb") as stream:
        stream.seek(offset)
        content = stream.read(n_bytes)
    if len(content) < n_bytes:
        raise _refuse_missing()
    return content


@lru_cache(maxsize=2)
def _list_tar(
    archive: Path,
    changed: int,  # noqa: ARG001 - part of the key: another time, another directory
) -> dict[str, tuple[int, int]]:
    """Return offset and size of the first member of each name."""
    places: dict[str, tuple[int, int]] = {}
    with unpacking(archive, kind=TAR, limit=0) as reader:
        for member in read_members(reader):
            if member.kind == "file":
                places.setdefault(member.name, (member.offset, member.n_bytes))
    return places


def _read_streamed(archive: Path, name: str, *, kind: str, limit: int) -> bytes:
    """Return the bytes of a member that can only be reached through those before it."""
    for member in read_archive(archive, kind=kind, limit=limit):
        if member.name == name and member.verdict is None:
            pieces, n_bytes = [], 0
            while n_bytes <= MOST_IN_MEMORY and (piece := member.read(_CHUNK)):
                pieces.append(piece)
                n_bytes += len(piece)
            return b"".join(pieces)
    raise _refuse_missing()


def _refuse_missing() -> RefusalError:
    """Return the refusal of a member that is no longer there."""
    return RefusalError("unreadable", "member must stay in its archive, got none on reading")
