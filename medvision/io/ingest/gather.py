"""What came of all jobs, gathered into manifest, rejects and sources; sorted, in bounded memory."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from medvision.errors import DataError
from medvision.io.ingest.codec import decode_outcome, decode_verdict
from medvision.io.ingest.image import MANIFEST_COLUMNS
from medvision.io.ingest.index import Index
from medvision.io.ingest.packed import finish_packs
from medvision.io.ingest.places import Places
from medvision.io.ingest.store import Store
from medvision.io.ingest.verdict import Outcome, Verdict
from medvision.io.tables import Row, write_table
from medvision.layout import Layout
from medvision.runtime.packs import INDEX

REJECTS_COLUMNS = ("file", "reason", "detail", "subject", "image_key")
SOURCES_COLUMNS = ("file", "digest", "bytes", "verdict", "reason", "image_id")

_SCHEMA = """
CREATE TEMP TABLE results (
    file TEXT PRIMARY KEY, verdict TEXT, reason TEXT, detail TEXT, image_id TEXT, digest TEXT
) WITHOUT ROWID;
CREATE TEMP TABLE images (image_id TEXT PRIMARY KEY, held TEXT) WITHOUT ROWID;
CREATE TEMP TABLE written (
    name TEXT PRIMARY KEY, digest TEXT, pack TEXT, offset INTEGER, n_bytes INTEGER, crc INTEGER
) WITHOUT ROWID
"""
_NO_VERDICT = Verdict("refused", "undecodable", "file must get a verdict, got none")


@dataclass
class Tally:
    """Counts taken while the tables are written.

    Args:
        verdicts: Number of files per verdict.
        reasons: Number of files per reason, "" for what was converted.
        refused: Number of refused files per reason.
        subjects: Subjects with an image.
        n_images: Images written.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    subjects: set[str] = field(default_factory=set)
    n_images: int = 0


def gather_outcomes(index: Index, store: Store, *, places: Places) -> None:
    """Lay out what came of every job in temporary tables, and remove all images of no job.

    Packs get their directories and their index.

    Args:
        index: Its temporary table `planned` names the jobs.
        store: Holds an outcome for each of them; those of others are forgotten.
        places: Where the images lie.

    Raises:
        StorageError: The packs cannot be finished.
        DataError: Two series claim one name of an image.
    """
    connection = index.connection
    for statement in _SCHEMA.split(";"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{statement.split()[3]}")
        connection.execute(statement)
    connection.execute("BEGIN")
    gone = []
    for job in store.list_jobs():
        if connection.execute("SELECT 1 FROM planned WHERE job = ?", (job,)).fetchone() is None:
            gone.append(job)
    store.remove(gone)
    for (job,) in connection.execute("SELECT job FROM planned ORDER BY job"):
        held = store.read(job)
        try:
            _lay_out(decode_outcome(held.outcome), connection)
            connection.executemany(
                "INSERT INTO written VALUES (?, ?, ?, ?, ?, ?)",
                [(w.name, w.digest, w.pack, w.offset, w.n_bytes, w.crc) for w in held.written],
            )
        except sqlite3.IntegrityError:
            raise DataError(
                "ingest: names of images must differ, got one for the images of two series.",
                "this is a defect of medvision; leave ingest.key out to have other names.",
            ) from None
    connection.execute("COMMIT")
    if places.kind == "packs":
        finish_packs(connection, places.images)
    _remove_others(connection, places)


def count_refused(store: Store) -> Counter[str]:
    """Return the number of refused files per reason among what a shard's store holds.

    Args:
        store: Open; what is no longer among the input is counted until it is gathered.
    """
    verdicts = (
        held
        for job in store.list_jobs()
        for held in decode_outcome(store.read(job).outcome).files.values()
    )
    return Counter(held.reason for held in verdicts if held.verdict == "refused")


def _lay_out(outcome: Outcome, connection: sqlite3.Connection) -> None:
    """Put one outcome into the temporary tables."""
    connection.executemany(
        "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                file,
                held.verdict,
                held.reason,
                held.detail,
                outcome.images.get(file, ""),
                outcome.digests.get(file),
            )
            for file, held in outcome.files.items()
        ],
    )
    connection.executemany(
        "INSERT INTO images VALUES (?, ?)",
        [(row["image_id"], json.dumps(row)) for row in outcome.rows],
    )


