"""Where the jobs of a shard write, and what becomes of that: it stays there, or goes to a pack."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from medvision.io.ingest.jobs import Done
from medvision.io.ingest.moving import move_out
from medvision.io.ingest.packer import Packer
from medvision.io.ingest.places import Places
from medvision.io.ingest.store import Store
from medvision.layout import Layout
from medvision.runtime.files import storage_faults

_PREFIX = "packing-"


@dataclass(frozen=True)
class Dock:
    """What a run of a shard hands to its jobs, and what it does with their results.

    Args:
        layout: Where images are written.
        take: Brings what a job wrote to where it shall lie, and says where that is.
        move: Writes images that lie the other way to where they shall lie, and says as much.
    """

    layout: Layout
    take: Callable[[Done], Done]
    move: Callable[[Done], Done]


@contextmanager
def open_dock(
    places: Places, store: Store, *, layout: Layout, look_again: Callable[[], None]
) -> Iterator[Dock]:
    """Make ready for the jobs of a shard; nothing is left of it but what is in place.

    Args:
        places: Where images shall lie, and what of the packs must stay.
        store: Outcomes; none is kept before its images are on the disk.
        layout: Of the study.
        look_again: Has `places` learn what another process at this shard has done since.

    Raises:
        StorageError: The output cannot be written.
    """
    if places.kind == "files":
        yield Dock(layout, lambda done: done, partial(_move_out, places.images))
        return
    with storage_faults(layout.ingest_spool / _PREFIX):
        layout.ingest_spool.mkdir(parents=True, exist_ok=True)
        # Of its own: two processes may be at one shard.
        staging = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=layout.ingest_spool))
    own = replace(layout, root=staging)

    def find_end(pack: str) -> int:
        look_again()
        return places.ends.get(pack, 0)

    packer = Packer(places.images, str(store.shard), find_end)
    store.prepare = packer.sync
    try:
        yield Dock(
            own,
            lambda done: packer.take(done, own.images),
            lambda done: packer.copy(done, places.images),
        )
    finally:
        try:
            # Also of a run that fails: while the pack can be brought to the disk, and before
            # another process may have it.
            store.commit()
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            packer.close()


def _move_out(images: Path, done: Done) -> Done:
    """Write the images of a job as files by themselves."""
    return replace(done, written=tuple(move_out(images, item) for item in done.written))


def clear_docks(layout: Layout) -> None:
    """Remove what killed runs left; no shard may be at work."""
    for folder in layout.ingest_spool.glob(f"{_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)
