"""SQLite files of what can be made again: private, and made anew where they are of no use."""

import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from medvision.errors import StorageError
from medvision.runtime.files import PARTIAL_PREFIX, storage_faults

_log = logging.getLogger(__name__)

_PATIENCE_S = 60.0
_BROKEN = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_FULL = ("SQLITE_FULL",)
_PROBE_BYTES = 1 << 16
_META = "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"


def open_database(path: Path, schema: str, *, meta: Mapping[str, str]) -> sqlite3.Connection:
    """Open a database for writing; one that is broken, or was made for something else, is dropped.

    Args:
        path: The file; mode 0600.
        schema: SQL that makes its tables.
        meta: What it must have been made for.

    Raises:
        StorageError: It cannot be written.
    """
    with storage_faults(path), database_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and (reason := _find_fault(path, meta)):
            _log.info("%s: made anew, since it %s.", path.name, reason)
            drop_database(path)
        is_new = not path.exists()
        # Made before SQLite opens it, so that it never exists with another mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = _connect(path)
        if is_new:
            _create(connection, schema, meta)
        return connection


def open_held_database(path: Path, *, meta: Mapping[str, str]) -> sqlite3.Connection | None:
    """Open a database for reading alone; None where there is none, or none of use."""
    if not path.is_file() or _find_fault(path, meta):
        return None
    return _connect(path)


def drop_database(path: Path) -> None:
    """Remove a database and its journal."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def database_faults(path: Path) -> Iterator[None]:
    """Turn SQLite's word on a full, closed or broken file into a StorageError.

    Args:
        path: The database; the message names its folder.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", None) or type(error).__name__
        if name.startswith(_BROKEN):
            raise StorageError(
                f"{path.name}: file must be a whole database, got {name}.",
                "remove it and run again: it is made anew.",
            ) from error
        _probe(path.parent)
        fault = "has no space left" if name.startswith(_FULL) else f"answered {name}"
        raise StorageError(
            f"{path.parent}: the output folder must be writable, it {fault}."
        ) from error


def _probe(folder: Path) -> None:
    """Write a little beside a database that could not be written: the system's word says more.

    Raises:
        StorageError: That cannot be written either.
    """
    with (
        storage_faults(folder / "probe"),
        tempfile.NamedTemporaryFile(prefix=PARTIAL_PREFIX, dir=folder) as stream,
    ):
        stream.write(bytes(_PROBE_BYTES))
        stream.flush()


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file in which every statement stands for itself unless a transaction is begun."""
    connection = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA temp_store=FILE")
    connection.execute("PRAGMA cache_size=-32768")
    return connection


def _create(connection: sqlite3.Connection, schema: str, meta: Mapping[str, str]) -> None:
    """Make the tables in one transaction: a database is whole or has none."""
    connection.execute("BEGIN")
    connection.execute(_META)
    for statement in schema.split(";"):
        connection.execute(statement)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", sorted(meta.items()))
    connection.execute("COMMIT")


def _find_fault(path: Path, meta: Mapping[str, str]) -> str:
    """Return why an existing database is of no use, "" where it is."""
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE_S)) as connection:
            if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return "was broken"
            held = dict(connection.execute("SELECT name, value FROM meta"))
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", None) or ""
        # No table: it was killed at birth.
        if name.startswith(_BROKEN) or name == "SQLITE_ERROR":
            return "was broken or unfinished"
        raise
    differing = [name for name, value in meta.items() if held.get(name) != value]
    return f"was made with another {', '.join(differing)}" if differing else ""
