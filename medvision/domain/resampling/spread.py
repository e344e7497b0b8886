"""How a figure moves from seed to seed: each seed's value, their mean and standard deviation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from medvision.domain.arms import is_ensemble
from medvision.domain.metrics.figures import compute_statistics
from medvision.domain.metrics.statistic import ArmTest


@dataclass(frozen=True)
class SeedSpread:
    """One statistic of one arm on the test images, seed by seed.

    Args:
        arm: Arm; an ensemble has no seeds of its own.
        metric: Statistic.
        values: Seed to its value; with repeats or inner trainings the mean over its own.
        mean: Mean over the seeds, which is what is reported; None where it is undefined.
        sd: Sample standard deviation over the seeds; None of one seed.
    """

    arm: str
    metric: str
    values: Mapping[int, float]
    mean: float | None
    sd: float | None

    @property
    def n_seeds(self) -> int:
        """Return the number of seeds."""
        return len(self.values)


def compute_spreads(arms: Mapping[str, ArmTest]) -> tuple[SeedSpread, ...]:
    """Compute every statistic of every single network's arm for each seed alone.

    The spread is of trainings on the same subjects; it says nothing of other subjects, which the
    interval is about.

    Args:
        arms: Name to test predictions.

    Returns:
        Spreads in order of arm and statistic.

    Source:
        Bouthillier et al. 2021, arXiv:2103.03098.
    """
    return tuple(
        spread
        for name, arm in arms.items()
        if not is_ensemble(name)
        for spread in _spread_arm(name, arm)
    )


def _spread_arm(name: str, arm: ArmTest) -> list[SeedSpread]:
    """Return the spread of each statistic of one arm."""
    seeds = sorted(set(arm.seeds))
    found = {seed: _compute_seed(arm, seed) for seed in seeds}
    return [
        describe_spread(name, metric, values={seed: found[seed][metric] for seed in seeds})
        for metric in found[seeds[0]]
    ]


def _compute_seed(arm: ArmTest, seed: int) -> dict[str, float]:
    """Compute the statistics of the rounds of one seed."""
    chosen = [n for n, held in enumerate(arm.seeds) if held == seed]
    alone = replace(
        arm,
        rounds=tuple(arm.rounds[n] for n in chosen),
        predicted=tuple(arm.predicted[n] for n in chosen),
        seeds=tuple(arm.seeds[n] for n in chosen),
    )
    ones = np.ones((1, len(arm.labels)))
    return {name: float(value[0]) for name, value in compute_statistics(alone, ones).items()}


def describe_spread(arm: str, metric: str, *, values: Mapping[int, float]) -> SeedSpread:
    """Put mean and standard deviation to the values of each seed.

    Args:
        arm: Arm.
        metric: Statistic.
        values: Seed to its value; NaN where it is undefined.
    """
    held = np.array(list(values.values()))
    if np.isnan(held).any():
        return SeedSpread(arm, metric, values, None, None)
    sd = float(held.std(ddof=1)) if len(held) > 1 else None
    return SeedSpread(arm, metric, values, float(held.mean()), sd)
