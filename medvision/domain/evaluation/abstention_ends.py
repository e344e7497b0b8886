"""Intervals of abstention's figures, and whether an order is better than a random one."""

import numpy as np

from medvision.domain.metrics.calibration import compute_wilson
from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.resampling.draws import Drawn, describe_resamples, find_ends

Ends = tuple[float | None, float | None]
"""Lower and upper end of an interval, None where there is none."""

_CHANCE = 0.5
_NEARLY_HALF = 0.499
_ROUNDING = 1e-9


def judge_order(gain: Ends, pairs: Ends) -> str:
    """Say whether an order is shown to be better than a random one.

    By the gain and by the pairs: of few subjects the interval of the gain alone would call a blind
    order better in twice as many studies as it should (`benchmarks/coverage_abstention.py`).

    Args:
        gain: Interval of the figure `aurc_gain`; None where it has none.
        pairs: Interval of the figure `error_auc`; None where it has none.
    """
    (low, high), (auc_low, auc_high) = gain, pairs
    if low is None or high is None or auc_low is None or auc_high is None:
        return "cannot be judged"
    if low > 0 and auc_low > _CHANCE:
        return "is better than a random order"
    if high < 0 and auc_high < _CHANCE:
        return "is worse than a random order"
    return "is not shown to be better than a random order"


def find_interval(
    drawn: Drawn, key: str, *, name: str, arm: ArmTest
) -> tuple[float | None, float | None, str]:
    """Return a figure's interval, None where there is none, and how it was made.

    Args:
        drawn: All figures.
        key: Arm and order.
        name: The figure, or a share of images kept.
        arm: The arm's predictions.
    """
    draws = drawn.arms[key][name]
    if name == "alarm_limit":
        return None, None, "fixed on validation"
    if np.isnan(draws.value):
        return None, None, "undefined: no fold has right and wrong predictions"
    if not draws.is_kept:
        return None, None, f"no interval: undefined on {draws.n_lost} of the resamples"
    n_clusters = len(np.unique(arm.clusters))
    trials = _count_trials(drawn, key, name=name, n_clusters=n_clusters)
    if trials is not None:
        # Resamples hardly move a share of none: an interval of them would claim to know it.
        ends = compute_wilson(round(draws.value), trials[0], confidence=drawn.confidence)
        return *ends, f"none or all are, so the interval is Wilson's, {trials[1]}: {trials[0]}"
    if not draws.is_moving:
        return None, None, "no interval: every resample agrees"
    low, high, kind = find_ends(draws, drawn)
    n_subjects = len(set(arm.rounds[0].subjects))
    how = describe_resamples(draws, kind, n_clusters=n_clusters, n_subjects=n_subjects)
    return low, high, how


def _count_trials(drawn: Drawn, key: str, *, name: str, n_clusters: int) -> tuple[int, str] | None:
    """Count the independent trials behind a share of none or all; None for any other figure."""
    draws = drawn.arms[key][name]
    if name == "error_auc":
        is_whole = not draws.is_moving and abs(draws.value - _CHANCE) > _NEARLY_HALF
        rate = drawn.arms[key]["error_rate"].value
        share, what = min(rate, 1 - rate), "pairs of subjects"
    else:
        is_whole = draws.value in (0.0, 1.0)
        is_share = name in ("error_rate", "alarm_rate")
        share, what = 1.0 if is_share else float(name) if name[0].isdigit() else 0.0, "subjects"
    if not is_whole or not share:
        return None
    return max(1, int(share * n_clusters + _ROUNDING)), what