def _remove_others(connection: sqlite3.Connection, places: Places) -> None:
    """Remove files that no job has written: those of vanished series, and half-written ones."""
    kept = {row[0] for row in connection.execute("SELECT DISTINCT pack FROM written")}
    if places.kind == "packs":
        kept.add(INDEX)
    for path in places.images.iterdir() if places.images.is_dir() else ():
        query = "SELECT 1 FROM written WHERE name = ? AND pack = ''"
        if path.name in kept or connection.execute(query, (path.name,)).fetchone() is not None:
            continue
        path.unlink()


def write_tables(index: Index, layout: Layout) -> Tally:
    """Write sources, rejects and, where there is one image at least, the manifest.

    Args:
        index: After `gather_outcomes`.
        layout: Where they lie.

    Returns:
        Counts.
    """
    tally = Tally()
    write_table(layout.sources, _list_sources(index.connection, tally), columns=SOURCES_COLUMNS)
    write_table(layout.rejects, _list_rejects(index.connection), columns=REJECTS_COLUMNS)
    if index.connection.execute("SELECT 1 FROM images").fetchone() is not None:
        write_table(
            layout.manifest, _list_images(index.connection, tally), columns=MANIFEST_COLUMNS
        )
    return tally


def list_written(index: Index) -> Iterator[tuple[str, str]]:
    """Yield name and sha256 of every image and sidecar, sorted by name."""
    yield from index.connection.execute("SELECT name, digest FROM written ORDER BY name")


def _list_sources(connection: sqlite3.Connection, tally: Tally) -> Iterator[Row]:
    """Yield one row per file, sorted by id, and count."""
    for row, _, _ in _join(connection):
        tally.verdicts[row["verdict"]] += 1
        tally.reasons[row["reason"]] += 1
        if row["verdict"] == "refused":
            tally.refused[row["reason"]] += 1
        yield row


def _list_rejects(connection: sqlite3.Connection) -> Iterator[Row]:
    """Yield one row per refused file, sorted by id."""
    for row, subject, image_key in _join(connection):
        if row["verdict"] == "refused":
            yield {**row, "subject": subject, "image_key": image_key}


def _join(connection: sqlite3.Connection) -> Iterator[tuple[Row, str, str]]:
    """Yield what became of every file, with its subject and image key, sorted by id."""
    rows = connection.execute(
        "SELECT files.file, COALESCE(results.digest, files.digest), n_bytes, series, content, "
        "results.verdict, reason, detail, image_id, subject, image_key "
        "FROM files LEFT JOIN results ON results.file = files.file ORDER BY files.file"
    )
    for file, digest, n_bytes, series, content, *result, subject, image_key in rows:
        verdict = _choose_verdict(series, content, result[:3])
        is_used = verdict.verdict in ("converted", "duplicate")
        row = {
            "file": file,
            "digest": digest,
            "bytes": str(n_bytes),
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "detail": verdict.detail,
            "image_id": result[3] if is_used else "",
        }
        yield row, subject, image_key


def _choose_verdict(series: str, content: str, result: list[str | None]) -> Verdict:
    """Return what a job said of a file, or else what its first look said."""
    verdict, reason, detail = result
    if verdict is not None:
        return Verdict(verdict, reason or "", detail or "")
    return _NO_VERDICT if series else decode_verdict(content)


def _list_images(connection: sqlite3.Connection, tally: Tally) -> Iterator[Row]:
    """Yield the rows of the manifest, sorted by image, and count."""
    for (held,) in connection.execute("SELECT held FROM images ORDER BY image_id"):
        row: Row = json.loads(held)
        tally.n_images += 1
        tally.subjects.add(row["subject"])
        yield row
