"""Predictions: one row per image, arm, fold and seed, as arrays that statistics work on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medvision.domain.arms import is_ensemble, parse_seed
from medvision.domain.metrics.numbers import AGAIN, read_numbers
from medvision.domain.novelty.distance import Novelty, parse_novelty
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


SetKey = tuple[str, Round, str]
"""Arm, round and split."""


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
        novelty: Distance from the train images; None where it is not known.
    """

    image_ids: tuple[str, ...]
    subjects: tuple[str, ...]
    trainings: Indices
    folds: Indices
    labels: Indices
    probabilities: Probabilities
    scores: Scores
    novelty: Novelty | None = None


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
    held = group_rows(rows)
    return {key: _gather(held[key], classes, where=name_set(key)) for key in sorted(held)}


def group_rows(rows: Sequence[Mapping[str, str]]) -> dict[SetKey, list[Mapping[str, str]]]:
    """Part the rows of the table by arm, round and split.

    Raises:
        DataError: A column is missing.
    """
    held: dict[SetKey, list[Mapping[str, str]]] = {}
    for row in rows:
        repeat, inner = (int(read_cell(row, name)) for name in ("repeat", "inner"))
        place = Round(repeat, inner, parse_seed(read_cell(row, "seed")))
        key = read_cell(row, "arm"), place, read_cell(row, "split")
        held.setdefault(key, []).append(row)
    return held


class Tested(Protocol):
    """Predictions of anything: which images, in which parts of the cohort."""

    @property
    def image_ids(self) -> tuple[str, ...]:
        """(N,) names."""

    @property
    def folds(self) -> Indices:
        """(N,) part of the cohort."""


def check_same_images(predictions: Sequence[Tested]) -> None:
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


def check_same_folds(predictions: Sequence[Tested]) -> None:
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


def check_comparable(held: Mapping[str, Sequence[tuple[Round, Tested]]]) -> None:
    """Refuse arms whose difference would not be paired.

    Args:
        held: Arm to its rounds with their test predictions.

    Raises:
        DataError: There is none, or images, parts or rounds are not the same.
    """
    if not held:
        raise DataError("predictions: test images must be predicted, got none.")
    every = [pair for rounds in held.values() for pair in rounds]
    check_same_images([each for _, each in every])
    for repeat in {place.repeat for place, _ in every}:
        check_same_folds([each for place, each in every if place.repeat == repeat])
    singles = {arm: each for arm, each in held.items() if not is_ensemble(arm)}
    for arms in (singles, {arm: each for arm, each in held.items() if arm not in singles}):
        rounds = {tuple(place for place, _ in each) for each in arms.values()}
        if len(rounds) > 1:
            seeds = {tuple(place.seed for place in each) for each in rounds}
            raise DataError(
                f"predictions: every arm must have the same seeds, got {sorted(seeds)}.",
                "run the steps train and predict again for all arms.",
            )


def describe_rounds(rounds: Sequence[Round]) -> str:
    """Say what the rounds are: seeds, repeats of the folds, trainings per part."""
    counts = {
        "seeds": len({place.seed for place in rounds}),
        "repeats": len({place.repeat for place in rounds}),
        "trainings of each part": len({place.inner for place in rounds}),
    }
    return " x ".join(f"{n} {what}" for what, n in counts.items() if n > 1)


def number_clusters(
    image_ids: Sequence[str], subjects: Sequence[str], *, groups: Mapping[str, str]
) -> Indices:
    """Number what is independent: the subject, or the group of subjects.

    Args:
        image_ids: (N,) names.
        subjects: (N,) pseudonyms.
        groups: image_id to group, where there is one.

    Returns:
        (N,) position of each image's cluster.
    """
    names = [groups.get(n) or subject for n, subject in zip(image_ids, subjects, strict=True)]
    _, clusters = np.unique(names, return_inverse=True)
    return clusters.astype(np.intp)


def sort_rows(rows: Sequence[Mapping[str, str]], *, where: str) -> list[Mapping[str, str]]:
    """Sort one set's rows by image, then by training.

    Raises:
        DataError: A training predicts an image twice.
    """
    ordered = sorted(rows, key=lambda row: (row["image_id"], int(read_cell(row, "fold"))))
    if len({(row["fold"], row["image_id"]) for row in ordered}) < len(ordered):
        raise DataError(f"{where}: an image must be predicted once, got one twice in a fold.")
    return ordered


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
    ordered = sort_rows(rows, where=where)
    probabilities = read_columns(ordered, [f"probability_{name}" for name in classes])
    _check_probabilities(probabilities, where=where)
    position = {name: index for index, name in enumerate(classes)}
    unknown = sorted({row["label"] for row in ordered} - set(classes))
    if unknown:
        raise DataError(
            f"{where}: label must be a class of the cohort ({', '.join(classes)}), got "
            f"{unknown[0] or 'an empty cell'}.",
            AGAIN,
        )
    trainings = np.array([int(row["fold"]) for row in ordered], dtype=np.intp)
    return Predictions(
        image_ids=tuple(row["image_id"] for row in ordered),
        subjects=tuple(row["subject"] for row in ordered),
        trainings=trainings,
        folds=np.array([int(read_cell(row, "part")) for row in ordered], dtype=np.intp),
        labels=np.array([position[row["label"]] for row in ordered], dtype=np.intp),
        probabilities=probabilities,
        scores=compute_scores(read_columns(ordered, [f"logit_{name}" for name in classes])),
        novelty=parse_novelty(ordered),
    )


def read_columns(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> NDArray[np.float64]:
    """Return columns of finite numbers as (N, C).

    Raises:
        DataError: A value is no number, or not finite.
    """
    found = np.empty((len(rows), len(names)))
    for n, name in enumerate(names):
        found[:, n] = read_numbers([read_cell(row, name) for row in rows], name)
    return found


def _check_probabilities(probabilities: Probabilities, *, where: str) -> None:
    """Refuse rows that are no distributions."""
    inside = (probabilities >= 0) & (probabilities <= 1)
    sums = np.abs(probabilities.sum(axis=1) - 1)
    if not inside.all() or (sums > _SUM_TOLERANCE).any():
        raise DataError(
            f"{where}: probabilities must be 0 to 1 and sum to 1, got a sum off by "
            f"{sums.max():.3g}.",
        )


def read_cell(row: Mapping[str, str], name: str) -> str:
    """Return a cell that must be there.

    Raises:
        DataError: The column is missing.
    """
    try:
        return row[name]
    except KeyError as error:
        raise DataError(f"predictions: column {name} must be present, got none.") from error


def name_set(key: SetKey) -> str:
    """Name one set of predictions in a message."""
    arm, place, split = key
    return f"predictions of arm {arm}, seed {place.seed}, split {split}"
