"""The folder that a bucket is fetched into: what lies there whole, and what stands in the way."""

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import NoReturn

from medvision.errors import StorageError
from medvision.io.bucket.client import Item
from medvision.io.deidentify import Pseudonymiser
from medvision.runtime.files import PARTIAL_PREFIX, storage_faults


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the ledger says of a file.

    Args:
        etag: The server's name for its bytes.
        digest: BLAKE3 of it, in hexadecimal.
        mtime_ns: When it was written, nanoseconds.
    """

    etag: str
    digest: str
    mtime_ns: int


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
    _known: dict[str, _Entry] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        with storage_faults(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = self.ledger.read_text("ascii").splitlines() if self.ledger.is_file() else []
        for line in lines:
            # A kill may have torn a line.
            parts = line.split("\t")
            if len(parts) == 5 and parts[4] == "end":
                self._known[parts[0]] = _Entry(parts[1], parts[2], int(parts[3]))

    @contextmanager
    def faults(self, name: str = "") -> Iterator[None]:
        """Turn what the disk says of a file into an error without the file's name.

        Args:
            name: Key below the prefix; raw, told as its pseudonym. Empty for no certain file.

        Raises:
            StorageError: Whatever the operating system said.
        """
        try:
            with storage_faults(self.root):
                yield
        except StorageError as error:
            raise StorageError(error.message, error.hint) from None
        except OSError as error:
            code = errno.errorcode.get(error.errno or 0, type(error).__name__)
            what = f"file {self.names.file_id(name)}" if name else "the archive"
            message = f"{self.root.parent}: the disk must hold {what}, got {code}."
            raise StorageError(message) from None

    def find_digest(self, item: Item) -> str:
        """Return the digest of an object that is here already, whole; "" where it is not.

        A file that was written since it came is not it, whatever its size.
        """
        entry = self._known.get(self.names.file_id(item.name))
        path = self.root / item.name
        with self.faults(item.name):
            if entry is None or entry.etag != _print(item.etag) or not path.is_file():
                return ""
            held = path.stat()
        is_it = (held.st_size, held.st_mtime_ns) == (item.size, entry.mtime_ns)
        return entry.digest if is_it else ""

    def note(self, item: Item, digest: str) -> None:
        """Note a file that came whole and has its place, in one write."""
        mtime_ns = (self.root / item.name).stat().st_mtime_ns
        file = self.names.file_id(item.name)
        line = f"\n{file}\t{_print(item.etag)}\t{digest}\t{mtime_ns}\tend"
        with self._lock:
            handle = os.open(self.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line.encode("ascii"))
            finally:
                os.close(handle)

    def tidy(self, *, listed: Collection[str] | None = None) -> dict[str, int]:
        """Remove what a killed fetch left half-written, and folders that hold nothing.

        Args:
            listed: Keys of the objects there are; files of other names are deleted too. None
                deletes none.

        Returns:
            Name and size of each file that is left.

        Raises:
            StorageError: The disk does not do as it is asked.
        """
        left: dict[str, int] = {}
        with self.faults():
            for folder, _, names in os.walk(self.root, topdown=False, onerror=_raise):
                for path in (Path(folder, name) for name in names):
                    key = path.relative_to(self.root).as_posix()
                    is_other = listed is not None and key not in listed
                    if is_other or path.name.startswith(PARTIAL_PREFIX):
                        path.unlink(missing_ok=True)
                    else:
                        left[key] = path.lstat().st_size
                if Path(folder) != self.root and not any(os.scandir(folder)):
                    Path(folder).rmdir()
        return left


def _raise(error: OSError) -> NoReturn:
    """Let `os.walk` pass over no folder that cannot be read."""
    raise error


def _print(etag: str) -> str:
    """Return an ETag without what could break a line of the ledger."""
    return "".join(letter for letter in etag if letter.isalnum() or letter == "-")
