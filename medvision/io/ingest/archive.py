"""Archives read member by member; nothing is ever extracted under a name that they give."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from medvision.io.ingest.kind import HEAD_BYTES, TAR, ZIP, is_tar
from medvision.io.ingest.tar import TarMember, read_members
from medvision.io.ingest.unpack import Reader, unpacking
from medvision.io.ingest.verdict import Verdict
from medvision.io.ingest.zipped import read_entries
from medvision.io.reasons import RefusalError

MARK = "!"
"""Stands between the path of an archive and the name of its member."""

PACKED = "packed"
"""One compressed file."""

PACKED_TAR = "packed-tar"
"""A compressed tar: its members can only be reached one after the other."""

_MOST_MEMBERS = 200_000


@dataclass(frozen=True)
class Member:
    """A file of an archive, while the archive is read.

    Args:
        name: As the archive gives it.
        n_bytes: Its size as the archive states it; None where only reading tells.
        verdict: Why it is not to be read, if so.
        read: Returns its next bytes; raises RefusalError.
        is_apart: A fault of it says nothing of the other members.
    """

    name: str
    n_bytes: int | None
    verdict: Verdict | None
    read: Callable[[int], bytes]
    is_apart: bool


def find_layout(path: Path, *, kind: str, limit: int) -> str:
    """Tell how an archive is laid out: ZIP, TAR, PACKED_TAR or PACKED.

    Args:
        path: The archive.
        kind: One of kind.ARCHIVES.
        limit: Bytes to which it may unpack.

    Raises:
        RefusalError: `archive-broken`.
        OSError: It cannot be read.
    """
    if kind in (ZIP, TAR):
        return kind
    with unpacking(path, kind=kind, limit=limit) as reader:
        return PACKED_TAR if is_tar(reader.read(HEAD_BYTES)) else PACKED


def read_archive(path: Path, *, kind: str, limit: int) -> Iterator[Member]:
    """Yield the members of an archive that are files; read one before asking for the next.

    Folders are left out. Memory is bounded whatever the archive claims.

    Args:
        path: The archive.
        kind: One of kind.ARCHIVES.
        limit: Bytes to which it may unpack.

    Raises:
        RefusalError: `archive-broken` or `archive-too-large`.
        OSError: It cannot be read.
    """
    layout = find_layout(path, kind=kind, limit=limit)
    if layout == ZIP:
        members = _read_zip(path, limit=limit)
    elif layout == PACKED:
        members = _read_packed(path, kind=kind, limit=limit)
    else:
        members = _read_tar(path, kind=kind, limit=limit)
    names: set[str] = set()
    for n, member in enumerate(members, 1):
        if n > _MOST_MEMBERS:
            raise RefusalError(
                "archive-too-large",
                f"archive must have {_MOST_MEMBERS} members at most, got more",
            )
        # Of several members of one name only the first could ever be found again.
        yield _repeat(member, n) if member.name in names else member
        names.add(member.name)


def _read_tar(path: Path, *, kind: str, limit: int) -> Iterator[Member]:
    """Yield the members of a tar, compressed or not."""
    with unpacking(path, kind=kind, limit=limit) as reader:
        for found in read_members(reader):
            if found.kind != "folder":
                read = partial(_read_within, reader, found.offset + found.n_bytes)
                yield Member(found.name, found.n_bytes, _judge_tar(found), read, is_apart=False)
        # To the end, where checksums stand.
        while reader.skip(1 << 20):
            pass


def _read_within(reader: Reader, end: int, size: int) -> bytes:
    """Return the next bytes of a tar's member."""
    content = reader.read(min(size, end - reader.position))
    if not content and reader.position < end:
        raise RefusalError("archive-broken", "member must be complete, got the archive's end")
    return content


def _judge_tar(found: TarMember) -> Verdict | None:
    """Return why a member of a tar is not to be read, if so."""
    if found.kind == "other":
        return Verdict("non-image", "not-a-file")
    if found.kind == "sparse":
        return Verdict(
            "refused", "archive-not-opened", "member must be stored whole, got a sparse one"
        )
    return None


def _read_packed(path: Path, *, kind: str, limit: int) -> Iterator[Member]:
    """Yield the one member of a compressed file; the name within is not looked at."""
    with unpacking(path, kind=kind, limit=limit) as reader:
        yield Member(PurePosixPath(path).stem, None, None, reader.read, is_apart=False)


def _read_zip(path: Path, *, limit: int) -> Iterator[Member]:
    """Yield the members of a zip."""
    for entry in read_entries(path, limit=limit):
        yield Member(entry.name, entry.n_bytes, entry.verdict, entry.read, is_apart=True)


def _repeat(member: Member, n: int) -> Member:
    """Return a member whose name an earlier one has, under a name of its own."""
    verdict = Verdict("refused", "archive-broken", "names of members must differ, got one again")
    return replace(member, name=f"{member.name}\0{n}", verdict=verdict)
