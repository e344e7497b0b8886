"""Cells of the scorecard: one arm on one share of the subjects, and its AUC on resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.weighted import Replicates, compute_auc
from medvision.domain.prediction import (
    Predictions,
    Round,
    check_same_folds,
    check_same_images,
)
from medvision.domain.resampling.bootstrap import Weights, draw_weights
from medvision.errors import DataError

SCRATCH = "scratch"
"""The arm that all others are held against."""

Key = tuple[str, float]
"""Arm and share of the train subjects."""


@dataclass(frozen=True)
class Cell:
    """One arm trained on one share of the subjects, and what it predicts of the test images.

    Args:
        arm: Name of the start and its policy; scratch among them.
        fraction: Share of the train subjects, in (0, 1].
        n_subjects: Train subjects, the mean over the trainings' folds.
        rounds: Test predictions of each seed (and repeat and inner training), on the same images.
    """

    arm: str
    fraction: float
    n_subjects: float
    rounds: Mapping[Round, Predictions]


@dataclass(frozen=True)
class Areas:
    """AUC by seed on the data (S,), and the mean over resampled seeds on each resample (R,)."""

    by_seed: NDArray[np.float64]
    replicates: Replicates

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(self.by_seed.mean())


def find_key(cell: Cell) -> Key:
    """Return what tells a cell from the others: its arm and its share."""
    return cell.arm, cell.fraction


def list_seeds(cell: Cell) -> tuple[int, ...]:
    """Return the seeds of a cell, rising."""
    return tuple(sorted({place.seed for place in cell.rounds}))


def check_cells(cells: Sequence[Cell]) -> None:
    """Refuse cells that cannot be compared.

    Args:
        cells: All cells.

    Raises:
        DataError: A cell is missing or there twice, or cells differ in seeds, images or parts.
    """
    keys = {find_key(cell) for cell in cells}
    arms, fractions = {arm for arm, _ in keys}, {fraction for _, fraction in keys}
    wanted = {(arm, fraction) for arm in {*arms, SCRATCH} for fraction in fractions}
    if keys != wanted or len(keys) != len(cells):
        lost = sorted(wanted - keys)
        raise DataError(
            "scorecard: every arm must be trained once on every share, scratch too, got none of "
            f"{lost[0] if lost else 'them twice'}.",
            "run `medvision scorecard` for every arm and fold.",
        )
    rounds = {tuple(sorted(cell.rounds)) for cell in cells}
    if len(rounds) > 1:
        raise DataError("scorecard: every cell must have the same seeds, got others in some.")
    every = [(place, held) for cell in cells for place, held in cell.rounds.items()]
    check_same_images([held for _, held in every])
    for repeat in {place.repeat for place, _ in every}:
        check_same_folds([held for place, held in every if place.repeat == repeat])


def name_clusters(held: Predictions, groups: Mapping[str, str]) -> list[str]:
    """Return what is resampled: the group of each image, or its subject.

    Args:
        held: Predictions of N images.
        groups: image_id to group.

    Returns:
        N names.
    """
    return [
        groups.get(name) or subject
        for name, subject in zip(held.image_ids, held.subjects, strict=True)
    ]


def resample_cells(
    cells: Sequence[Cell],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    n_resamples: int,
    seed: int,
) -> dict[Key, Areas]:
    """Compute every cell's AUC on the data and on the same resamples of subjects and seeds.

    Args:
        cells: All cells, checked.
        groups: image_id to the group of subjects that is resampled as one.
        classes: Class names, and the positive one of two; with more the mean over classes.
        n_resamples: Number R of resamples.
        seed: Seed of the resamples.

    Returns:
        Arm and share to its AUC.
    """
    first = next(iter(cells[0].rounds.values()))
    seeds = list_seeds(cells[0])
    positive = None if classes.positive is None else classes.names.index(classes.positive)
    indices = range(len(classes.names)) if positive is None else [positive]
    ones = np.ones((1, len(first.labels)))
    by_seed = {find_key(cell): _compute_areas(cell, indices, weights=ones)[:, 0] for cell in cells}
    parts: dict[Key, list[Replicates]] = {find_key(cell): [] for cell in cells}
    rng = np.random.default_rng([seed, 1])
    for weights in draw_weights(
        name_clusters(first, groups),
        first.folds,
        labels=first.labels,
        n_resamples=n_resamples,
        seed=seed,
    ):
        shares = rng.multinomial(len(seeds), [1 / len(seeds)] * len(seeds), size=len(weights))
        for cell in cells:
            areas = _compute_areas(cell, indices, weights=weights)
            parts[find_key(cell)].append((areas * shares.T).sum(axis=0) / len(seeds))
    return {key: Areas(by_seed[key], np.concatenate(held)) for key, held in parts.items()}


def _compute_areas(
    cell: Cell, indices: "range | Sequence[int]", *, weights: Weights
) -> NDArray[np.float64]:
    """Return the AUC of each seed on each resample (S, R), means over classes and other rounds."""
    result = []
    for seed in list_seeds(cell):
        held = [each for place, each in sorted(cell.rounds.items()) if place.seed == seed]
        areas = np.array(
            [[_compute_area(each, index, weights=weights) for index in indices] for each in held]
        )
        result.append(_mean_known(areas.mean(axis=1)))
    return np.array(result)


def _compute_area(held: Predictions, index: int, *, weights: Weights) -> Replicates:
    """Return the AUC of one class against the rest on each resample."""
    flags = held.labels == index
    return compute_auc(held.scores[:, index], flags, folds=held.folds, weights=weights)


def _mean_known(areas: NDArray[np.float64]) -> Replicates:
    """Return the mean over rounds (n, R) of those that have an AUC; NaN where none has."""
    known = ~np.isnan(areas)
    total = np.where(known, areas, 0.0).sum(axis=0)
    result: Replicates = np.where(
        known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan
    )
    return result
