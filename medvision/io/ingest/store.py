"""Outcomes of jobs, kept between runs: one file per shard, so that shards never meet."""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from medvision.io.ingest.database import drop_database, open_database, open_held_database
from medvision.io.ingest.jobs import Done, Written

_SCHEMA = """
CREATE TABLE outcomes (
    job TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, outcome TEXT NOT NULL, written TEXT NOT NULL
) WITHOUT ROWID
"""
_META = {"shape": "1"}
_NAME = re.compile(r"shard-([0-9]+)-of-([0-9]+)\.sqlite")
_KEY_DIGITS = 15  # Hexadecimal, of a job's key: they decide its shard.
_COMMIT_S = 0.1
"""How long outcomes wait to be kept together: a kill costs no more work than that."""


class Shard(NamedTuple):
    """A part of the jobs: number `number`, from 1, of `total`."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}-of-{self.total}"

    @property
    def bounds(self) -> tuple[str, str]:
        """From which key on, and below which, a job is part of this shard.

        A range and not a remainder: its jobs are found in the index without reading the others.
        """
        low, high = (-(-n * 16**_KEY_DIGITS // self.total) for n in (self.number - 1, self.number))
        # Keys are hexadecimal: all are below "g".
        return f"{low:0{_KEY_DIGITS}x}", "g" if self.number == self.total else f"{high:015x}"

    def holds(self, job: str) -> bool:
        """Say whether a job is part of this shard."""
        low, high = self.bounds
        return low <= job < high


WHOLE = Shard(1, 1)


class Held(NamedTuple):
    """An outcome that is kept, under the fingerprint of what it was made from."""

    fingerprint: str
    outcome: str
    written: tuple[Written, ...]


class Store:
    """The outcomes of one shard, open; those of other divisions are looked up as well.

    Args:
        folder: Where the files of all shards lie.
        shard: Whose outcomes are kept here.

    Raises:
        StorageError: The file cannot be written.
    """

    def __init__(self, folder: Path, shard: Shard) -> None:
        self.shard = shard
        self.path = folder / f"shard-{shard}.sqlite"
        self._connection = open_database(self.path, _SCHEMA, meta=_META)
        self._others = _open_others(folder, shard)
        self._kept_at = time.monotonic()
        self.prepare: Callable[[], None] = _do_nothing
        """Called before outcomes are kept: the images that they name must be on the disk."""

    def close(self) -> None:
        """Keep what was put, and let go."""
        self.commit()
        self._connection.close()
        for other in self._others.values():
            other.close()

    def list_held(self, job: str, fingerprint: str) -> Iterator[Held]:
        """Yield what is known of a job under its fingerprint, this shard's own first.

        Runs that were divided in other ways may have done it too, and later: that their files lie
        elsewhere, or are gone, tells nothing of those of the others.
        """
        for shard, connection in ((self.shard, self._connection), *self._others.items()):
            held = _find(connection, job) if shard.holds(job) else None
            if held is not None and held.fingerprint == fingerprint:
                yield held

    def put(self, job: str, held: Held) -> None:
        """Keep an outcome; its images must be in place."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")
        values = (job, held.fingerprint, held.outcome, json.dumps(held.written))
        self._connection.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?)", values)
        if time.monotonic() - self._kept_at > _COMMIT_S:
            self.commit()

    def commit(self) -> None:
        """Make what was put survive a kill."""
        if self._connection.in_transaction:
            try:
                self.prepare()
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        self._kept_at = time.monotonic()

    def list_jobs(self) -> Iterator[str]:
        """Yield the keys of all jobs, sorted."""
        for (job,) in self._connection.execute("SELECT job FROM outcomes ORDER BY job"):
            yield job

    def read(self, job: str) -> Held:
        """Return the outcome of a job that was put here.

        Raises:
            LookupError: It was not.
        """
        held = _find(self._connection, job)
        if held is None:
            raise LookupError(job)
        return held

    def remove(self, jobs: list[str]) -> None:
        """Forget jobs."""
        self.commit()
        self._connection.executemany("DELETE FROM outcomes WHERE job = ?", [(j,) for j in jobs])

    def drop_others(self) -> None:
        """Remove the files of other divisions: what was of use in them stands here."""
        self.commit()
        for shard, other in self._others.items():
            other.close()
            drop_database(self.path.with_name(f"shard-{shard}.sqlite"))
        self._others = {}


def _open_others(folder: Path, shard: Shard) -> dict[Shard, sqlite3.Connection]:
    """Open the outcomes of runs that were divided in other ways."""
    found = {}
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[2]) == shard.total:
            continue
        connection = open_held_database(path, meta=_META)
        if connection is not None:
            found[Shard(int(match[1]), int(match[2]))] = connection
    return found


def _find(connection: sqlite3.Connection, job: str) -> Held | None:
    """Return what one file holds of a job."""
    query = "SELECT fingerprint, outcome, written FROM outcomes WHERE job = ?"
    row = connection.execute(query, (job,)).fetchone()
    if row is None:
        return None
    return Held(row[0], row[1], tuple(Written(*item) for item in json.loads(row[2])))


def _do_nothing() -> None:
    """Prepare nothing."""


def hold(done: Done, fingerprint: str) -> Held:
    """Return what is kept of a job that was done; one that is not final is done again."""
    return Held(fingerprint if done.is_final else "", done.outcome, done.written)
