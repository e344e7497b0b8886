"""Evaluation of predicted values: errors, agreement and correlation, each with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.arms import is_ensemble, rank_arm
from medvision.domain.evaluation.estimate import Difference, Estimate
from medvision.domain.labels.rows import Classes
from medvision.domain.labels.values import Values
from medvision.domain.metrics.value_statistics import METHODS, compute_value_statistics
from medvision.domain.metrics.weighted import Replicates
from medvision.domain.prediction import (
    Indices,
    Round,
    check_comparable,
    describe_rounds,
    group_rows,
    name_set,
    number_clusters,
    read_cell,
    read_columns,
    sort_rows,
)
from medvision.domain.resampling.bootstrap import Weights
from medvision.domain.resampling.draws import Drawn, Statistics, draw_statistics
from medvision.domain.resampling.resampled import (
    Counts,
    Joined,
    list_differences,
    list_estimates,
)
from medvision.domain.resampling.settings import Settings, check_settings
from medvision.domain.resampling.spread import SeedSpread, describe_spread

_UNDEFINED = {
    **dict.fromkeys(METHODS, "fewer than two test images"),
    "r2": "all true values are equal",
    "pearson_r": "all true or all predicted values are equal",
}


@dataclass(frozen=True)
class ValuePredictions:
    """The values that one arm predicts in one round of one split.

    Args:
        image_ids: (N,) names, sorted.
        subjects: (N,) pseudonyms.
        folds: (N,) part of the cohort that the training tests.
        true: (N,) true values.
        predicted: (N,) predicted ones, in the same unit.
    """

    image_ids: tuple[str, ...]
    subjects: tuple[str, ...]
    folds: Indices
    true: Values
    predicted: Values


Rounds = Sequence[tuple[Round, ValuePredictions]]
"""What one arm predicts, round by round, of the same images."""


@dataclass(frozen=True)
class ValueEvaluation:
    """All that is known of the arms' predicted values on held-out subjects.

    Args:
        classes: Names the value.
        estimates: Of each arm and statistic.
        differences: Between arms.
        spreads: From seed to seed.
        image_ids: (N,) test images.
        subjects: (N,) pseudonyms.
        points: Arm to (N, 2): true value, and the mean of the predicted ones over the rounds.
        counts: Whom they are of.
        n_folds: Parts that were tested.
        places: The rounds that there are.
        drawn: The statistics on the data and on resamples.
    """

    classes: Classes
    estimates: tuple[Estimate, ...]
    differences: tuple[Difference, ...]
    spreads: tuple[SeedSpread, ...]
    image_ids: tuple[str, ...]
    subjects: tuple[str, ...]
    points: Mapping[str, NDArray[np.float64]]
    counts: Counts
    n_folds: int
    places: tuple[Round, ...]
    drawn: Drawn


def evaluate_values(
    rows: Sequence[Mapping[str, str]],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    settings: Settings,
) -> ValueEvaluation:
    """Evaluate every arm on its test images.

    Args:
        rows: Rows of `predict/predictions.tsv`: label is the true value, predicted the other.
        groups: image_id to the group of subjects that is resampled as one.
        classes: Names the value.
        settings: Settings of the statistics.

    Returns:
        Estimates with intervals and differences; with several rounds their means.

    Raises:
        DataError: Predictions are missing, not finite numbers, or not of the same images.
        ConfigError: Prevalence or an operating point is set, and there is no class.

    Source:
        Limits of agreement: Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8.
    """
    check_settings(settings, classes=classes)
    arms = build_value_arms(rows)
    images, joined = next(iter(arms.values()))[0][1], resample_values(arms, groups, settings)
    return ValueEvaluation(
        classes=classes,
        estimates=tuple(list_estimates(joined)),
        differences=tuple(list_differences(joined)),
        spreads=_list_spreads(arms),
        image_ids=images.image_ids,
        subjects=images.subjects,
        points={arm: _average_points([each for _, each in own]) for arm, own in arms.items()},
        counts=joined.counts,
        n_folds=len(np.unique(images.folds)),
        places=tuple(place for place, _ in next(iter(arms.values()))),
        drawn=joined.drawn,
    )


def resample_values(
    arms: Mapping[str, Rounds],
    groups: Mapping[str, str],
    settings: Settings,
) -> Joined:
    """Compute every statistic of every arm on the data and on common resamples of subjects.

    Args:
        arms: Name to its rounds, all of the same images.
        groups: image_id to the group of subjects that is resampled as one.
        settings: Settings of the statistics.
    """
    first = next(iter(arms.values()))
    images = first[0][1]
    clusters = number_clusters(images.image_ids, images.subjects, groups=groups)
    drawn = draw_statistics(
        {arm: _average([each for _, each in rounds]) for arm, rounds in arms.items()},
        clusters,
        folds=images.folds,
        labels=np.zeros(len(clusters), dtype=np.intp),
        settings=settings,
    )
    return Joined(
        drawn=drawn,
        counts=Counts(len(clusters), len(set(images.subjects)), len(np.unique(clusters))),
        methods=_describe_methods([place for place, _ in first]),
        undefined=_UNDEFINED,
    )


def _describe_methods(rounds: Sequence[Round]) -> dict[str, str]:
    """Say how each statistic is computed, rounds included."""
    counted = describe_rounds(rounds)
    over = f"; mean over {counted}" if counted else ""
    return {name: f"{text}{over}" for name, text in METHODS.items()}


def build_value_arms(
    rows: Sequence[Mapping[str, str]],
) -> dict[str, list[tuple[Round, ValuePredictions]]]:
    """Gather each arm's test predictions, transfer first, and check that they are comparable.

    Args:
        rows: Rows of `predict/predictions.tsv`.

    Raises:
        DataError: Predictions are missing, not finite numbers, or not of the same images.
    """
    held: dict[str, list[tuple[Round, ValuePredictions]]] = {}
    for key, own in sorted(group_rows(rows).items()):
        arm, place, split = key
        if split == "test":
            held.setdefault(arm, []).append((place, _build(own, where=name_set(key))))
    check_comparable(held)
    return {arm: held[arm] for arm in sorted(held, key=rank_arm)}


def _build(rows: Sequence[Mapping[str, str]], *, where: str) -> ValuePredictions:
    """Turn the rows of one arm, round and split into arrays."""
    ordered = sort_rows(rows, where=where)
    values = read_columns(ordered, ["label", "predicted"])
    return ValuePredictions(
        image_ids=tuple(row["image_id"] for row in ordered),
        subjects=tuple(row["subject"] for row in ordered),
        folds=np.array([int(read_cell(row, "part")) for row in ordered], dtype=np.intp),
        true=values[:, 0],
        predicted=values[:, 1],
    )


def _average(rounds: Sequence[ValuePredictions]) -> Statistics:
    """Return what computes the mean of each statistic over the rounds."""

    def compute(weights: Weights) -> dict[str, Replicates]:
        found = [compute_value_statistics(r.true, r.predicted, weights=weights) for r in rounds]
        return {name: np.mean([each[name] for each in found], axis=0) for name in METHODS}

    return compute


def _average_points(rounds: Sequence[ValuePredictions]) -> NDArray[np.float64]:
    """Return each image's true value and the mean of those predicted, (N, 2)."""
    predicted = np.mean([each.predicted for each in rounds], axis=0)
    return np.stack([rounds[0].true, predicted], axis=1)


def average_errors(rounds: Rounds) -> Values:
    """Return the mean absolute error of each image over the rounds, (N,).

    Args:
        rounds: Of one arm.
    """
    result: Values = np.mean([np.abs(each.predicted - each.true) for _, each in rounds], axis=0)
    return result


def _list_spreads(
    arms: Mapping[str, Rounds],
) -> tuple[SeedSpread, ...]:
    """Return the spread of every statistic of every single network's arm."""
    singles = {arm: own for arm, own in arms.items() if not is_ensemble(arm)}
    return tuple(spread for arm, own in singles.items() for spread in _spread(arm, own))


def _spread(arm: str, rounds: Rounds) -> list[SeedSpread]:
    """Return each statistic of one arm seed by seed; of several rounds of a seed their mean."""
    ones = np.ones((1, len(rounds[0][1].true)))
    found = {
        seed: _average([each for place, each in rounds if place.seed == seed])(ones)
        for seed in sorted({place.seed for place, _ in rounds})
    }
    return [
        describe_spread(
            arm, name, values={seed: float(held[name][0]) for seed, held in found.items()}
        )
        for name in METHODS
    ]
