"""Writing files so that no half-written one is ever seen, and hashing them."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from medvision.domain.record import JsonValue
from medvision.errors import DataError, StorageError
from medvision.runtime.packs import open_file, read_file

PARTIAL_PREFIX = ".part-"
"""How the names of unfinished files begin."""

_CHUNK = 1 << 20
_STORAGE_FAULTS = {
    errno.ENOSPC: "has no space left",
    errno.EDQUOT: "is over its quota",
    errno.EFBIG: "may not hold a file of this size",
    errno.EACCES: "may not be written",
    errno.EPERM: "may not be written",
    errno.EROFS: "is read-only",
    errno.ENOTDIR: "has a file where a folder must be",
    errno.EEXIST: "has a file where a folder must be",
}
_DISK_FAULTS = _STORAGE_FAULTS | {
    errno.EIO: "fails to be read or written",
    errno.ESTALE: "is no longer what was mounted",
}
"""Also what a disk says of its own failure."""


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it on success, remove it on failure.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays last, since some writers choose the format by it.
        handle, name = tempfile.mkstemp(
            prefix=PARTIAL_PREFIX, suffix="".join(path.suffixes[-2:]), dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_current_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def storage_faults(path: Path) -> Iterator[None]:
    """Turn the operating system's word on a full or closed disk into a StorageError.

    Args:
        path: What is written; the message names its folder.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    with _say_faults(path, _STORAGE_FAULTS):
        yield


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Do as `storage_faults`, and take a failing disk in too: no other than the output's is used.

    Args:
        path: What is written; the message names its folder.

    Raises:
        StorageError: The folder cannot be written, its disk is full, or fails.
    """
    with _say_faults(path, _DISK_FAULTS):
        yield


@contextmanager
def _say_faults(path: Path, faults: Mapping[int, str]) -> Iterator[None]:
    """Turn errors of the operating system into a StorageError in words, where there are some."""
    try:
        yield
    except OSError as error:
        fault = faults.get(error.errno or 0)
        if fault is None:
            raise
        raise StorageError(
            f"{path.parent}: the output folder must be writable, it {fault}."
        ) from error


def _current_umask() -> int:
    """Return the process's umask (there is no way to read it without setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file at once."""
    with writing(path) as temporary:
        temporary.write_bytes(content)


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that must not exist yet, never readable by more than `mode` allows.

    Args:
        path: The file; its folder must exist.
        content: Its bytes.
        mode: Permissions, such as 0o600 for a secret.

    Raises:
        FileExistsError: The file is there already.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)


def is_exposed(path: Path) -> bool:
    """Tell whether others than its owner may do anything with a file: a secret must have 0600."""
    return bool(path.stat().st_mode & 0o077)


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the disk cannot link.

    Args:
        source: A file that is never changed in place.
        target: Its second name, whose folder must exist; what is there is replaced.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    try:
        os.link(source, target)
    except OSError:
        with writing(target) as temporary:
            shutil.copyfile(source, temporary)


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, as given."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: JsonValue) -> None:
    """Write JSON with sorted keys, so that equal values give equal bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> JsonValue:
    """Read a JSON file, by itself or in a pack.

    Raises:
        DataError: The file is missing or is no JSON.
        StaleOutputError: Its pack is not as it was written.
    """
    try:
        value: JsonValue = json.loads(read_file(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name}: file must be readable JSON, got {error}.") from error
    return value


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal; it may lie in a pack."""
    digest = hashlib.sha256()
    with open_file(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_bytes(content: bytes) -> str:
    """Return the sha256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def hash_fast(content: bytes | bytearray | memoryview) -> str:
    """Return the BLAKE3 digest of bytes, in hexadecimal; for what is hashed by the gigabyte.

    Source:
        O'Connor, Aumasson, Neves, Wilcox-O'Hearn, BLAKE3, 2020. It is three times as fast as
        sha256 here and as hard to forge.
    """
    # Imported here: most commands hash nothing by the gigabyte.
    from blake3 import blake3

    return blake3(content).hexdigest()


def hash_stream(read: Callable[[int], bytes], *, head: bytes = b"") -> tuple[str, int]:
    """Return the BLAKE3 digest of bytes that come in pieces, and how many they are.

    Args:
        read: Returns up to so many next bytes, none at the end.
        head: Bytes in front of them that were read already.
    """
    from blake3 import blake3

    digest, n_bytes = blake3(head), len(head)
    while piece := read(_CHUNK):
        digest.update(piece)
        n_bytes += len(piece)
    return digest.hexdigest(), n_bytes
