"""Images that lie the other way than they shall: brought into packs or out, not converted again."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from medvision.errors import StaleOutputError
from medvision.io.ingest.index import Index
from medvision.io.ingest.jobs import Done, Written
from medvision.io.ingest.places import Places
from medvision.io.ingest.store import Held, Store
from medvision.runtime.files import writing
from medvision.runtime.packs import Member, open_member
from medvision.runtime.progress import track

_CHUNK = 1 << 20

_log = logging.getLogger(__name__)


def move_misplaced(
    index: Index, store: Store, places: Places, *, move: Callable[[Done], Done]
) -> int:
    """Bring to where they shall lie the images of jobs that need not be done for anything else.

    Where they lay they stay until shards are gathered: a kill meanwhile loses none.

    Args:
        index: Planned by `plan_jobs`; what was damaged is noted there as due.
        store: Of the shard; keeps where images lie now.
        places: Where images shall lie.
        move: Writes the images of a job anew where they shall lie.

    Returns:
        How many jobs are due besides, since their images are not as they were written.

    Raises:
        StorageError: The output cannot be written.
    """
    connection, damaged, n_moved = index.connection, [], 0
    (total,) = connection.execute("SELECT COUNT(*) FROM planned WHERE is_misplaced").fetchone()
    query = "SELECT job, fingerprint FROM planned WHERE is_misplaced ORDER BY job"
    rows = connection.execute(query)
    for job, fingerprint in track(rows, "moving images", total=total) if total else rows:
        known = list(store.list_held(job, fingerprint))
        # Another process at this shard may have done it since.
        held = next((one for one in known if places.are_in_place(one.written)), None)
        if held is None:
            held = next((one for one in known if _is_whole(one, places.images)), None)
            if held is None:
                damaged.append((job,))
                continue
            done = move(Done(held.outcome, held.written, is_final=True))
            held = held._replace(written=done.written)
            n_moved += 1
        store.put(job, held)
    places.close()
    connection.executemany("UPDATE planned SET is_due = 1 WHERE job = ?", damaged)
    if n_moved:
        _log.info("ingest: images of %d series moved, not converted again", n_moved)
    return len(damaged)


def move_out(images: Path, item: Written) -> Written:
    """Write a member of a pack as a file by itself.

    Args:
        images: Folder of both.
        item: The member.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    path = images / item.name
    with writing(path) as temporary, _open(images, item) as stream, temporary.open("wb") as copy:
        while piece := stream.read(_CHUNK):
            copy.write(piece)
    return item._replace(mtime_ns=path.stat().st_mtime_ns, pack="", offset=0, crc=0)


def _is_whole(held: Held, images: Path) -> bool:
    """Tell whether the images of a job have the bytes that were written: headers tell too little.

    A damaged one would look sound where it is moved to.
    """
    try:
        return all(_hash(images, item) == item.digest for item in held.written)
    except (OSError, StaleOutputError):
        return False


def _hash(images: Path, item: Written) -> str:
    """Return the sha256 of an image or sidecar where it lies now."""
    digest = hashlib.sha256()
    with _open(images, item) as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _open(images: Path, item: Written) -> BinaryIO:
    """Open an image or sidecar where it lies now."""
    if item.pack:
        return open_member(Member(images / item.pack, item.entry))
    return cast(BinaryIO, (images / item.name).open("rb", buffering=0))
