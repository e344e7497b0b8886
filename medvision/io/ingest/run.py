"""A folder of raw files turned into checked, de-identified images, each file accounted for."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from medvision import __version__
from medvision.errors import DataError
from medvision.io.bids.entities import is_bids
from medvision.io.deidentify import Pseudonymiser, read_or_create_key
from medvision.io.ingest.database import database_faults
from medvision.io.ingest.dock import clear_docks, open_dock
from medvision.io.ingest.gather import (
    Tally,
    count_refused,
    gather_outcomes,
    list_written,
    write_tables,
)
from medvision.io.ingest.index import Index, open_complete_index, open_index
from medvision.io.ingest.jobs import do_job, give_up
from medvision.io.ingest.moving import move_misplaced
from medvision.io.ingest.places import Places
from medvision.io.ingest.plan import has_codec, list_due, look_again, plan_jobs
from medvision.io.ingest.pool import map_in_order
from medvision.io.ingest.refresh import refresh_index
from medvision.io.ingest.scanner import Scanner
from medvision.io.ingest.settings import IngestSettings, IngestSummary
from medvision.io.ingest.sources import Sources
from medvision.io.ingest.spool import Spool
from medvision.io.ingest.store import WHOLE, Shard, Store, hold
from medvision.io.ingest.workshop import Workshop
from medvision.layout import Layout
from medvision.runtime.files import PARTIAL_PREFIX, hash_bytes, storage_faults
from medvision.runtime.progress import track

_GB = 1_000_000_000
_MANY_JOBS = 4


def ingest_folder(source: Path, layout: Layout, *, settings: IngestSettings) -> IngestSummary:
    """Convert every image below a folder and account for every file.

    Only what is new or changed since the last run is read; the tables and images are the same
    bytes as if all had been. One image that cannot be used never stops the rest: it stands in the
    table of rejects. Memory is bounded by the largest series, per worker.

    Args:
        source: Folder of the input; file names and folders carry no meaning for DICOM.
        layout: Where the manifest, the rejects, the sources and the images are written.
        settings: How.

    Returns:
        Counts for the summary.

    Raises:
        DataError: The folder is missing, unreadable, empty, or holds nothing usable; in the last
            case the rejects and the sources are written first.
        ConfigError: No process can be started.
        StorageError: The output cannot be written.
    """
    _clear_tables(layout)
    with _open_index(source, layout, settings) as (index, scanner):
        refresh_index(index, scanner, without=layout.root, workers=settings.workers)
        n_files = _count_files(index, source)
        _clear_partial(layout)
        with _open_store(layout, WHOLE) as store:
            n_done, _ = _convert_due(index, store, scanner, layout=layout, settings=settings)
            gather_outcomes(index, store, places=Places(layout.images, settings.images))
            store.drop_others()
        tally = write_tables(index, layout)
        if not tally.n_images:
            raise _describe_no_image(tally)
        return IngestSummary(
            n_files=n_files,
            n_images=tally.n_images,
            n_subjects=len(tally.subjects),
            n_done=n_done,
            verdicts=dict(sorted(tally.verdicts.items())),
            refused=dict(sorted(tally.refused.items())),
            key_id=scanner.names.key_id,
            written=tuple(list_written(index)),
        )


def index_folder(source: Path, layout: Layout, *, settings: IngestSettings) -> int:
    """Bring the index up to date and convert nothing; the first of three steps with shards.

    Args:
        source: Folder of the input.
        layout: Where the index lies.
        settings: How.

    Returns:
        Number of files, members of archives included.

    Raises:
        DataError: The folder is missing, unreadable or empty.
        ConfigError: No process can be started.
        StorageError: The index cannot be written.
    """
    with _open_index(source, layout, settings) as (index, scanner):
        refresh_index(index, scanner, without=layout.root, workers=settings.workers)
        _clear_partial(layout)
        return _count_files(index, source)


def convert_shard(
    source: Path, layout: Layout, *, settings: IngestSettings, shard: Shard
) -> tuple[int, int]:
    """Convert the series of one shard, as the index has them; `ingest_folder` gathers them.

    Shards may run side by side, on several machines.

    Args:
        source: Folder of the input.
        layout: Where index, images and outcomes lie.
        settings: How.
        shard: Which of the series.

    Returns:
        (done, all): series and files converted in this run, and those of the shard.

    Raises:
        StaleOutputError: There is no index of this input with these settings.
        StorageError: The output cannot be written.
    """
    with (
        _open_index(source, layout, settings, is_held=True) as (index, scanner),
        _open_store(layout, shard) as store,
    ):
        return _convert_due(index, store, scanner, layout=layout, settings=settings)


def count_refused_files(layout: Layout, shard: Shard) -> dict[str, int]:
    """Return the number of refused files per reason in a shard that was converted, sorted.

    Args:
        layout: Where its outcomes lie.
        shard: Which.

    Raises:
        StorageError: They cannot be read.
    """
    with database_faults(layout.ingest_shards), _open_store(layout, shard) as store:
        return dict(sorted(count_refused(store).items()))


@contextmanager
def open_sources(source: Path, layout: Layout, *, settings: IngestSettings) -> Iterator[Sources]:
    """Open once more what was ingested.

    Args:
        source: Folder of the input.
        layout: Where the index lies.
        settings: As it was ingested.

    Raises:
        StaleOutputError: It was not, or with other settings.
    """
    with _open_index(source, layout, settings, is_held=True) as (index, scanner):
        spool = Spool(layout.ingest_spool / "sources", scanner, index)
        try:
            yield Sources(index, spool.reader)
        finally:
            spool.clear()


@contextmanager
def _open_index(
    source: Path, layout: Layout, settings: IngestSettings, *, is_held: bool = False
) -> Iterator[tuple[Index, Scanner]]:
    """Open the index of a folder; where it must be held already, it is only read."""
    names = Pseudonymiser(read_or_create_key(settings.key))
    scanner = Scanner(
        source=source,
        names=names,
        kinds=settings.kinds,
        masks=frozenset(mask.resolve() for mask in settings.masks),
        opens_archives=settings.archives == "open",
        limit=int(settings.archive_limit_gb * _GB),
        is_bids=is_bids(source),
    )
    opener = open_complete_index if is_held else open_index
    path = layout.ingest_index
    with database_faults(path), opener(path, scanner) as index:
        yield index, scanner


@contextmanager
def _open_store(layout: Layout, shard: Shard) -> Iterator[Store]:
    """Open the outcomes of a shard."""
    with storage_faults(layout.ingest_shards):
        layout.ingest_shards.mkdir(parents=True, exist_ok=True)
        layout.images.mkdir(parents=True, exist_ok=True)
    with closing(Store(layout.ingest_shards, shard)) as store:
        yield store


def _convert_due(
    index: Index, store: Store, scanner: Scanner, *, layout: Layout, settings: IngestSettings
) -> tuple[int, int]:
    """Convert what is not as an earlier run left it; return how many that were, and of how many."""
    what = f"{__version__} {scanner.names.key_id} {settings.conversion!r}"
    digest = hash_bytes(what.encode())
    places = Places(layout.images, settings.images)
    n_due, n_all = plan_jobs(index, store, source=scanner.source, settings=digest, places=places)
    look = partial(look_again, index, store, places=places)
    with open_dock(places, store, layout=layout, look_again=look) as dock:
        n_due += move_misplaced(index, store, places, move=dock.move)
        spool = Spool(layout.ingest_spool / str(store.shard), scanner, index)
        workshop = Workshop(
            scanner.source, dock.layout, scanner.names, settings.conversion, spool.reader
        )
        # A codec is native code, which broken pixels may crash: it then takes only its process.
        is_apart = has_codec(index.connection) or (settings.workers > 1 and n_due >= _MANY_JOBS)
        due = list_due(index, prepare=spool.fill)
        results = map_in_order(
            partial(do_job, workshop=workshop), due, workers=settings.workers, is_apart=is_apart
        )
        batch = ""
        try:
            for job, done in track(results, "converting", total=n_due):
                if job.batch != batch:
                    spool.drop(batch)
                    batch = job.batch
                taken = dock.take(done or give_up(job, workshop))
                store.put(job.key, hold(taken, job.fingerprint))
        finally:
            # What is still being asked of the index would lock it beyond its closing.
            due.close()
            spool.clear()
    return n_due, n_all


def _count_files(index: Index, source: Path) -> int:
    """Return how many files the index holds.

    Raises:
        DataError: There is none.
    """
    n_files = index.count_files()
    if not n_files:
        raise DataError(
            f"data.path: must hold at least one file, got none below {source}.",
            "put the images into this folder, or set data.path to the folder that holds them.",
        )
    return n_files


def _clear_tables(layout: Layout) -> None:
    """Remove the tables of an earlier run: those of one that is killed must not be read."""
    with storage_faults(layout.manifest):
        for path in (layout.manifest, layout.rejects, layout.sources):
            path.unlink(missing_ok=True)


def _clear_partial(layout: Layout) -> None:
    """Remove what a killed run left half-written; no shard is at work now."""
    with storage_faults(layout.manifest):
        for path in layout.images.glob(f"{PARTIAL_PREFIX}*"):
            path.unlink(missing_ok=True)
        clear_docks(layout)


def _describe_no_image(tally: Tally) -> DataError:
    """Say what the files are instead of images that can be used."""
    return DataError(
        f"data.path: must hold at least one usable image, got {tally.verdicts.total()} files: "
        f"{describe_counts(tally.reasons)}.",
        "set data.kind to the kind of the images (dicom or nifti)."
        if "other-kind" in tally.reasons
        else None,
    )


def describe_counts(counts: Mapping[str, int]) -> str:
    """Return counts as text, the largest first: `12 missing-slice, 1 truncated`."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} {name or 'converted'}" for name, count in ordered)
