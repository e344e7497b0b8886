"""The drawn images of one fold, read as the step `synthesise` wrote and marked them."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medvision.cli._run import Step, read_record
from medvision.cli._stale import say_again
from medvision.cli._synthetic.files import check_sidecar
from medvision.cli._synthetic.mix import Drawn
from medvision.cli._training.learning import LearningData
from medvision.domain.record import Record
from medvision.domain.synthesis.accepted import Row, check_drawn
from medvision.domain.synthesis.synthetic import SYNTHETIC_COLUMNS, name_step
from medvision.errors import DataError, StaleOutputError
from medvision.io.tables import read_table
from medvision.runtime.files import hash_file
from medvision.runtime.shards import map_array

IMAGES, TABLE, SIDECAR = "images.npy", "images.tsv", "images.json"

_REAL = ("cohort", "preprocess")
_FOLDS = "cohort/folds.tsv"
"""Who is on which side: whatever sees real images has read it."""


def read_drawn(step: Step, data: LearningData, *, fold: int) -> Drawn:
    """Read all images that one fold's generator drew.

    Args:
        step: The running step; what is read is registered with it.
        data: Names the classes and the shape of an image.
        fold: Whose train subjects the generator has seen.

    Returns:
        The images in the order of their table; the array is mapped, not read.

    Raises:
        CohortError: An image, or the sidecar, has lost its mark; or an image stands twice, out of
            its place, or is of another fold or class.
        StaleOutputError: A file is not as the generator's step wrote it, or the generator has
            seen another cohort or other arrays than lie there.
        DataError: A file cannot be read, or table and array are not of the same images.
    """
    record = find_record(step, name_step(fold))
    rows = read_rows(step, data, record=record, fold=fold)
    return Drawn(
        map_drawn(step, data, record=record, n_images=len(rows)),
        tuple(row["image_id"] for row in rows),
        tuple(row["label"] for row in rows),
    )


def read_rows(step: Step, data: LearningData, *, record: Record, fold: int) -> Sequence[Row]:
    """Read the table of what one fold's generator drew, and hold it and the sidecar to the rules.

    Args:
        step: The running step; what is read is registered with it.
        data: Names the classes.
        record: Of the generator's step.
        fold: Whose train subjects the generator has seen.

    Raises:
        CohortError, StaleOutputError, DataError: As `read_drawn`.
    """
    check_present(step, record)
    rows = read_table(read_written(step, record, TABLE), required=SYNTHETIC_COLUMNS)
    check_drawn(rows, fold=fold, classes=data.classes)
    check_sidecar(read_written(step, record, SIDECAR), where=f"{record.step}/{SIDECAR}")
    return rows


def map_drawn(
    step: Step, data: LearningData, *, record: Record, n_images: int
) -> NDArray[np.float32]:
    """Map the images that one fold's generator drew, (n, C, I, J[, K]) float32.

    Args:
        step: The running step; what is read is registered with it.
        data: Has the shape of an image.
        record: Of the generator's step.
        n_images: Rows of their table.

    Raises:
        StaleOutputError, DataError: As `read_drawn`.
    """
    path = read_written(step, record, IMAGES)
    where = f"{record.step}/{IMAGES}"
    try:
        images = map_array(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{where}: file must be a readable array, got {error}.", say_again(record.step)
        ) from error
    wanted = (n_images, *data.store.array.shape[1:])
    if images.shape != wanted or images.dtype != np.float32:
        raise DataError(
            f"{where}: array must be {wanted} float32 as its table and the store have it, got "
            f"{images.shape} {images.dtype}.",
            say_again(record.step),
        )
    return cast(NDArray[np.float32], images)


def read_written(step: Step, record: Record, name: str) -> Path:
    """Return a file once its bytes are those that its step wrote.

    Asked before hours are spent; when the step ends it is hashed once more.

    Args:
        step: The running step; the file is registered with it.
        record: Of the step that wrote it.
        name: The file, below that step's folder.

    Raises:
        StaleOutputError: It is missing, or has other bytes.
    """
    path = f"{record.step}/{name}"
    found = step.layout.root / path
    if not found.is_file() or hash_file(found) != record.writes.get(path):
        what = "other bytes" if found.is_file() else "no file"
        raise StaleOutputError(
            f"{path}: file must be as its step wrote it, got {what}.", say_again(record.step)
        )
    return step.read(found)


def find_record(step: Step, name: str) -> Record:
    """Return the record of a step that was checked when this one began.

    Args:
        step: The running step.
        name: The earlier step's name.

    Raises:
        StaleOutputError: There is none any more.
    """
    record = read_record(step.layout, name)
    if record is None:
        raise StaleOutputError(
            f"{step.layout.root.name}: step {name} must be complete, got no record of it.",
            say_again(name),
        )
    return record


def check_present(step: Step, record: Record) -> None:
    """Refuse a generator or gate that has seen another cohort or other arrays than lie there now.

    Subjects may have changed sides since: a generator that has seen one who is in validation or
    test today must not draw what is trained on.

    Args:
        step: The running step.
        record: Of generator or gate.

    Raises:
        StaleOutputError: With the command that runs the step again.
    """
    present = {
        path: digest for name in _REAL for path, digest in find_record(step, name).writes.items()
    }
    read = [path for path in record.reads if path.partition("/")[0] in _REAL]
    for path in (_FOLDS, *read):
        held = record.reads.get(path)
        if held is None or held != present.get(path):
            what = "another" if held else "none"
            raise StaleOutputError(
                f"{record.step}/record.json: {path} that was read must be the one that lies there, "
                f"got {what}.",
                say_again(record.step),
            )
