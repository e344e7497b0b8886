"""Level 3 of an audit, synthetic images: drawn again from the generator's weights and seeds."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from medvision.audit.findings import Check, Finding
from medvision.cli._recompute.attributions import describe_software
from medvision.cli._recompute.request import Answer, MissingSourceError, Request
from medvision.cli._recompute.synthetic import Fold, list_drawing
from medvision.cli._synthetic.files import write_array
from medvision.cli._synthetic.read import IMAGES, TABLE
from medvision.domain.explanation.recomputed import TOLERANCE, compute_relative_distance
from medvision.domain.synthesis.synthetic import name_step
from medvision.errors import MedvisionError
from medvision.io.tables import Row, read_table
from medvision.runtime.files import hash_file
from medvision.runtime.shards import map_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medvision.synthesis.images import Scale
    from medvision.synthesis.networks import Generator

NAME = "synthetic"
QUESTION = "Do the synthetic images follow from the generators' weights and seeds, drawn again?"


def check_drawn(request: Request) -> list[Check]:
    """Draw synthetic images again, and hold them against those that were judged and trained on.

    Where the run's own images are handed over, a sample of each fold's is compared. Where they are
    not, all are drawn, and their file's sha256 is compared with the manifest's: equal bytes need
    the run's own kind of machine, so that other bytes are no fault and leave the question open.

    Args:
        request: What the auditor asks, and hands over.

    Returns:
        One check; none where the study draws nothing.

    Raises:
        MedvisionError: A table of the bundle cannot be read.
    """
    folds = [*list_drawing(request.locate)]
    if not folds:
        return []
    answer = Answer([], [], [])
    for fold in folds:
        answer.notes += describe_software(fold.record)
        try:
            _check_fold(request, fold, answer=answer)
        except MissingSourceError as error:
            answer.missed.append(error.message.removesuffix("."))
        except MedvisionError as error:
            where = name_step(fold.number)
            answer.findings.append(Finding(where, "images", "computable", error.message))
    return [answer.as_check(NAME, QUESTION)]


def _check_fold(request: Request, fold: Fold, *, answer: Answer) -> None:
    """Draw one fold's images again."""
    from medvision.synthesis.weights import load_generator

    step = name_step(fold.number)
    generator, scale, meta = load_generator(request.locate(f"{step}/generator.safetensors"))
    if (meta.classes, meta.fold) != (fold.classes, fold.number):
        found = f"{', '.join(meta.classes)} of fold {meta.fold}"
        rule = f"{', '.join(fold.classes)} of fold {fold.number}"
        answer.findings.append(Finding(f"{step}/generator.safetensors", "meta", rule, found))
        return
    rows = read_table(request.locate(f"{step}/{TABLE}"))
    try:
        path = request.find_source(f"{step}/{IMAGES}")
    except MissingSourceError:
        if _is_same_file(request, (generator, scale), rows, fold=fold, shape=meta.shape):
            answer.notes.append(f"all {len(rows)} of fold {fold.number} bit-equal")
            return
        raise
    answer.notes.append(
        _compare_sample(request, (generator, scale), rows, fold=fold, path=path, answer=answer)
    )


def _is_same_file(
    request: Request,
    by: "tuple[Generator, Scale]",
    rows: Sequence[Row],
    *,
    fold: Fold,
    shape: tuple[int, ...],
) -> bool:
    """Draw all images again, and say whether their file is that of the manifest."""
    with TemporaryDirectory(prefix="medvision-audit-") as folder:
        path = Path(folder) / IMAGES
        write_array(path, by, rows, classes=fold.classes, shape=shape)
        return hash_file(path) == request.digests.get(f"{name_step(fold.number)}/{IMAGES}")


def _compare_sample(
    request: Request,
    by: "tuple[Generator, Scale]",
    rows: Sequence[Row],
    *,
    fold: Fold,
    path: Path,
    answer: Answer,
) -> str:
    """Draw a sample of the images again, and return in words how near they are."""
    from medvision.synthesis.sample import draw_image

    held = _open_images(path, n_images=len(rows))
    n = min(request.sample, len(rows))
    chosen = np.random.default_rng((request.seed, fold.number)).choice(len(rows), n, replace=False)
    furthest = 0.0
    for place in sorted(chosen.tolist()):
        row = rows[place]
        label = fold.classes.index(row["label"])
        again = draw_image(*by, label=label, seed=int(row["seed"]))
        distance = compute_relative_distance(held[place], again)
        furthest = max(furthest, distance)
        if distance > TOLERANCE:
            rule = f"the one drawn again, to {TOLERANCE:g} of its length"
            found = f"one {distance:.3g} of its length away"
            where = f"{name_step(fold.number)}/{IMAGES} {row['image_id']}"
            answer.findings.append(Finding(where, "image", rule, found))
    near = "bit-equal" if furthest == 0 else f"at most {furthest:.2g} of their length away"
    return f"{n} of {len(rows)} of fold {fold.number} {near}"


def _open_images(path: Path, *, n_images: int) -> "NDArray[np.float32]":
    """Map the run's own images, one a row of their table."""
    from medvision.errors import DataError

    try:
        held = map_array(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: file must be a readable array, got {error}.") from error
    if len(held) != n_images:
        raise DataError(f"{path.name}: array must hold {n_images} images, got {len(held)}.")
    return held.astype(np.float32, copy=False)
