"""Statistics of arms on the data, on common resamples and with units left out; their intervals."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvision.domain.metrics.weighted import Replicates
from medvision.domain.prediction import Indices
from medvision.domain.resampling.bca import compute_bca, compute_influences, expand_confidence
from medvision.domain.resampling.bootstrap import (
    Weights,
    compute_interval,
    draw_weights,
    is_moving,
    join_folds,
    leave_out,
)
from medvision.domain.resampling.settings import Interval, Settings

Statistics = Callable[[Weights], Mapping[str, Replicates]]
"""(R, N) weights of images to name and (R,) values."""

LEAST_SHARE = 0.9
"""Share of the resamples that must have a value for an interval of them."""


@dataclass(frozen=True)
class Draws:
    """One statistic of one arm.

    Args:
        value: On the data; NaN where it is undefined.
        replicates: (R,) on each resample; NaN where it is undefined.
        left_out: (G,) with each unit left out; empty where intervals need none.
        strata: (G,) stratum of each unit left out.
        within: What each resample keeps the numbers of, in words.
        are_sides_moving: Of a difference between other images: whether each side moves by itself.
    """

    value: float
    replicates: Replicates
    left_out: Replicates
    strata: Indices
    within: str
    are_sides_moving: bool = True

    def minus(self, other: "Draws") -> "Draws":
        """Subtract another arm's, resample by resample."""
        return Draws(
            self.value - other.value,
            self.replicates - other.replicates,
            self.left_out - other.left_out,
            self.strata,
            self.within,
        )

    def minus_others(self, other: "Draws") -> "Draws":
        """Subtract the statistic of other images, resample by resample.

        A side that is the same on every resample, such as a perfect share, adds no variance though
        the truth may lie far off: the difference then counts as one that does not move.
        """
        return replace(self.minus(other), are_sides_moving=self.is_moving and other.is_moving)

    @property
    def held(self) -> Replicates:
        """The replicates that have a value."""
        return self.replicates[np.isfinite(self.replicates)]

    @property
    def n_lost(self) -> int:
        """Number of resamples without a value."""
        return len(self.replicates) - len(self.held)

    def say_lost(self) -> str:
        """Say why there is no interval where too many resamples are without a value."""
        return f"no interval: undefined on {self.n_lost} of the {len(self.replicates)} resamples"

    def say_still(self) -> str:
        """Say why there is no interval where a difference does not move."""
        if not self.are_sides_moving:
            return "no interval: on one side every resample agrees, so its own error is not known"
        return "no interval: every resample gives the same difference, so it cannot be judged"

    @property
    def is_moving(self) -> bool:
        """Whether any two resamples differ; of a difference between other images, on both sides."""
        held = self.held
        return self.are_sides_moving and len(held) > 0 and is_moving(held)

    @property
    def is_kept(self) -> bool:
        """Whether enough resamples have a value."""
        return len(self.held) >= LEAST_SHARE * len(self.replicates)


@dataclass(frozen=True)
class Drawn:
    """Every statistic of every arm.

    Args:
        arms: Arm and statistic to its draws.
        interval: Kind of the intervals.
        confidence: Their level.
    """

    arms: Mapping[str, Mapping[str, Draws]]
    interval: Interval
    confidence: float


def draw_statistics(
    arms: Mapping[str, Statistics],
    clusters: Indices,
    *,
    folds: Indices,
    labels: Indices,
    settings: Settings,
) -> Drawn:
    """Compute the statistics of each arm on the data, on resamples and with units left out.

    Args:
        arms: Arm to what computes its statistics.
        clusters: (N,) what is resampled as one.
        folds: (N,) fold of each image.
        labels: (N,) class index of each image, within which subjects are drawn; all alike where
            resamples are to have other shares of the classes than the data.
        settings: Settings of the statistics.
    """
    names = [str(cluster) for cluster in clusters]
    drawn = draw_weights(
        names, folds, labels=labels, n_resamples=settings.n_resamples, seed=settings.seed
    )
    values = _compute(arms, [np.ones((1, len(clusters)))])
    replicates = _compute(arms, drawn)
    strata, weights = leave_out(names, folds, labels=labels)
    without = _compute(arms, weights if settings.interval == "bca" else [])
    nothing, within = np.empty(0), _say_within(clusters, folds, labels=labels)
    return Drawn(
        arms={
            arm: {
                name: Draws(
                    float(value[0]),
                    replicates[arm][name],
                    without[arm].get(name, nothing),
                    strata,
                    within,
                )
                for name, value in own.items()
            }
            for arm, own in values.items()
        },
        interval=settings.interval,
        confidence=settings.confidence,
    )


