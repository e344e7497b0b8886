"""All objects of a bucket brought into a folder: each whole or not at all, and accounted for."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from threading import Lock

from medvision.io.bucket.client import Bucket, Item, read_code
from medvision.io.deidentify import Pseudonymiser
from medvision.io.tables import write_table
from medvision.runtime.files import PARTIAL_PREFIX, hash_stream, storage_faults
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


@dataclass
class Archive:
    """The folder that is filled; its files bear the objects' own names, open to the owner alone.

    Args:
        root: Where the files go.
        ledger: File in which digests are noted as files come, under pseudonyms.
        names: Makes the pseudonyms.
    """

    root: Path
    ledger: Path
    names: Pseudonymiser
    known: dict[str, tuple[str, str]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        with storage_faults(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = self.ledger.read_text("ascii").splitlines() if self.ledger.is_file() else []
        for line in lines:
            # A kill may have torn a line.
            parts = line.split("\t")
            if len(parts) == 4 and parts[3] == "end":
                self.known[parts[0]] = (parts[1], parts[2])

    def find_digest(self, item: Item) -> str:
        """Return the digest of an object that is here already, whole; "" where it is not."""
        path = self.root / item.name
        etag, digest = self.known.get(self.names.file_id(item.name), ("", ""))
        is_here = etag == _print(item.etag) and path.is_file() and path.stat().st_size == item.size
        return digest if is_here else ""

    def note(self, item: Item, digest: str) -> None:
        """Note a file that came whole, in one write."""
        line = f"\n{self.names.file_id(item.name)}\t{_print(item.etag)}\t{digest}\tend"
        with self._lock:
            handle = os.open(self.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line.encode("ascii"))
            finally:
                os.close(handle)


class _BrokenError(Exception):
    """An object did not come whole; the text is the reason."""


def fetch_objects(bucket: Bucket, archive: Archive, *, connections: int) -> list[ObjectResult]:
    """Fetch what is not here yet, and say what became of each object.

    Args:
        bucket: Where from: all objects below its prefix.
        archive: Where to.
        connections: Objects at a time.

    Returns:
        One result per object, and one (`not-listed`) per file of an earlier fetch that the bucket
        does not list, sorted by pseudonym.

    Raises:
        MedvisionError: Of the bucket's family: it cannot be listed, or the server is gone.
        StorageError: The disk is full or closed.
    """
    items = list(bucket.list_items())
    folders = {str(parent) for item in items for parent in PurePosixPath(item.name).parents}

    def bring(item: Item) -> ObjectResult:
        return _bring(bucket, archive, item, folders=folders)

    with ThreadPoolExecutor(connections, thread_name_prefix="fetch") as pool:
        try:
            # In blocks, since what waits in the pool takes more memory than what was done.
            blocks = (items[k : k + _BLOCK] for k in range(0, len(items), _BLOCK))
            brought = (result for block in blocks for result in pool.map(bring, block))
            results = list(track(brought, "fetching objects", total=len(items)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    listed = {item.name for item in items}
    others = [_tell_other(archive, name) for name in list_files(archive) if name not in listed]
    return sorted([*results, *others], key=lambda result: result.file)


def list_files(archive: Archive) -> Iterator[str]:
    """Yield the names of the files in the folder, without what a killed fetch left half-written."""
    for path in archive.root.rglob("*"):
        if path.name.startswith(PARTIAL_PREFIX):
            path.unlink(missing_ok=True)
        elif not path.is_dir():
            yield path.relative_to(archive.root).as_posix()


def prune_archive(results: Sequence[ObjectResult], archive: Archive) -> list[ObjectResult]:
    """Delete the files that the bucket does not list; return the other results."""
    unasked = {result.file for result in results if result.state == "not-listed"}
    for name in list(list_files(archive)):
        if archive.names.file_id(name) in unasked:
            with storage_faults(archive.root / name):
                (archive.root / name).unlink()
    return [result for result in results if result.state != "not-listed"]


def write_results(results: Sequence[ObjectResult], *, objects: Path, listing: Path) -> None:
    """Write what became of each object, and the digest of each file that is here."""
    whole = (result for result in results if result.state == "complete")
    for path, held, columns in (
        (objects, iter(results), OBJECT_COLUMNS),
        (listing, whole, ARCHIVE_COLUMNS),
    ):
        rows = ({name: getattr(result, name) for name in columns} for result in held)
        write_table(path, rows, columns=columns)


def _bring(bucket: Bucket, archive: Archive, item: Item, *, folders: set[str]) -> ObjectResult:
    """Fetch one object, unless it is here."""
    file = archive.names.file_id(item.name)
    if not _is_name(item.name) or item.name in folders:
        return ObjectResult(file, item.size, "missing", "bad-name")
    if digest := archive.find_digest(item):
        return ObjectResult(file, item.size, "complete", digest=digest)
    reason = ""
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
    with storage_faults(target):
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


def _tell_other(archive: Archive, name: str) -> ObjectResult:
    """Return the result of a file that the bucket does not list."""
    size = (archive.root / name).lstat().st_size
    return ObjectResult(archive.names.file_id(name), size, "not-listed", "not-listed")


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


def _print(etag: str) -> str:
    """Return an ETag without what could break a line of the ledger."""
    return "".join(letter for letter in etag if letter.isalnum() or letter == "-")
