"""Writing the array store: what is known is copied, the rest is computed, shard by shard."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from medvision.errors import DataError
from medvision.preprocess.bench import compute_rows
from medvision.preprocess.earlier import EarlierStore
from medvision.preprocess.encoding import Dtype, choose_dtype
from medvision.preprocess.journal import Journal
from medvision.preprocess.kept import KeptImages
from medvision.preprocess.keys import Task, choose_shard, group_by_shard
from medvision.preprocess.recipe import Recipe
from medvision.preprocess.rejection import Rejection
from medvision.preprocess.rows import Outcome, Refused, Row
from medvision.runtime.files import writing
from medvision.runtime.progress import track

_HINT = (
    "look at the images named; window, size, foreground_above or data.dimensions may not fit them."
)
_HEADERS = {"float16": "<f2", "int16": "<i2", "float32": "<f4"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredRow:
    """A row and the shard that holds it, counted from 1."""

    row: Row
    shard: int


@dataclass(frozen=True)
class StoreResult:
    """What was written: shape (N, C, I, J[, K]) of all shards, type, rows, what was left out."""

    shape: tuple[int, ...]
    dtype: Dtype
    rows: tuple[StoredRow, ...]
    rejections: tuple[Rejection, ...]

    @property
    def largest_rounding(self) -> float:
        """The largest error that storing made of any value, in scaled intensity."""
        return max(stored.row.rounding(self.dtype) for stored in self.rows)


@dataclass(frozen=True)
class Workshop:
    """Where rows come from: the recipe, the processes, the journal and the earlier store."""

    recipe: Recipe
    workers: int
    earlier: EarlierStore

    def read(self, task: Task) -> tuple[Outcome, bytes] | None:
        """Return what is known of an image already."""
        return self._journal.read(task.key, image_id=task.image_id) or self.earlier.read(
            task.key, image_id=task.image_id
        )

    def compute(self, tasks: Sequence[Task], *, dtype: Dtype | None = None) -> None:
        """Compute rows into the journal."""
        rows = compute_rows(tasks, self.recipe, workers=self.workers, dtype=dtype)
        for _ in track(rows, "preprocessing images", total=len(tasks)):
            pass
        self._journal.refresh()

    @cached_property
    def _journal(self) -> Journal:
        """The journal, as it was at the last look."""
        return Journal(self.recipe.journal, self.recipe.part)


def compute_missing(tasks: Sequence[Task], workshop: Workshop) -> dict[str, Outcome]:
    """Bring the journal up to date, and return what became of each image.

    Args:
        tasks: All images that shall be rows.
        workshop: Where rows come from.

    Returns:
        Image id to its row or its refusal.

    Raises:
        StorageError: The journal cannot be written.
    """
    outcomes: dict[str, Outcome] = {}
    for task in tasks:
        found = workshop.read(task)
        if found is not None:
            outcomes[task.image_id] = found[0]
    missing = [task for task in tasks if task.image_id not in outcomes]
    _log.info("preprocess: %d images kept, %d to compute", len(outcomes), len(missing))
    workshop.compute(missing)
    return outcomes | {task.image_id: _read_surely(workshop, task)[0] for task in missing}


def compute_shard(
    tasks: Sequence[Task], workshop: Workshop, *, shard: int, n_shards: int
) -> list[Task]:
    """Bring the journal up to date for one shard; what others compute meanwhile is not read.

    Args:
        tasks: All images that shall be rows.
        workshop: Where rows come from.
        shard: Which, from 1.
        n_shards: How many there are.

    Returns:
        The images of the shard.

    Raises:
        StorageError: The journal cannot be written.
    """
    chosen = select_shard(tasks, shard=shard, n_shards=n_shards)
    recipe = replace(workshop.recipe, part=(shard, n_shards))
    compute_missing(chosen, replace(workshop, recipe=recipe))
    return chosen


def write_store(
    tasks: Sequence[Task], workshop: Workshop, *, find_shard: Callable[[int], Path], n_shards: int
) -> StoreResult:
    """Write all shards of the store.

    Rows are appended with plain writes, not through a memory map: on a full disk a write raises
    an error that can be told to the user, a mapped page kills the process.

    Args:
        tasks: All images that shall be rows.
        workshop: Where rows come from; its journal may be cleared afterwards.
        find_shard: Number of a shard, from 1, to its file, which appears only when complete.
        n_shards: How many there are; an image's id alone decides which one it is in.

    Returns:
        Rows in the order of shards, by id within a shard, and rejections. Equal images and
        settings give equal bytes, whatever was kept and however many processes there were.

    Raises:
        DataError: No image is left, or the type asked for loses more than is allowed.
        StorageError: The folder cannot be written, or its disk is full.
    """
    outcomes = compute_missing(tasks, workshop)
    rows = {name: found for name, found in outcomes.items() if isinstance(found, Row)}
    rejections = tuple(
        Rejection(found.image_id, found.reason, found.detail)
        for found in outcomes.values()
        if isinstance(found, Refused)
    )
    _check_any_left(rejections, n_stored=len(rows))
    recipe = workshop.recipe
    dtype = choose_dtype(recipe.dtype, list(rows.values()), max_rounding=recipe.max_rounding)
    by_id = {task.image_id: task for task in tasks if task.image_id in rows}
    others = [task for name, task in by_id.items() if rows[name].dtype != dtype]
    if others:
        _log.info("preprocess: %d images are stored as %s like the rest", len(others), dtype)
        workshop.compute(others, dtype=dtype)
    stored = []
    for number, image_ids in enumerate(group_by_shard(by_id, n_shards=n_shards), start=1):
        chosen = [by_id[image_id] for image_id in image_ids]
        shape = next(iter(rows.values())).shape
        written = _write_shard(find_shard(number), chosen, workshop, shape=shape, dtype=dtype)
        stored += [StoredRow(row, number) for row in written]
    return StoreResult((len(stored), *stored[0].row.shape), dtype, tuple(stored), rejections)


def clear_needless(tasks: Sequence[Task], recipe: Recipe) -> None:
    """Remove what a whole store has made needless: the journal, and images kept for other plans.

    Args:
        tasks: All images of the store.
        recipe: How it was computed.
    """
    Journal(recipe.journal).clear()
    needed = {task.kept_key for task in tasks} if recipe.keep_after is not None else set()
    KeptImages(recipe.kept).clear(needed=needed)


def select_shard(tasks: Sequence[Task], *, shard: int, n_shards: int) -> list[Task]:
    """Return the images of one shard."""
    return [task for task in tasks if choose_shard(task.image_id, n_shards=n_shards) == shard]


def check_classes_left(shown: Mapping[str, Sequence[str]], result: StoreResult) -> None:
    """Refuse a store that has lost a whole class, or a finding.

    Args:
        shown: Image to its class, or its findings, of all images that were to be stored.
        result: What `write_store` returned.

    Raises:
        DataError: All images of a class were rejected.
    """
    left = {name for stored in result.rows for name in shown[stored.row.image_id]}
    for lost in sorted({name for names in shown.values() for name in names} - left):
        ids = {image_id for image_id, names in shown.items() if lost in names}
        held = [rejection for rejection in result.rejections if rejection.image_id in ids]
        raise DataError(
            f"preprocess: every class must keep an image, got none of {len(ids)} left in class "
            f"{lost} ({_count_reasons(held)}).",
            _HINT,
        )


def _write_shard(
    path: Path, tasks: Sequence[Task], workshop: Workshop, *, shape: tuple[int, ...], dtype: Dtype
) -> list[Row]:
    """Write one shard's file, row after row."""
    rows = []
    with writing(path) as temporary, temporary.open("wb") as stream:
        _write_header(stream, (len(tasks), *shape), dtype=dtype)
        for task in tasks:
            outcome, content = _read_surely(workshop, task)
            if not isinstance(outcome, Row) or (outcome.dtype, outcome.shape) != (dtype, shape):
                raise DataError(
                    f"preprocess: row of {task.image_id} must be {dtype} {shape}, got another.",
                    "run the step again.",
                )
            stream.write(content)
            rows.append(outcome)
    return rows