def _say_within(clusters: Indices, folds: Indices, *, labels: Indices) -> str:
    """Say what each resample keeps the numbers of."""
    spanned = not np.array_equal(join_folds(clusters, folds), folds)
    fold = "joined fold (some subjects lie in several)" if spanned else "fold"
    return f"{fold} and class" if labels.any() else fold


def join_drawn(parts: Sequence[Drawn], *, order: Sequence[str]) -> Drawn:
    """Return the statistics of several drawings together.

    Args:
        parts: Of the same arms, each with other statistics.
        order: All statistics in the order in which they are told.
    """
    arms = {
        arm: {
            name: part.arms[arm][name] for name in order for part in parts if name in part.arms[arm]
        }
        for arm in parts[0].arms
    }
    return replace(parts[0], arms=arms)


def find_ends(draws: Draws, drawn: Drawn) -> tuple[float, float, str]:
    """Return the interval of replicates that move, and how it was made.

    Args:
        draws: Of one statistic, or of a difference of two.
        drawn: What they are part of.

    Returns:
        (low, high, kind of bootstrap in words); by percentiles, with the reason, where BCa is
        undefined.
    """
    held, kind = draws.held, "percentile bootstrap"
    if drawn.interval == "bca":
        found = compute_influences(draws.left_out, draws.strata)
        ends = compute_bca(
            draws.value,
            held,
            acceleration=found.acceleration,
            confidence=expand_confidence(drawn.confidence, found.freedom),
        )
        if not isinstance(ends, str):
            return *ends, f"BCa bootstrap, widened as t of {found.freedom:.0f} degrees of freedom"
        kind = f"percentile bootstrap (BCa is undefined: {ends})"
    return *compute_interval(held, drawn.confidence), kind


BESIDE = "no interval: resamples are so biased that it would lie beside the value"
"""Of a figure such as the calibration error, which every resampling makes larger."""

_ROUNDING = 1e-9


def is_beside(value: float, low: float, high: float) -> bool:
    """Tell whether an interval does not hold its own value.

    Args:
        value: The statistic on the data.
        low: Lower end.
        high: Upper end.
    """
    return not low - _ROUNDING <= value <= high + _ROUNDING


def describe_resamples(draws: Draws, kind: str, *, n_clusters: int, n_subjects: int) -> str:
    """Say how the resamples behind an interval were drawn.

    Args:
        draws: Of one statistic, or of a difference of two.
        kind: Kind of bootstrap in words, of `find_ends`.
        n_clusters: What is resampled as one.
        n_subjects: Subjects; more than `n_clusters` where some were joined.
    """
    joined = "" if n_clusters == n_subjects else " (some joined)"
    lost = f", {draws.n_lost} of them left out as undefined" if draws.n_lost else ""
    return (
        f"{kind}, {len(draws.replicates)} resamples of {n_clusters} subjects{joined} "
        f"within {draws.within}{lost}"
    )


def _compute(
    arms: Mapping[str, Statistics], parts: Iterable[Weights]
) -> dict[str, dict[str, Replicates]]:
    """Compute the statistics of each arm on all weights, a part at a time."""
    found: dict[str, dict[str, list[Replicates]]] = {arm: {} for arm in arms}
    for weights in parts:
        for arm, compute in arms.items():
            for name, held in compute(weights).items():
                found[arm].setdefault(name, []).append(held)
    return {
        arm: {name: np.concatenate(held) for name, held in own.items()}
        for arm, own in found.items()
    }
