"""Estimates: statistics with intervals, and paired differences on the same resamples."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from medvision.domain.arms import list_pairs
from medvision.domain.metrics.calibration import compute_wilson
from medvision.domain.metrics.figures import Of, compute_statistics
from medvision.domain.metrics.prevalence import choose_shares
from medvision.domain.metrics.statistic import (
    ArmTest,
    count_trials,
    describe_method,
    explain_undefined,
    find_class,
    list_components,
)
from medvision.domain.prediction import Indices
from medvision.domain.resampling.draws import (
    BESIDE,
    Drawn,
    Draws,
    describe_resamples,
    draw_statistics,
    find_ends,
    is_beside,
    join_drawn,
)
from medvision.domain.resampling.settings import Settings

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """One statistic of one arm; value, low and high are None where `reason` says why."""

    arm: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n_images: int
    n_subjects: int
    n_positive: int | None
    method: str
    reason: str | None


@dataclass(frozen=True)
class Difference:
    """Statistic of `arm_a` minus that of `arm_b` on the same subjects."""

    metric: str
    arm_a: str
    arm_b: str
    difference: float | None
    low: float | None
    high: float | None
    n_subjects: int
    method: str


@dataclass(frozen=True)
class Resampled:
    """The arms, and all their statistics on the data and on the same resamples."""

    arms: Mapping[str, ArmTest]
    drawn: Drawn


def set_arms(arms: Mapping[str, ArmTest], settings: Settings) -> dict[str, ArmTest]:
    """Return the arms with what their figures owe to settings.

    Args:
        arms: Name to test predictions.
        settings: Of prevalence and of the bins of calibration.
    """
    return {
        name: replace(
            arm,
            prevalence=choose_shares(settings.prevalence, arm.named),
            n_bins=settings.calibration_bins,
        )
        for name, arm in arms.items()
    }


def resample(arms: Mapping[str, ArmTest], settings: Settings) -> Resampled:
    """Compute every statistic of every arm on the data and on common resamples of subjects.

    What owes nothing to the shares of the classes is resampled within fold and class, so that no
    class is lost. What does, such as a predictive value or the calibration intercept, is resampled
    within fold alone: with the shares held fixed its interval would be of other images of the same
    shares, and too narrow.

    Args:
        arms: Name to test predictions, all of the same images.
        settings: Settings of the statistics.

    Returns:
        Values and replicates by arm and statistic.
    """
    first = next(iter(arms.values()))
    parts = [
        draw_statistics(
            {name: partial(compute_statistics, arm, of=of) for name, arm in arms.items()},
            first.clusters,
            folds=first.folds,
            labels=labels,
            settings=settings,
        )
        for of, labels in _list_ways(first)
    ]
    everything = np.ones((1, len(first.labels)))
    return Resampled(arms, join_drawn(parts, order=list(compute_statistics(first, everything))))


def _list_ways(arm: ArmTest) -> list[tuple[Of, Indices]]:
    """Return what is resampled together, and the classes within which its subjects are drawn."""
    return [("classes", arm.labels), ("shares", np.zeros_like(arm.labels))]


def build_estimates(resampled: Resampled) -> list[Estimate]:
    """Give every statistic its interval, its counts and its method.

    Args:
        resampled: Values and replicates of all arms.

    Returns:
        One estimate per arm and statistic; an undefined one has a reason instead of a value.
    """
    return [
        _build_estimate(resampled, name, metric=metric)
        for name in resampled.arms
        for metric in resampled.drawn.arms[name]
    ]


def build_differences(resampled: Resampled) -> list[Difference]:
    """Compare arms in the pairs that `list_pairs` names, resample by resample.

    Args:
        resampled: Values and replicates of all arms, on the same resamples.

    Returns:
        One difference per statistic and pair; none where there is one arm.
    """
    return [
        _build_difference(resampled, metric, arms=pair)
        for pair in list_pairs(tuple(resampled.arms))
        for metric in resampled.drawn.arms[pair[0]]
    ]


def count_subjects(arm: ArmTest) -> int:
    """Count distinct subjects, whether or not they were joined for resampling."""
    return len(set(arm.rounds[0].subjects))


def _build_estimate(resampled: Resampled, name: str, *, metric: str) -> Estimate:
    """Put one statistic together."""
    arm, value = resampled.arms[name], resampled.drawn.arms[name][metric].value
    positive = find_class(arm, metric)
    reason = explain_undefined(arm, metric) if np.isnan(value) else None
    interval, how = (None, reason or "")
    if reason is None:
        interval, how = _find_interval(resampled, name, metric=metric)
    return Estimate(
        arm=name,
        metric=metric,
        value=None if reason else value,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        n_images=len(arm.labels),
        n_subjects=count_subjects(arm),
        n_positive=None if positive is None else int(arm.is_class(positive).sum()),
        method=f"{describe_method(arm, metric)}; {how}",
        reason=reason,
    )


def _find_interval(resampled: Resampled, name: str, *, metric: str) -> tuple[Interval | None, str]:
    """Return the interval, None where there is none, and how it was made."""
    arm, draws = resampled.arms[name], resampled.drawn.arms[name][metric]
    if draws.is_moving:
        if not draws.is_kept:
            return None, draws.say_lost()
        low, high, kind = find_ends(draws, resampled.drawn)
        if is_beside(draws.value, low, high):
            return None, BESIDE
        return (low, high), _describe_bootstrap(resampled, draws, kind=kind)
    parts = list_components(arm, metric)
    if parts:
        ends = [_find_interval(resampled, name, metric=part)[0] for part in parts]
        found = [each for each in ends if each is not None]
        if len(found) == len(parts):
            low, high = (float(np.mean(side)) for side in zip(*found, strict=True))
            return (low, high), "every resample agrees, so the interval is the mean of its parts'"
    value, n_trials = draws.value, count_trials(arm, metric)
    if n_trials and value in (0.0, 1.0):
        # Resampling a perfect score can only repeat it: an interval of no width would claim
        # certainty that a handful of subjects cannot give.
        what = "pairs of subjects" if metric.startswith("auc") else "subjects"
        how = f"every resample agrees, so the interval is Wilson's with {n_trials} {what}"
        return compute_wilson(value, n_trials, confidence=resampled.drawn.confidence), how
    return None, "no interval: every resample agrees"


def _describe_bootstrap(resampled: Resampled, draws: Draws, *, kind: str) -> str:
    """Say how the resamples were drawn."""
    arm = next(iter(resampled.arms.values()))
    return describe_resamples(
        draws,
        kind,
        n_clusters=len(np.unique(arm.clusters)),
        n_subjects=count_subjects(arm),
    )


def _build_difference(resampled: Resampled, metric: str, *, arms: tuple[str, str]) -> Difference:
    """Subtract one arm from the other on the data and on each resample."""
    first, second = (resampled.drawn.arms[arm][metric] for arm in arms)
    arm, draws = resampled.arms[arms[0]], first.minus(second)
    low = high = None
    if np.isnan(draws.value):
        method = explain_undefined(arm, metric)
    elif not draws.is_kept:
        method = draws.say_lost()
    elif not draws.is_moving:
        method = draws.say_still()
    else:
        low, high, kind = find_ends(draws, resampled.drawn)
        how = _describe_bootstrap(resampled, draws, kind=kind)
        method = f"paired on the same subjects; {how}"
    return Difference(
        metric=metric,
        arm_a=arms[0],
        arm_b=arms[1],
        difference=None if np.isnan(draws.value) else draws.value,
        low=low,
        high=high,
        n_subjects=count_subjects(arm),
        method=method,
    )
