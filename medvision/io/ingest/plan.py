"""Which jobs must be done: those whose files, settings or images are not as they were."""

import hashlib
import sqlite3
from collections.abc import Callable, Generator, Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple

from medvision.io.bids.facts import list_companions
from medvision.io.ingest.index import Index, JobStamp
from medvision.io.ingest.jobs import Job, JobFile
from medvision.io.ingest.places import Places
from medvision.io.ingest.store import Shard, Store

_SEVERAL = "~"
"""Begins the batch of a job whose files lie in several archives: it stands alone."""


State = Literal["done", "misplaced", "due"]
"""Nothing to do; its images lie as files and shall lie in packs, or the reverse; to be done."""

_SHARED = """
CREATE TEMP TABLE shared AS SELECT DISTINCT series FROM files AS own
WHERE series != '' AND series >= ? AND series < ? AND image_key != '' AND EXISTS (
    SELECT 1 FROM files AS other WHERE other.subject = own.subject
    AND other.image_key = own.image_key AND other.image_key != ''
    AND other.series != '' AND other.series != own.series
)
"""
"""Jobs of a shard whose UID of the series stands in several studies of one subject."""


class Planned(NamedTuple):
    """A job to be done, without its files.

    Args:
        key: Name of the job.
        batch: Archive whose members must be at hand, "" for none.
        fingerprint: Digest of all that decides the result.
        is_shared: Another study of the subject has a series of the same UID.
    """

    key: str
    batch: str
    fingerprint: str
    is_shared: bool


def plan_jobs(
    index: Index, store: Store, *, source: Path, settings: str, places: Places
) -> tuple[int, int]:
    """Note all jobs of a shard in the index, and which of them must be done.

    Args:
        index: Its temporary table `planned` is made anew.
        store: What is known of earlier runs of its shard; what other divisions know is put here.
        source: Folder of the input.
        settings: Digest of all settings that decide a result.
        places: Where images lie; learns what of the packs must stay.

    Returns:
        (due, all): how many jobs must be done, and how many there are.
    """
    connection = index.connection
    connection.execute("DROP TABLE IF EXISTS temp.planned")
    connection.execute("DROP TABLE IF EXISTS temp.shared")
    connection.execute(
        "CREATE TEMP TABLE planned (job TEXT PRIMARY KEY, batch TEXT, fingerprint TEXT, "
        "is_shared INTEGER, is_due INTEGER, is_misplaced INTEGER) WITHOUT ROWID"
    )
    connection.execute(_SHARED, store.shard.bounds)
    connection.execute("BEGIN")
    n_due = n_all = 0
    for planned in _list_planned(index, store.shard, source=source, settings=settings):
        state = _find_state(planned, store, places)
        marks = state == "due", state == "misplaced"
        connection.execute("INSERT INTO planned VALUES (?, ?, ?, ?, ?, ?)", (*planned, *marks))
        n_due += state == "due"
        n_all += 1
    connection.execute("COMMIT")
    places.close()
    store.commit()
    return n_due, n_all


def _list_planned(index: Index, shard: Shard, *, source: Path, settings: str) -> Iterator[Planned]:
    """Yield the jobs of a shard with what decides their results."""
    shared = {row[0] for row in index.connection.execute("SELECT series FROM shared")}
    for key, stamps in groupby(index.list_stamps(shard.bounds), key=attrgetter("series")):
        digest, parents, n_files = hashlib.sha256(settings.encode()), set(), 0
        for stamp in stamps:
            digest.update(_describe(stamp, index).encode())
            parents.add(stamp.parent)
            n_files += 1
        if n_files == 1:
            digest.update(_describe_companions(stamp.file, index, source).encode())
        parents.discard("")
        batch = f"{_SEVERAL}{key}" if len(parents) > 1 else "".join(parents)
        if key in shared:
            digest.update(b"\nshared")
        yield Planned(key, batch, digest.hexdigest(), key in shared)


def _describe(stamp: JobStamp, index: Index) -> str:
    """Return what must be as it was of one file and, where it is half of a pair, of the other."""
    own = f"\n{stamp.file} {stamp.n_bytes} {stamp.mtime_ns}"
    if not stamp.partner:
        return own
    n_bytes, mtime_ns = index.read_stamp(stamp.partner)
    return f"{own} {stamp.partner} {n_bytes} {mtime_ns}"


def _describe_companions(file: str, index: Index, source: Path) -> str:
    """Return what must be as it was of the files that are read with a NIfTI file."""
    path = index.find_nifti(file)
    companions = [] if path is None else list_companions(source, path)
    return "".join(f"\n{_stamp(companion)}" for companion in companions)


def _stamp(path: Path) -> str:
    """Return size and time of a file, nothing where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _find_state(planned: Planned, store: Store, places: Places) -> State:
    """Say what is to be done of a job; where that is nothing, its outcome stands in the store."""
    known = list(store.list_held(planned.key, planned.fingerprint))
    for held in known:
        if places.are_in_place(held.written):
            store.put(planned.key, held)
            return "done"
    return "misplaced" if any(places.are_there(held.written) for held in known) else "due"


def look_again(index: Index, store: Store, *, places: Places) -> None:
    """Learn what of the packs must stay by now: another process at this shard may have done jobs.

    Args:
        index: Planned by `plan_jobs`.
        store: Of the same shard; what the other process has kept stands there.
        places: Where images lie; what was learnt of them stays learnt.
    """
    query = "SELECT job, fingerprint FROM planned WHERE is_due OR is_misplaced"
    for job, fingerprint in index.connection.execute(query):
        for held in store.list_held(job, fingerprint):
            places.are_in_place(held.written)
    places.close()


def has_codec(connection: sqlite3.Connection) -> bool:
    """Say whether a job that is due runs native code."""
    query = (
        "SELECT 1 FROM planned JOIN files ON files.series = planned.job "
        "WHERE planned.is_due AND files.runs_codec LIMIT 1"
    )
    return connection.execute(query).fetchone() is not None


def list_due(index: Index, *, prepare: Callable[[str], None]) -> Generator[Job, None, None]:
    """Yield the jobs to be done, those of one archive together.

    Args:
        index: Planned by `plan_jobs`.
        prepare: Called with each batch before its first job.
    """
    rows = index.connection.execute(
        "SELECT job, batch, fingerprint, is_shared FROM planned WHERE is_due ORDER BY batch, job"
    )
    earlier = ""
    for key, batch, fingerprint, is_shared in rows:
        if batch != earlier:
            prepare(batch)
            earlier = batch
        files = tuple(JobFile(*row) for row in index.read_members(key))
        yield Job(key, batch, fingerprint, files, is_shared=bool(is_shared))


def list_streamed(connection: sqlite3.Connection, batch: str) -> list[tuple[str, bytes, bytes]]:
    """Return (id, sealed path, sealed path of the archive) of what a batch needs from streams."""
    return connection.execute(
        "SELECT held.file, held.path, archive.path FROM planned "
        "JOIN files AS held ON held.series = planned.job "
        "JOIN files AS archive ON archive.file = held.parent "
        "WHERE planned.batch = ? AND planned.is_due AND archive.layout = 'packed-tar'",
        (batch,),
    ).fetchall()
