"""A folder of raw files turned into checked, de-identified images, each file accounted for."""

import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medvision.domain.study import Grid, Instance, group_series
from medvision.errors import DataError
from medvision.io.deidentify import Pseudonymiser, read_or_create_key
from medvision.io.ingest.convert import (
    NiftiFile,
    Outcome,
    Verdict,
    Workshop,
    convert,
    guess_subject,
    refuse,
)
from medvision.io.ingest.image import MANIFEST_COLUMNS
from medvision.io.ingest.pool import map_in_order
from medvision.io.ingest.scan import Scanned, Scanner, scan_file
from medvision.io.ingest.walk import list_files
from medvision.io.stacking.series import split_grids
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.runtime.files import storage_faults
from medvision.runtime.progress import track

_log = logging.getLogger(__name__)

REJECTS_COLUMNS = ("file", "reason", "detail", "subject", "image_key")
SOURCES_COLUMNS = ("file", "digest", "bytes", "verdict", "reason", "image_id")

_MANY_FILES = 64
_MANY_JOBS = 4
_CRASH = Verdict("refused", "undecodable", "decoder must survive the file, got a crash")


@dataclass(frozen=True)
class IngestSummary:
    """What became of the input.

    Args:
        n_files: Files found.
        n_images: Images written.
        n_subjects: Subjects with at least one image.
        verdicts: Number of files per verdict.
        refused: Number of files per reason, refused files alone.
        key_id: Published name of the key that made the pseudonyms.
        image_ids: The images, sorted.
    """

    n_files: int
    n_images: int
    n_subjects: int
    verdicts: dict[str, int]
    refused: dict[str, int]
    key_id: str
    image_ids: tuple[str, ...]


@dataclass(frozen=True)
class _Owner:
    """Whose image a file is part of, in pseudonyms."""

    subject: str = ""
    image_key: str = ""


def ingest_folder(
    source: Path,
    layout: Layout,
    *,
    key: Path,
    gap_tolerance: float,
    workers: int,
    kinds: frozenset[str],
    masks: frozenset[Path],
) -> IngestSummary:
    """Convert every image below a folder and account for every file.

    One image that cannot be used never stops the rest: it stands in the table of rejects. The
    number of workers changes no byte of the output. Memory is bounded by the headers and, per
    worker, by one series.

    Args:
        source: Folder of the input; file names and folders carry no meaning for DICOM.
        layout: Where the manifest, the rejects, the sources and the images are written.
        key: Secret of the pseudonyms; made at random where the file is missing.
        gap_tolerance: Largest deviation of a slice step, as a share of the slice spacing.
        workers: Processes that read in parallel.
        kinds: walk.DICOM, walk.NIFTI or both.
        masks: Files that are masks of other images, and so no images.

    Returns:
        Counts for the summary.

    Raises:
        DataError: The folder is missing, unreadable, empty, or holds nothing usable; in the last
            case the rejects and the sources are written first.
        StorageError: The output cannot be written.
    """
    names = Pseudonymiser(read_or_create_key(key))
    paths = list_files(source, without=layout.root)
    if not paths:
        raise DataError(
            f"data.path: must hold at least one file, got none below {source}.",
            "put the images into this folder, or set data.path to the folder that holds them.",
        )
    _clear_output(layout)
    scanner = Scanner(source, names, kinds, frozenset(mask.resolve() for mask in masks))
    scanned = _scan_files(paths, scanner, workers=workers)
    jobs = _plan_jobs(scanned)
    workshop = Workshop(source, layout.images, names, gap_tolerance)
    outcomes = list(_convert_all(jobs, workshop, workers=workers))
    return _write_tables(scanned, outcomes, layout=layout, names=names)


def _clear_output(layout: Layout) -> None:
    """Remove what an earlier run left, so that no image of another input stays behind."""
    with storage_faults(layout.manifest):
        for path in (layout.manifest, layout.rejects, layout.sources):
            path.unlink(missing_ok=True)
        if layout.images.is_dir():
            shutil.rmtree(layout.images)


def _scan_files(paths: Sequence[str], scanner: Scanner, *, workers: int) -> list[Scanned]:
    """Look at every file, in the order of the paths."""
    is_apart = workers > 1 and len(paths) >= _MANY_FILES
    scan = partial(scan_file, scanner=scanner)
    results = map_in_order(scan, paths, workers=workers, is_apart=is_apart)
    tracked = track(results, "reading headers", total=len(paths))
    return [
        result or Scanned(scanner.pseudonymiser.file_id(path), "", 0, _CRASH)
        for path, result in zip(paths, tracked, strict=True)
    ]