def _read_surely(workshop: Workshop, task: Task) -> tuple[Outcome, bytes]:
    """Return what is known of an image."""
    found = workshop.read(task)
    if found is None:
        raise DataError(
            f"preprocess: row of {task.image_id} must stay as it was written, got other bytes.",
            "look after the disk, then run the step again.",
        )
    return found


def _write_header(stream: BinaryIO, shape: tuple[int, ...], *, dtype: Dtype) -> None:
    """Write numpy's header of a shard."""
    np.lib.format.write_array_header_1_0(
        stream, {"descr": _HEADERS[dtype], "fortran_order": False, "shape": shape}
    )


def _check_any_left(rejections: Sequence[Rejection], *, n_stored: int) -> None:
    """Refuse to write an empty store."""
    if n_stored:
        return
    raise DataError(
        f"preprocess: at least one image must be usable, got none of {len(rejections)} "
        f"({_count_reasons(rejections)}).",
        _HINT,
    )


def _count_reasons(rejections: Sequence[Rejection]) -> str:
    """Return counts per reason and one image as an example of each."""
    reasons = sorted({rejection.reason for rejection in rejections})
    parts = []
    for reason in reasons:
        ids = [item.image_id for item in rejections if item.reason == reason]
        parts.append(f"{len(ids)} {reason}, such as {ids[0]}")
    return "; ".join(parts)
