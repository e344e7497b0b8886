"""Predictions: one row per image, arm, fold and seed, as arrays that statistics work on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.arms import parse_seed
from medvision.errors import DataError

Indices = NDArray[np.intp]
"""(N,) whole numbers: classes, folds or subjects by position."""

Probabilities = NDArray[np.float64]
"""(N, C) float64: one row per image, one column per class, rows sum to 1."""

Scores = NDArray[np.float64]
"""(N, C) float64: log-odds of each class against the others; more is more of the class."""

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, order=True)
class Round:
    """What tests every image once: one repeat of the folds, one training of each part, one seed.

    The seed is `ALL_SEEDS` where the networks of all seeds predict together.
    """

    repeat: int
    inner: int
    seed: int


@dataclass(frozen=True)
class Predictions:
    """The probabilities of one arm in one round on one split.

    Args:
        image_ids: (N,) names, sorted.
        subjects: (N,) pseudonyms.
        trainings: (N,) number of the training that predicted, the column fold of the table.
        folds: (N,) part of the cohort that the training tests; scores are compared within it.
        labels: (N,) index of the true class.
        probabilities: (N, C) from the softmax.
        scores: (N, C) log-odds from the logits, so that saturated probabilities do not tie.
    """

    image_ids: tuple[str, ...]
    subjects: tuple[str, ...]
    trainings: Indices
    folds: Indices
    labels: Indices
    probabilities: Probabilities
    scores: Scores


def build_predictions(
    rows: Sequence[Mapping[str, str]], classes: Sequence[str]
) -> dict[tuple[str, Round, str], Predictions]:
    """Gather predictions by arm, round and split.

    Args:
        rows: Rows of `predict/predictions.tsv`.
        classes: Class names in order.

    Returns:
        (arm, round, split) to its predictions, images sorted by name, then by training.

    Raises:
        DataError: A column is missing, a value is not a number or no probability, a label is
            unknown, or an image is predicted twice.
    """
    held: dict[tuple[str, Round, str], list[Mapping[str, str]]] = {}
    for row in rows:
        repeat, inner = (int(_read_cell(row, name)) for name in ("repeat", "inner"))
        place = Round(repeat, inner, parse_seed(_read_cell(row, "seed")))
        key = _read_cell(row, "arm"), place, _read_cell(row, "split")
        held.setdefault(key, []).append(row)
    return {key: _gather(held[key], classes, where=_name(key)) for key in sorted(held)}


def check_same_images(predictions: Sequence[Predictions]) -> None:
    """Refuse sets of predictions that are not of the same images.

    Raises:
        DataError: A comparison would not be paired.
    """
    first = predictions[0]
    for other in predictions[1:]:
        if other.image_ids != first.image_ids:
            raise DataError(
                "predictions: every arm and seed must predict the same test images, got "
                f"{len(first.image_ids)} and {len(other.image_ids)} or others.",
                "run the steps train and predict again for all arms and seeds.",
            )


def check_same_folds(predictions: Sequence[Predictions]) -> None:
    """Refuse predictions of one repeat whose images lie in different parts.

    Raises:
        DataError: A comparison would not be paired.
    """
    for other in predictions[1:]:
        if not np.array_equal(other.folds, predictions[0].folds):
            raise DataError(
                "predictions: every arm and seed must predict the same test images in the same "
                f"parts, got {len(np.unique(predictions[0].folds))} parts and others.",
                "run the steps train and predict again for all arms and seeds.",
            )


def compute_scores(logits: NDArray[np.float64]) -> Scores:
    """Turn logits (N, C) into log-odds of each class against all others.

    Source:
        log(p / (1 - p)) with p the softmax, from logits so that nothing saturates.
    """
    result = np.empty_like(logits)
    for index in range(logits.shape[1]):
        others = np.delete(logits, index, axis=1)
        result[:, index] = logits[:, index] - np.logaddexp.reduce(others, axis=1)
    return result


def _gather(
    rows: Sequence[Mapping[str, str]], classes: Sequence[str], *, where: str
) -> Predictions:
    """Turn the rows of one arm, seed and split into arrays."""
    ordered = sorted(rows, key=lambda row: (row["image_id"], int(_read_cell(row, "fold"))))
    probabilities = _read_columns(ordered, [f"probability_{name}" for name in classes])
    _check_probabilities(probabilities, where=where)
    position = {name: index for index, name in enumerate(classes)}
    unknown = sorted({row["label"] for row in ordered} - set(classes))
    if unknown:
        raise DataError(f"{where}: label must be a class of the cohort, got {unknown[0]}.")
    trainings = np.array([int(row["fold"]) for row in ordered], dtype=np.intp)
    image_ids = tuple(row["image_id"] for row in ordered)
    if len(set(zip(trainings.tolist(), image_ids, strict=True))) < len(ordered):
        raise DataError(f"{where}: an image must be predicted once, got one twice in a fold.")
    return Predictions(
        image_ids=image_ids,
        subjects=tuple(row["subject"] for row in ordered),
        trainings=trainings,
        folds=np.array([int(_read_cell(row, "part")) for row in ordered], dtype=np.intp),
        labels=np.array([position[row["label"]] for row in ordered], dtype=np.intp),
        probabilities=probabilities,
        scores=compute_scores(_read_columns(ordered, [f"logit_{name}" for name in classes])),
    )


def _read_columns(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> NDArray[np.float64]:
    """Return columns of finite numbers as (N, C)."""
    try:
        result = np.array(
            [[float(_read_cell(row, name)) for name in names] for row in rows], dtype=np.float64
        )
    except ValueError as error:
        raise DataError(f"predictions: {names[0]} must be a number, got another text.") from error
    if not np.isfinite(result).all():
        raise DataError(
            f"predictions: {names[0]} and the like must be finite, got NaN or infinity.",
            "the model diverged: lower train.learning_rate and train again.",
        )
    return result


def _check_probabilities(probabilities: Probabilities, *, where: str) -> None:
    """Refuse rows that are no distributions."""
    inside = (probabilities >= 0) & (probabilities <= 1)
    sums = np.abs(probabilities.sum(axis=1) - 1)
    if not inside.all() or (sums > _SUM_TOLERANCE).any():
        raise DataError(
            f"{where}: probabilities must be 0 to 1 and sum to 1, got a sum off by "
            f"{sums.max():.3g}.",
        )


def _read_cell(row: Mapping[str, str], name: str) -> str:
    """Return a cell that must be there."""
    try:
        return row[name]
    except KeyError as error:
        raise DataError(f"predictions: column {name} must be present, got none.") from error


def _name(key: tuple[str, Round, str]) -> str:
    """Name one set of predictions in a message."""
    arm, place, split = key
    return f"predictions of arm {arm}, seed {place.seed}, split {split}"
