"""Calibration before and after temperature scaling, of the same test images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np

from medvision.domain.arms import parse_seed
from medvision.domain.metrics.figures import compute_calibration_statistics
from medvision.domain.metrics.miscalibration import expect_ece
from medvision.domain.metrics.statistic import ArmTest, describe_method
from medvision.domain.metrics.weighted import Scalars
from medvision.domain.prediction import Predictions, compute_scores, read_cell
from medvision.domain.resampling.draws import (
    BESIDE,
    Drawn,
    Draws,
    draw_statistics,
    find_ends,
    is_beside,
)
from medvision.domain.resampling.settings import Settings
from medvision.errors import DataError

Temperatures = Mapping[tuple[str, int, int], float]
"""Arm, training and seed to the temperature that its logits were divided by; empty where none."""

NO_TEMPERATURES: Temperatures = MappingProxyType({})
"""Of logits that were not divided."""

_RIGHT = {"calibration_slope": 1.0, "calibration_intercept": 0.0}
"""Figures that may lie on either side of their right value; of all others 0 is, and the least."""

NO_FINDINGS: Mapping[str, Temperatures] = MappingProxyType({})
"""Of findings whose logits were not divided."""


@dataclass(frozen=True)
class ScalingEffect:
    """One figure of one arm before and after its temperatures; None where it is undefined.

    Args:
        arm: Arm.
        metric: Figure.
        before: With every temperature taken back to 1.
        before_low: Lower end of its interval.
        before_high: Upper end.
        after: As everywhere else in the evaluation.
        after_low: Lower end of its interval.
        after_high: Upper end.
        change: After minus before.
        change_low: Lower end of its interval, paired on the same resamples.
        change_high: Upper end.
        distance_change: How far from the right value after, less how far before; below 0 is nearer.
        distance_low: Lower end of its interval, paired likewise.
        distance_high: Upper end.
        n_images: Test images.
        n_subjects: Their subjects.
        n_scaled: Networks whose temperature is not 1.
        n_networks: All networks.
        method: What the figure is, and how the interval of the change was made.
    """

    arm: str
    metric: str
    before: float | None
    before_low: float | None
    before_high: float | None
    after: float | None
    after_low: float | None
    after_high: float | None
    change: float | None
    change_low: float | None
    change_high: float | None
    distance_change: float | None
    distance_low: float | None
    distance_high: float | None
    n_images: int
    n_subjects: int
    n_scaled: int
    n_networks: int
    method: str


def read_temperatures(
    rows: Sequence[Mapping[str, str]],
) -> dict[str, dict[tuple[str, int, int], float]]:
    """Return the temperatures of a table, by finding.

    Args:
        rows: Rows of `predict/temperatures.tsv`; none where no temperature was asked for.

    Returns:
        Finding to its temperatures; of classes under the empty name.

    Raises:
        DataError: A cell is missing, or a temperature is not a number above 0.
    """
    found: dict[str, dict[tuple[str, int, int], float]] = {}
    for row in rows:
        key = read_cell(row, "arm"), int(read_cell(row, "fold")), parse_seed(read_cell(row, "seed"))
        text = read_cell(row, "temperature")
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < np.inf:
            raise DataError(f"temperatures: temperature must be a number above 0, got {text}.")
        found.setdefault(row.get("finding", ""), {})[key] = value
    return found


def undo_temperatures(
    arms: Mapping[str, ArmTest], temperatures: Temperatures
) -> dict[str, ArmTest]:
    """Return what the networks predicted before their logits were divided.

    Log-odds and temperatures come from tables of nine digits, and so agree with the networks' own
    to about as many. The predicted class stays that of the scaled probabilities.

    Args:
        arms: Name to test predictions, as scaled.
        temperatures: Of every network of every arm.

    Returns:
        Name to test predictions; none where there are no temperatures.

    Raises:
        DataError: A network has none.
    """
    if not temperatures:
        return {}
    return {
        name: replace(
            arm,
            rounds=tuple(
                _undo(each, _list_scales(name, each, seed=seed, temperatures=temperatures))
                for each, seed in zip(arm.rounds, arm.seeds, strict=True)
            ),
        )
        for name, arm in arms.items()
    }


def compute_effects(
    scaled: Drawn,
    *,
    after: Mapping[str, ArmTest],
    before: Mapping[str, ArmTest],
    temperatures: Temperatures,
    settings: Settings,
) -> tuple[ScalingEffect, ...]:
    """Hold the figures of calibration after the temperatures against those before.

    Args:
        scaled: The arms' statistics as scaled.
        after: Name to test predictions as scaled.
        before: Name to test predictions of `undo_temperatures`.
        temperatures: Of every network.
        settings: Settings of the statistics, those of `scaled`: so the resamples are the same.

    Returns:
        In order of arm and figure; none where there are no temperatures.
    """
    if not before:
        return ()
    first = next(iter(before.values()))
    drawn = draw_statistics(
        {name: partial(compute_calibration_statistics, arm) for name, arm in before.items()},
        first.clusters,
        folds=first.folds,
        labels=np.zeros_like(first.labels),
        settings=settings,
    )
    return tuple(
        _build_effect(
            (name, metric),
            arms=(before[name], after[name]),
            draws=(draws, scaled.arms[name][metric]),
            of=drawn,
            scales=[value for (arm, _, _), value in temperatures.items() if arm == name],
        )
        for name, found in drawn.arms.items()
        for metric, draws in found.items()
    )


def _list_scales(name: str, each: Predictions, *, seed: int, temperatures: Temperatures) -> Scalars:
    """Return the temperature of the network that predicted each image."""
    try:
        own = {n: temperatures[name, n, seed] for n in np.unique(each.trainings).tolist()}
    except KeyError as error:
        raise DataError(
            "temperatures: every network of the predictions must have one, got none of arm "
            f"{name}, fold {error.args[0][1]}.",
            "run the step predict again.",
        ) from error
    return np.array([own[n] for n in each.trainings.tolist()], dtype=np.float64)


def _undo(each: Predictions, scales: Scalars) -> Predictions:
    """Multiply the logits of each image, which log-odds hold up to a constant."""
    if (scales == 1).all():
        return each
    logits = scales[:, None] * -np.logaddexp(0, -each.scores)
    shares = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    return replace(each, scores=compute_scores(logits), probabilities=shares)


def _build_effect(
    names: tuple[str, str],
    *,
    arms: tuple[ArmTest, ArmTest],
    draws: tuple[Draws, Draws],
    of: Drawn,
    scales: Sequence[float],
) -> ScalingEffect:
    """Put one figure of one arm together."""
    before, after = (_find(each, of) for each in draws)
    change = _find(draws[1].minus(draws[0]), of)
    distance = _find_distance(draws, names[1], of=of) if names[1] in _RIGHT else change
    n_scaled = sum(value != 1 for value in scales)
    how = change[3] if n_scaled else "every temperature is 1, so nothing was changed"
    return ScalingEffect(
        *names,
        *before[:3],
        *after[:3],
        *change[:3],
        *distance[:3],
        n_images=len(arms[0].labels),
        n_subjects=len(set(arms[0].rounds[0].subjects)),
        n_scaled=n_scaled,
        n_networks=len(scales),
        method=f"{_describe(arms, names[1])}; change: {how}",
    )


def _find_distance(
    draws: tuple[Draws, Draws], metric: str, *, of: Drawn
) -> tuple[float | None, float | None, float | None, str]:
    """Return how much farther from the right value a figure is after, with its interval."""
    before, after = (_measure_distance(each, _RIGHT[metric]) for each in draws)
    # A distance has a kink at the right value: beside it most resamples lie on one side of the
    # value, which BCa would take for bias. The sign has none, and percentiles keep it.
    return _find(after.minus(before), replace(of, interval="percentile"))


def _measure_distance(draws: Draws, right: float) -> Draws:
    """Return how far a figure is from its right value, on the data and on each resample."""
    return replace(
        draws,
        value=abs(draws.value - right),
        replicates=np.abs(draws.replicates - right),
        left_out=np.abs(draws.left_out - right),
    )


def _describe(arms: tuple[ArmTest, ArmTest], metric: str) -> str:
    """Say what a figure is; of the calibration error also its bias on both sides."""
    before, after = arms
    if metric != "ece":
        return describe_method(after, metric)
    told = [before.predict_event(each)[0] for each in before.rounds]
    chance = np.mean([expect_ece(each, before.n_bins) for each in told])
    return f"{describe_method(after, metric)}; before, about {chance:.3f}"


def _find(draws: Draws, of: Drawn) -> tuple[float | None, float | None, float | None, str]:
    """Return a value with its interval, as far as there are any, and how, or why not."""
    if np.isnan(draws.value):
        return None, None, None, "undefined"
    if not draws.is_kept:
        return draws.value, None, None, draws.say_lost()
    if not draws.is_moving:
        return draws.value, None, None, "no interval, every resample agrees"
    low, high, kind = find_ends(draws, of)
    if is_beside(draws.value, low, high):
        return draws.value, None, None, BESIDE
    return draws.value, low, high, f"paired on the same images, {kind}"
