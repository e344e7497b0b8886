"""Statistics of arms on common resamples, of any kind, and what estimates they give."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medvision.domain.arms import list_pairs
from medvision.domain.evaluation.estimate import Difference, Estimate
from medvision.domain.resampling.draws import Drawn, Draws, describe_resamples, find_ends


@dataclass(frozen=True)
class Counts:
    """Whom the statistics are of: images, subjects, and clusters that are resampled."""

    n_images: int
    n_subjects: int
    n_clusters: int


@dataclass(frozen=True)
class Joined:
    """Statistics of all arms on the data and on the same resamples.

    Args:
        drawn: The statistics.
        counts: Whom they are of.
        methods: Statistic to how it is computed, in words.
        undefined: Statistic to why it may be undefined, in words.
    """

    drawn: Drawn
    counts: Counts
    methods: Mapping[str, str]
    undefined: Mapping[str, str]


def list_estimates(joined: Joined) -> list[Estimate]:
    """Give every statistic its interval, its counts and its method.

    Args:
        joined: Statistics of all arms.

    Returns:
        One estimate per arm and statistic; an undefined one has a reason instead of a value.
    """
    return [
        _estimate(joined, arm, name=name)
        for arm, by_name in joined.drawn.arms.items()
        for name in by_name
    ]


def list_differences(joined: Joined) -> list[Difference]:
    """Compare arms in pairs, resample by resample.

    Args:
        joined: Statistics of all arms.

    Returns:
        One difference per statistic and pair of `list_pairs`; none where there is one arm.
    """
    return [
        _compare(joined, name, arms=pair)
        for pair in list_pairs(list(joined.drawn.arms))
        for name in joined.drawn.arms[pair[0]]
    ]


def _estimate(joined: Joined, arm: str, *, name: str) -> Estimate:
    """Put one statistic together."""
    draws = joined.drawn.arms[arm][name]
    value = draws.value
    reason = f"undefined: {joined.undefined[name]}" if np.isnan(value) else None
    low, high, how = (None, None, reason)
    if reason is None:
        low, high, how = _find_interval(joined, draws)
    return Estimate(
        arm=arm,
        metric=name,
        value=None if reason else value,
        low=low,
        high=high,
        n_images=joined.counts.n_images,
        n_subjects=joined.counts.n_subjects,
        n_positive=None,
        method=f"{joined.methods[name]}; {how}",
        reason=reason,
    )


def _compare(joined: Joined, name: str, *, arms: tuple[str, str]) -> Difference:
    """Subtract one arm from the other on the data and on each resample."""
    first, second = (joined.drawn.arms[arm][name] for arm in arms)
    draws = first.minus(second)
    low, high, method = None, None, f"undefined: {joined.undefined[name]}"
    if not np.isnan(draws.value):
        low, high, how = _find_interval(joined, draws)
        method = how if low is None else f"paired on the same subjects; {how}"
    if draws.is_kept and not draws.is_moving:
        method = draws.say_still()
    return Difference(
        metric=name,
        arm_a=arms[0],
        arm_b=arms[1],
        difference=None if np.isnan(draws.value) else draws.value,
        low=low,
        high=high,
        n_subjects=joined.counts.n_subjects,
        method=method,
    )


def _find_interval(joined: Joined, draws: Draws) -> tuple[float | None, float | None, str]:
    """Return the interval, None where all resamples agree, and how it was made."""
    if not draws.is_kept:
        return None, None, draws.say_lost()
    if not draws.is_moving:
        return None, None, "no interval: every resample agrees"
    counts = joined.counts
    low, high, kind = find_ends(draws, joined.drawn)
    how = describe_resamples(
        draws, kind, n_clusters=counts.n_clusters, n_subjects=counts.n_subjects
    )
    return low, high, how
