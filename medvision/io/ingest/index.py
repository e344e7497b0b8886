"""The index: one row per file of the input, kept between runs, so that only changes are read."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from medvision import __version__
from medvision.errors import DataError, StaleOutputError
from medvision.io.ingest.codec import SHAPE
from medvision.io.ingest.database import open_database, open_held_database
from medvision.io.ingest.entry import Entry, Sealer
from medvision.io.ingest.scanner import Scanner
from medvision.io.ingest.walk import Found
from medvision.runtime.files import hash_bytes

_COLUMNS = ", ".join(Entry._fields)
_SCHEMA = """
CREATE TABLE files (
    file TEXT PRIMARY KEY, parent TEXT NOT NULL, path BLOB NOT NULL, n_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, series TEXT NOT NULL, partner TEXT NOT NULL, subject TEXT NOT NULL,
    image_key TEXT NOT NULL, runs_codec INTEGER NOT NULL, digest TEXT NOT NULL,
    layout TEXT NOT NULL, content TEXT NOT NULL
);
CREATE INDEX jobs ON files (series, file, n_bytes, mtime_ns, parent, partner) WHERE series != '';
CREATE INDEX images ON files (subject, image_key, series) WHERE image_key != '' AND series != '';
CREATE INDEX members ON files (parent) WHERE parent != '';
CREATE INDEX archives ON files (layout) WHERE layout != ''
"""
_PUT = (
    f"INSERT INTO files ({_COLUMNS}) VALUES ({', '.join('?' * len(Entry._fields))}) "  # noqa: S608 - constants alone
    "ON CONFLICT (file) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in Entry._fields if name != "file")
    + " WHERE files.path = excluded.path"
)
_COMPLETE = "complete"


class JobStamp(NamedTuple):
    """A file of a job, as far as it decides whether the job must be done again."""

    series: str
    file: str
    n_bytes: int
    mtime_ns: int
    parent: str
    partner: str


def describe_index(scanner: Scanner) -> dict[str, str]:
    """Return what an index must have been made for, without telling a name."""
    sealer = Sealer(scanner.names.key)
    settings = {
        "kinds": sorted(scanner.kinds),
        "masks": sorted(hash_bytes(sealer.seal(str(mask))) for mask in scanner.masks),
        "opens_archives": scanner.opens_archives,
        "limit": scanner.limit,
        "is_bids": scanner.is_bids,
    }
    return {
        "key": scanner.names.key_id,
        "input": hash_bytes(sealer.seal(str(scanner.source.resolve())))[:16],
        "settings": hash_bytes(json.dumps(settings, sort_keys=True).encode())[:16],
        "version": __version__,
        "shape": hash_bytes(f"2 {_COLUMNS} {SHAPE}".encode())[:16],
    }


class Index:
    """The index of one input, open.

    Args:
        connection: Its database.
        key: The secret of the pseudonyms, which hides paths.
    """

    def __init__(self, connection: sqlite3.Connection, key: bytes) -> None:
        self.connection = connection
        self._sealer = Sealer(key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.connection.in_transaction:
            # What was read is kept: a rerun goes on from there.
            self.connection.execute("COMMIT" if self._is_sound(error) else "ROLLBACK")
        self.connection.close()

    @staticmethod
    def _is_sound(error: BaseException | None) -> bool:
        """Say whether what was written so far may be kept."""
        return not isinstance(error, sqlite3.Error)

    def begin_walk(self) -> None:
        """Forget what earlier walks saw."""
        self.connection.execute("DROP TABLE IF EXISTS temp.seen")
        self.connection.execute("CREATE TEMP TABLE seen (file TEXT PRIMARY KEY) WITHOUT ROWID")
        self.connection.execute("DELETE FROM meta WHERE name = ?", (_COMPLETE,))
        self.connection.execute("BEGIN")

    def choose_changed(self, files: Sequence[tuple[str, Found]]) -> list[Found]:
        """Note files as seen; return those that are new or changed.

        Args:
            files: (id, file), at most a few thousand.

        Raises:
            DataError: Two files have one id.
        """
        try:
            self.connection.executemany("INSERT INTO seen VALUES (?)", [(f,) for f, _ in files])
        except sqlite3.IntegrityError:
            raise _describe_clash() from None
        marks = ", ".join("?" * len(files))
        held = {
            row[0]: row[1:]
            for row in self.connection.execute(
                f"SELECT file, n_bytes, mtime_ns, path FROM files WHERE file IN ({marks})",  # noqa: S608 - marks alone
                [file for file, _ in files],
            )
        }
        return [item for file, item in files if not self._is_held(held.get(file), item)]

    def _is_held(self, row: tuple[int, int, bytes] | None, item: Found) -> bool:
        """Say whether the index holds a file as it is."""
        if row is None or item.mtime_ns < 0 or row[:2] != (item.n_bytes, item.mtime_ns):
            return False
        return row[2] == self._sealer.seal(item.path)

    def put(self, entries: Sequence[Entry]) -> None:
        """Add or replace entries; an archive's members go with its old entry.

        Raises:
            DataError: Two files have one id.
        """
        own = [(entry.file,) for entry in entries if not entry.parent]
        self.connection.executemany("DELETE FROM files WHERE parent = ? AND parent != ''", own)
        if self.connection.executemany(_PUT, entries).rowcount != len(entries):
            raise _describe_clash()

    def commit(self) -> None:
        """Keep what was put so far, whatever happens."""
        self.connection.execute("COMMIT")
        self.connection.execute("BEGIN")

    def end_walk(self) -> None:
        """Remove the entries of files that are gone."""
        self.connection.execute(
            "DELETE FROM files WHERE CASE parent WHEN '' THEN file ELSE parent END "
            "NOT IN (SELECT file FROM seen)"
        )
        self.connection.execute("INSERT INTO meta VALUES (?, '1')", (_COMPLETE,))
        self.connection.execute("COMMIT")

    def is_complete(self) -> bool:
        """Say whether the last walk came to its end."""
        found = self.connection.execute("SELECT 1 FROM meta WHERE name = ?", (_COMPLETE,))
        return found.fetchone() is not None

    def count_files(self) -> int:
        """Return the number of files and members."""
        return int(self.connection.execute("SELECT COUNT(*) FROM files").fetchone()[0])

    def list_stamps(self, bounds: tuple[str, str]) -> Iterator[JobStamp]:
        """Yield the files of all jobs within bounds, job by job, sorted.

        Args:
            bounds: From which key on, and below which.
        """
        rows = self.connection.execute(
            "SELECT series, file, n_bytes, mtime_ns, parent, partner FROM files "
            "WHERE series != '' AND series >= ? AND series < ? ORDER BY series, file",
            bounds,
        )
        yield from map(JobStamp._make, rows)

    def read_stamp(self, file: str) -> tuple[int, int]:
        """Return size and time of a file, -1 where there is none."""
        row: tuple[int, int] | None = self.connection.execute(
            "SELECT n_bytes, mtime_ns FROM files WHERE file = ?", (file,)
        ).fetchone()
        return row or (-1, -1)

    def read_members(self, series: str) -> Iterable[tuple[str, str, str, str]]:
        """Yield (id, path, content, partner) of the files of a job, sorted by id."""
        rows = self.connection.execute(
            "SELECT file, path, content, partner FROM files WHERE series = ? ORDER BY file",
            (series,),
        )
        for file, sealed, content, partner in rows:
            yield file, self._sealer.unseal(sealed), content, partner

    def find_nifti(self, file: str) -> str | None:
        """Return the path of a NIfTI file that is no member, None for any other file."""
        query = "SELECT path FROM files WHERE file = ? AND parent = '' AND content = ''"
        row = self.connection.execute(query, (file,)).fetchone()
        return None if row is None else self._sealer.unseal(row[0])

    def list_paths(self, parent: str) -> Iterator[str]:
        """Yield the paths of the members of an archive, or of all files of their own for ""."""
        query = "SELECT path FROM files WHERE parent = ? ORDER BY file"
        for (sealed,) in self.connection.execute(query, (parent,)):
            yield self._sealer.unseal(sealed)

    def list_archives(self) -> list[tuple[str, str]]:
        """Return id and layout of every archive, sorted."""
        query = "SELECT file, layout FROM files WHERE layout != '' ORDER BY file"
        return self.connection.execute(query).fetchall()

    def find_path(self, file: str) -> str | None:
        """Return the path behind an id, None where the index does not hold it."""
        row = self.connection.execute("SELECT path FROM files WHERE file = ?", (file,)).fetchone()
        return None if row is None else self._sealer.unseal(row[0])


def open_index(path: Path, scanner: Scanner) -> Index:
    """Open the index of an input; one of another input or with other settings is dropped.

    Args:
        path: Its file.
        scanner: What it is made for.

    Raises:
        StorageError: It cannot be written.
    """
    connection = open_database(path, _SCHEMA, meta=describe_index(scanner))
    return Index(connection, scanner.names.key)


def open_complete_index(path: Path, scanner: Scanner) -> Index:
    """Open the index of an input as an earlier run left it.

    Args:
        path: Its file.
        scanner: What it must have been made for.

    Raises:
        StaleOutputError: There is none, or it is not complete.
    """
    connection = open_held_database(path, meta=describe_index(scanner))
    if connection is not None:
        index = Index(connection, scanner.names.key)
        if index.is_complete():
            return index
        connection.close()
    raise StaleOutputError(
        f"{path.name}: index must be complete and of this input and settings, got none.",
        "run `medvision ingest --index-only` first.",
    )


def locate_file(path: Path, file: str, *, key: bytes) -> str | None:
    """Return the path behind an id as any index tells it, None where none does.

    Args:
        path: The file of the index.
        file: Pseudonymous id.
        key: The secret of the pseudonyms.
    """
    from cryptography.exceptions import InvalidTag

    if not path.is_file():
        return None
    try:
        with Index(sqlite3.connect(path, timeout=1.0), key) as index:
            return index.find_path(file)
    except (sqlite3.DatabaseError, InvalidTag):
        return None


def _describe_clash() -> DataError:
    """Return the error of two files whose ids are equal by chance."""
    return DataError(
        "data.path: files must have ids of their own, got one id for two of them.",
        "leave ingest.key out, so that another key gives other ids, or rename a file.",
    )
