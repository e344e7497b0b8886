"""Statistics of arms on common resamples, of any kind, and what estimates they give."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from medvision.domain.arms import list_pairs
from medvision.domain.bootstrap import Weights, compute_interval
from medvision.domain.estimate import Difference, Estimate
from medvision.domain.metrics import Replicates

Statistics = Callable[[Weights], Mapping[str, Replicates]]
"""(R, N) weights of images to name and (R,) values."""


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
        values: Arm and statistic to its value; NaN where it is undefined.
        replicates: Arm and statistic to its (R,) values on the resamples; NaN where undefined.
        counts: Whom they are of.
        confidence: Level of the intervals.
        methods: Statistic to how it is computed, in words.
        undefined: Statistic to why it may be undefined, in words.
    """

    values: Mapping[str, Mapping[str, float]]
    replicates: Mapping[str, Mapping[str, Replicates]]
    counts: Counts
    confidence: float
    methods: Mapping[str, str]
    undefined: Mapping[str, str]


def join_resamples(
    arms: Mapping[str, Statistics],
    resamples: Iterable[Weights],
    *,
    n_images: int,
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, Replicates]]]:
    """Compute the statistics of each arm on the data and on common resamples.

    Args:
        arms: Arm to what computes its statistics.
        resamples: Weights of the images, a part of the resamples at a time.
        n_images: Number of images.

    Returns:
        (values, replicates), as `Joined` has them.
    """
    ones = np.ones((1, n_images))
    values = {
        arm: {name: float(held[0]) for name, held in compute(ones).items()}
        for arm, compute in arms.items()
    }
    parts: dict[str, dict[str, list[Replicates]]] = {
        arm: {name: [] for name in held} for arm, held in values.items()
    }
    for weights in resamples:
        for arm, compute in arms.items():
            for name, found in compute(weights).items():
                parts[arm][name].append(found)
    joined = {
        arm: {name: np.concatenate(held) for name, held in by_name.items()}
        for arm, by_name in parts.items()
    }
    return values, joined


def list_estimates(joined: Joined) -> list[Estimate]:
    """Give every statistic its interval, its counts and its method.

    Args:
        joined: Statistics of all arms.

    Returns:
        One estimate per arm and statistic; an undefined one has a reason instead of a value.
    """
    return [
        _estimate(joined, arm, name=name)
        for arm, by_name in joined.values.items()
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
        for pair in list_pairs(list(joined.values))
        for name in joined.values[pair[0]]
    ]


def _estimate(joined: Joined, arm: str, *, name: str) -> Estimate:
    """Put one statistic together."""
    value = joined.values[arm][name]
    reason = f"undefined: {joined.undefined[name]}" if np.isnan(value) else None
    low, high, how = (None, None, reason)
    if reason is None:
        low, high, how = _find_interval(joined, joined.replicates[arm][name])
        low, high = (value, value) if low is None or high is None else (low, high)
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
    first, second = arms
    value = joined.values[first][name] - joined.values[second][name]
    replicates = joined.replicates[first][name] - joined.replicates[second][name]
    if np.isnan(value):
        low, high, method = None, None, f"undefined: {joined.undefined[name]}"
    else:
        low, high, how = _find_interval(joined, replicates)
        method = f"paired on the same subjects; {how}"
    if low is None and not np.isnan(value):
        method = "no interval: every resample gives the same difference, so it cannot be judged"
    return Difference(
        metric=name,
        arm_a=first,
        arm_b=second,
        difference=None if np.isnan(value) else value,
        low=low,
        high=high,
        n_subjects=joined.counts.n_subjects,
        method=method,
    )


def _find_interval(
    joined: Joined, replicates: Replicates
) -> tuple[float | None, float | None, str]:
    """Return the interval, None where all resamples agree, and how it was made."""
    held = replicates[np.isfinite(replicates)]
    if not len(held) or float(np.ptp(held)) == 0:
        return None, None, "every resample agrees, so the interval has no width"
    counts = joined.counts
    some = "" if counts.n_clusters == counts.n_subjects else " (some joined)"
    lost = len(replicates) - len(held)
    left = f", {lost} of them left out as undefined" if lost else ""
    how = (
        f"percentile bootstrap, {len(replicates)} resamples of {counts.n_clusters} subjects{some} "
        f"within fold{left}"
    )
    return *compute_interval(held, joined.confidence), how
