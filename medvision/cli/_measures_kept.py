"""Measures kept between runs, by the digest of the image: adding images measures only theirs."""

import json
import sqlite3
import time
import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from types import TracebackType

from medvision import __version__
from medvision.cli._measuring import VERSION, Measured
from medvision.io.ingest.database import (
    database_faults,
    drop_database,
    open_database,
    open_held_database,
)

_SCHEMA = """
CREATE TABLE kept (
    key TEXT PRIMARY KEY, dimensions INTEGER NOT NULL, measures TEXT NOT NULL, note TEXT NOT NULL,
    thumbnail BLOB NOT NULL, picture BLOB NOT NULL
) WITHOUT ROWID
"""
_ADOPT = "INSERT OR IGNORE INTO kept VALUES (?, ?, ?, ?, ?, ?)"
_META = {"measures": VERSION, "version": __version__}
_COMMIT_S = 0.2
"""How long results wait to be kept together: a kill costs no more work than that."""


class Kept:
    """The measures known, open; what could not be read is never kept, and tried again.

    Args:
        path: The file; mode 0600, may be deleted.

    Raises:
        StorageError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection = open_database(path, _SCHEMA, meta=_META)
        self._kept_at = time.monotonic()

    def __enter__(self) -> "Kept":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._commit()
        self._connection.close()

    def find_keys(self) -> set[str]:
        """Return the keys of all that is kept."""
        return {key for (key,) in self._connection.execute("SELECT key FROM kept")}

    def read(self, key: str) -> Measured:
        """Return what is kept under a key.

        Raises:
            LookupError: Nothing is.
        """
        query = "SELECT measures, dimensions, thumbnail, picture, note FROM kept WHERE key = ?"
        row = self._connection.execute(query, (key,)).fetchone()
        if row is None:
            raise LookupError(key)
        thumbnail, picture = (zlib.decompress(blob) for blob in row[2:4])
        return Measured(json.loads(row[0]), row[1], thumbnail, picture, note=row[4])

    def put(self, key: str, measured: Measured) -> None:
        """Keep a result."""
        with database_faults(self._path):
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN")
            blobs = [zlib.compress(blob, 1) for blob in (measured.thumbnail, measured.picture)]
            texts = (json.dumps(measured.values), measured.note)
            query = "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?, ?)"
            self._connection.execute(query, (key, measured.dimensions, *texts, *blobs))
            if time.monotonic() - self._kept_at > _COMMIT_S:
                self._commit()

    def adopt(self, paths: Iterable[Path]) -> None:
        """Take over what shards have kept, and remove their files.

        Args:
            paths: Of shards; one that is broken, or of another version, is left out and removed.
        """
        for path in paths:
            other = open_held_database(path, meta=_META)
            if other is not None:
                with closing(other), database_faults(self._path):
                    self._commit()
                    self._connection.execute("BEGIN")
                    self._connection.executemany(_ADOPT, other.execute("SELECT * FROM kept"))
                    self._commit()
            drop_database(path)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop what belongs to no image any more."""
        with database_faults(self._path):
            self._connection.executemany("DELETE FROM kept WHERE key = ?", [(key,) for key in keys])

    def _commit(self) -> None:
        """Make what was put survive a kill."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._kept_at = time.monotonic()


def find_kept(path: Path) -> set[str]:
    """Return the keys of all that a file keeps, which others may read as well; none without it.

    Args:
        path: The file.
    """
    held = open_held_database(path, meta=_META)
    if held is None:
        return set()
    with closing(held):
        return {key for (key,) in held.execute("SELECT key FROM kept")}