def _plan_jobs(scanned: Sequence[Scanned]) -> list[Grid | NiftiFile]:
    """Group what was found into the images to be converted, in an order free of file names."""
    instances = [item.content for item in scanned if isinstance(item.content, Instance)]
    jobs: list[Grid | NiftiFile] = []
    for series in group_series(instances):
        jobs += split_grids(series)
    return jobs + [item.content for item in scanned if isinstance(item.content, NiftiFile)]


def _convert_all(
    jobs: Sequence[Grid | NiftiFile], workshop: Workshop, *, workers: int
) -> Iterator[Outcome]:
    """Convert every image, in the order of the jobs."""
    # A codec is native code, which broken pixels may crash: it then takes only its own process.
    is_apart = any(map(_runs_codec, jobs)) or (workers > 1 and len(jobs) >= _MANY_JOBS)
    work = partial(convert, workshop=workshop)
    results = map_in_order(work, jobs, workers=workers, is_apart=is_apart)
    for job, result in zip(jobs, track(results, "converting", total=len(jobs)), strict=True):
        yield result or refuse(job, _CRASH)


def _runs_codec(job: Grid | NiftiFile) -> bool:
    """Say whether an image's pixels must be decompressed."""
    return isinstance(job, Grid) and any(item.instance.is_encapsulated for item in job.slices)


def _write_tables(
    scanned: Sequence[Scanned], outcomes: Sequence[Outcome], *, layout: Layout, names: Pseudonymiser
) -> IngestSummary:
    """Write sources, rejects and, where there is one image at least, the manifest."""
    rows = sorted(
        (outcome.row for outcome in outcomes if outcome.row), key=lambda row: row["image_id"]
    )
    sources = sorted(_list_sources(scanned, outcomes), key=lambda row: row["file"])
    owners = {item.file: _find_owner(item, names) for item in scanned}
    rejects = [
        {**row, "subject": owners[row["file"]].subject, "image_key": owners[row["file"]].image_key}
        for row in sources
        if row["detail"]
    ]
    write_table(layout.sources, sources, columns=SOURCES_COLUMNS)
    write_table(layout.rejects, rejects, columns=REJECTS_COLUMNS)
    refused = Counter(row["reason"] for row in rejects)
    if not rows:
        raise _describe_no_image(Counter(row["reason"] for row in sources))
    write_table(layout.manifest, rows, columns=MANIFEST_COLUMNS)
    return IngestSummary(
        n_files=len(scanned),
        n_images=len(rows),
        n_subjects=len({row["subject"] for row in rows}),
        verdicts=dict(sorted(Counter(row["verdict"] for row in sources).items())),
        refused=dict(sorted(refused.items())),
        key_id=names.key_id,
        image_ids=tuple(row["image_id"] for row in rows),
    )


def _describe_no_image(reasons: dict[str, int]) -> DataError:
    """Say what the files are instead of images that can be used."""
    return DataError(
        f"data.path: must hold at least one usable image, got {sum(reasons.values())} files: "
        f"{describe_counts(reasons)}.",
        "set data.kind to the kind of the images (dicom or nifti)."
        if "other-kind" in reasons
        else None,
    )


def _list_sources(
    scanned: Sequence[Scanned], outcomes: Iterable[Outcome]
) -> Iterator[dict[str, str]]:
    """Give each file its verdict; a file in two images is refused if one of them is."""
    verdicts: dict[str, tuple[Verdict, str]] = {}
    for outcome in outcomes:
        image_id = outcome.row["image_id"] if outcome.row else ""
        for file, verdict in outcome.files.items():
            earlier = verdicts.get(file)
            if earlier is None or verdict.verdict == "refused":
                verdicts[file] = (verdict, image_id or (earlier[1] if earlier else ""))
    for item in scanned:
        if isinstance(item.content, Verdict):
            verdict, image_id = item.content, ""
        else:
            verdict, image_id = verdicts[item.file]
        yield {
            "file": item.file,
            "digest": item.digest,
            "bytes": str(item.n_bytes),
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "detail": verdict.detail,
            "image_id": image_id if verdict.verdict in ("converted", "duplicate") else "",
        }


def _find_owner(item: Scanned, names: Pseudonymiser) -> _Owner:
    """Return the pseudonyms of an image file's subject and image, nothing for other files."""
    content = item.content
    if isinstance(content, Instance):
        return _Owner(names.subject(content.subject), names.image_key(content.series_uid))
    if isinstance(content, NiftiFile):
        return _Owner(names.subject(guess_subject(content.path)), names.image_key(content.path))
    return _Owner()


def describe_counts(counts: dict[str, int]) -> str:
    """Return counts as text, the largest first: `12 missing-slice, 1 truncated`."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} {name or 'converted'}" for name, count in ordered)
