"""All objects of a bucket brought into a folder: each whole or not at all, and accounted for."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medvision.io.bucket.archive import Archive
from medvision.io.bucket.client import Bucket, Item, read_code
from medvision.io.tables import write_table
from medvision.runtime.files import PARTIAL_PREFIX, hash_stream
from medvision.runtime.progress import track

OBJECT_COLUMNS = ("file", "bytes", "state", "reason")
ARCHIVE_COLUMNS = ("file", "digest", "bytes")

_ATTEMPTS = 3
_BLOCK = 2000
_CHUNK = 1 << 20
_LONGEST_NAME = 255
_REASONS = {
    **dict.fromkeys(("NoSuchKey", "404"), "vanished"),
    **dict.fromkeys(("PreconditionFailed", "412"), "changed"),
    **dict.fromkeys(("AccessDenied", "403"), "refused"),
    "InvalidObjectState": "in-cold-storage",
}
_BROKEN = {
    "IncompleteReadError": "sent-fewer",
    "FlexibleChecksumError": "wrong-checksum",
}


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """What became of one object.

    Args:
        file: Its pseudonym, the one that ingestion gives the file.
        bytes: Its size, as the server lists it.
        state: `complete`, `missing` or `not-listed`.
        reason: Why it is not complete; "" where it is.
        digest: BLAKE3 of the whole file, in hexadecimal.
        is_new: Whether it was fetched now.
    """

    file: str
    bytes: int
    state: str
    reason: str = ""
    digest: str = ""
    is_new: bool = False


class _BrokenError(Exception):
    """An object did not come whole; the text is the reason."""


def fetch_objects(
    bucket: Bucket, archive: Archive, *, connections: int, prune: bool = False
) -> list[ObjectResult]:
    """Fetch what is not here yet, and say what became of each object.

    Args:
        bucket: Where from: all objects below its prefix.
        archive: Where to.
        connections: Objects at a time.
        prune: Delete files that the bucket does not list, before anything is fetched: one of them
            may stand where an object's folder must be. A listing of nothing deletes nothing.

    Returns:
        One result per object, and one (`not-listed`) per file of an earlier fetch that the bucket
        does not list, sorted by pseudonym.

    Raises:
        MedvisionError: Of the bucket's family: it cannot be listed, or the server is gone.
        StorageError: The disk is full or closed.
    """
    items = list(bucket.list_items())
    listed = {item.name for item in items}
    held = archive.tidy(listed=listed if prune and items else None)
    refused = _find_refused(listed, held)

    def bring(item: Item) -> ObjectResult:
        return _bring(bucket, archive, item, reason=refused.get(item.name, ""))

    with ThreadPoolExecutor(connections, thread_name_prefix="fetch") as pool:
        try:
            # In blocks, since what waits in the pool takes more memory than what was done.
            blocks = (items[k : k + _BLOCK] for k in range(0, len(items), _BLOCK))
            brought = (result for block in blocks for result in pool.map(bring, block))
            results = list(track(brought, "fetching objects", total=len(items)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    others = [
        ObjectResult(archive.names.file_id(name), size, "not-listed", "not-listed")
        for name, size in held.items()
        if name not in listed
    ]
    return sorted([*results, *others], key=lambda result: result.file)


def _find_refused(listed: Iterable[str], held: Iterable[str]) -> dict[str, str]:
    """Return the keys that can have no file here, each with its reason.

    Args:
        listed: Keys of all objects.
        held: Names of the files that are here.
    """
    names = {name for name in listed if _is_name(name)}
    folders = _list_folders(names)
    files = names - folders
    others = set(held) - files
    other_folders = _list_folders(others)
    blocked = {
        name
        for name in files
        if name in other_folders or not others.isdisjoint(_list_folders([name]))
    }
    return {
        **dict.fromkeys(set(listed) - files, "bad-name"),
        **dict.fromkeys(blocked, "blocked"),
    }


def _list_folders(names: Iterable[str]) -> set[str]:
    """Return the folders, and theirs, that files lie in."""
    return {str(parent) for name in names for parent in PurePosixPath(name).parents}


def write_results(results: Sequence[ObjectResult], *, objects: Path, listing: Path) -> None:
    """Write what became of each object, and the digest of each file that is here."""
    whole = (result for result in results if result.state == "complete")
    for path, held, columns in (
        (objects, iter(results), OBJECT_COLUMNS),
        (listing, whole, ARCHIVE_COLUMNS),
    ):
        rows = ({name: getattr(result, name) for name in columns} for result in held)
        write_table(path, rows, columns=columns)


def _bring(bucket: Bucket, archive: Archive, item: Item, *, reason: str) -> ObjectResult:
    """Fetch one object, unless it is here or there is a reason against it."""
    file = archive.names.file_id(item.name)
    if reason:
        return ObjectResult(file, item.size, "missing", reason)
    if digest := archive.find_digest(item):
        return ObjectResult(file, item.size, "complete", digest=digest)
    for _ in range(_ATTEMPTS):
        try:
            digest = _download(bucket, archive, item)
        except _BrokenError as error:
            reason = str(error)
            if reason not in {"connection-lost", *_BROKEN.values()}:
                break
        else:
            return ObjectResult(file, item.size, "complete", digest=digest, is_new=True)
    return ObjectResult(file, item.size, "missing", reason)


def _download(bucket: Bucket, archive: Archive, item: Item) -> str:
    """Fetch one object into its place, and return its digest."""
    target = archive.root / item.name
    with archive.faults(item.name):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes the file with mode 0600.
        handle, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                for piece in _read(bucket, item):
                    stream.write(piece)
            with temporary.open("rb") as stream:
                digest, n_bytes = hash_stream(stream.read)
            if n_bytes != item.size:
                raise _BrokenError("sent-fewer")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        archive.note(item, digest)
    return digest


def _read(bucket: Bucket, item: Item) -> Iterator[bytes]:
    """Yield the bytes of an object; what concerns it alone becomes a reason."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        body = bucket.open_item(item)
        while piece := body.read(_CHUNK):
            yield piece
    except ClientError as error:
        reason = _REASONS.get(read_code(error))
        if reason is None:
            with bucket.faults():
                raise
        raise _BrokenError(reason) from None
    except BotoCoreError as error:
        name = type(error).__name__
        if name in _BROKEN or name in {"ResponseStreamingError", "ReadTimeoutError"}:
            raise _BrokenError(_BROKEN.get(name, "connection-lost")) from None
        with bucket.faults():
            raise


def _is_name(name: str) -> bool:
    """Tell whether a key is the path of a file below a folder, and of none outside it."""
    parts = name.split("/")
    return (
        name.isprintable()
        and "\\" not in name
        and not any(part in {"", ".", ".."} for part in parts)
        and not any(part.startswith(PARTIAL_PREFIX) for part in parts)
        and all(len(part.encode()) <= _LONGEST_NAME for part in parts)
    )
