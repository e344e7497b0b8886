"""Decision curves: what acting on a prediction is worth, against acting on all or on none."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.weighted import Replicates, compute_mean
from medvision.domain.resampling.bootstrap import Weights
from medvision.domain.resampling.draws import draw_statistics, find_ends
from medvision.domain.resampling.settings import Settings

THRESHOLDS = tuple(round(0.05 * n, 2) for n in range(1, 20))
"""Probabilities from which one would act: 0.05 to 0.95."""


@dataclass(frozen=True)
class DecisionPoint:
    """The net benefit of one arm at one probability, in true positives per subject image.

    Args:
        arm: Arm.
        threshold: Probability from which one acts.
        net_benefit: Of acting on those predicted at least as probable; None where a class is
            absent.
        low: Lower end of its interval; None where it has none.
        high: Upper end.
        treat_all: Of acting on all; acting on none is worth 0.
        n_images: Test images.
        n_subjects: Their subjects.
        method: How the interval was made.
    """

    arm: str
    threshold: float
    net_benefit: float | None
    low: float | None
    high: float | None
    treat_all: float | None
    n_images: int
    n_subjects: int
    method: str


def compute_decision_curves(
    arms: Mapping[str, ArmTest], *, settings: Settings
) -> tuple[DecisionPoint, ...]:
    """Compute the net benefit of each arm over the probabilities from which one would act.

    A threshold of p says that missing one positive is as bad as (1 - p) / p false alarms. The
    share of positives is the given prevalence, or the images' own.

    Args:
        arms: Name to test predictions.
        settings: Settings of the statistics.

    Returns:
        Points in order of arm and threshold; none with more than two classes.

    Source:
        Vickers and Elkin 2006, doi:10.1177/0272989X06295361.
    """
    first = next(iter(arms.values()))
    if first.positive is None:
        return ()
    drawn = draw_statistics(
        {name: partial(_compute, arm) for name, arm in arms.items()},
        first.clusters,
        folds=first.folds,
        # At the images' own share of positives the resamples must have other shares too.
        labels=np.zeros_like(first.labels) if first.prevalence is None else first.labels,
        settings=settings,
    )
    n_subjects = len(set(first.rounds[0].subjects))
    points = []
    for name, held in drawn.arms.items():
        for threshold in THRESHOLDS:
            draws = held[f"{threshold}"]
            is_known = not np.isnan(draws.value)
            low = high = None
            method = "undefined: a class is absent" if not is_known else "every resample agrees"
            if is_known and draws.is_moving and draws.is_kept:
                low, high, method = find_ends(draws, drawn)
            every = held[f"all {threshold}"].value
            points.append(
                DecisionPoint(
                    arm=name,
                    threshold=threshold,
                    net_benefit=draws.value if is_known else None,
                    low=low,
                    high=high,
                    treat_all=None if np.isnan(every) else every,
                    n_images=len(first.labels),
                    n_subjects=n_subjects,
                    method=method,
                )
            )
    return tuple(points)


def _compute(arm: ArmTest, weights: Weights) -> dict[str, Replicates]:
    """Compute the net benefit at every threshold, of the arm and of acting on all."""
    index = arm.positive or 0
    inside = arm.is_class(index)
    own = weights @ inside / weights.sum(axis=1)
    given = arm.prevalence if isinstance(arm.prevalence, float) else own
    share = np.where((own > 0) & (own < 1), given, np.nan)
    found: dict[str, Replicates] = {}
    for threshold in THRESHOLDS:
        told = np.mean([each.probabilities[:, index] >= threshold for each in arm.rounds], axis=0)
        price = threshold / (1 - threshold)
        hits = compute_mean(told, inside, weights=weights)
        alarms = compute_mean(told, ~inside, weights=weights)
        found[f"{threshold}"] = hits * share - alarms * (1 - share) * price
        found[f"all {threshold}"] = share - (1 - share) * price
    return found
