"""The drawn images of one fold, read as the step `synthesise` wrote and marked them."""

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medvision.cli._learning import LearningData
from medvision.cli._run import Step, read_record
from medvision.cli._stale import say_again
from medvision.cli._synthetic_files import check_sidecar
from medvision.cli._synthetic_mix import Drawn
from medvision.domain.record import Record
from medvision.domain.synthetic import SYNTHETIC_COLUMNS, check_marked, name_step
from medvision.errors import DataError, StaleOutputError
from medvision.io.tables import read_table
from medvision.runtime.files import hash_file
from medvision.runtime.shards import map_array

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
        CohortError: An image, or the sidecar, has lost its mark.
        StaleOutputError: A file is not as the generator's step wrote it, or the generator has
            seen another cohort or other arrays than lie there.
        DataError: A file cannot be read, or table and array are not of the same images.
    """
    name = name_step(fold)
    folder = step.layout.step(name)
    check_present(step, find_record(step, name))
    rows = read_table(step.read(folder / "images.tsv"), required=SYNTHETIC_COLUMNS)
    check_marked(rows, where=f"{name}/images.tsv")
    check_sidecar(step.read(folder / "images.json"), where=f"{name}/images.json")
    images = _map_images(step, step.read(folder / "images.npy"), name=name)
    wanted = (len(rows), *data.store.array.shape[1:])
    numbers = [row["row"] for row in rows]
    if images.shape != wanted or numbers != [str(n) for n in range(len(rows))]:
        raise DataError(
            f"{name}/images.npy: array must be {wanted} as its table and the store have it, in "
            f"the table's order, got {images.shape}.",
            say_again(name),
        )
    for row in rows:
        if row["label"] not in data.classes:
            raise DataError(
                f"{name}/images.tsv: label must be one of {', '.join(data.classes)}, got "
                f"{row['label']}.",
                say_again(name),
            )
    return Drawn(
        images,
        tuple(row["image_id"] for row in rows),
        tuple(row["label"] for row in rows),
    )


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


def _map_images(step: Step, path: Path, *, name: str) -> NDArray[np.float32]:
    """Map the array, once its bytes are those of its record: a training is not spent on others."""
    wanted = find_record(step, name).writes.get(f"{name}/{path.name}")
    if not path.is_file() or hash_file(path) != wanted:
        what = "other bytes" if path.is_file() else "no file"
        raise StaleOutputError(
            f"{name}/{path.name}: file must be as its step wrote it, got {what}.", say_again(name)
        )
    try:
        return cast(NDArray[np.float32], map_array(path))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{name}/{path.name}: file must be a readable array, got {error}.", say_again(name)
        ) from error
