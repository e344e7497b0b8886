"""Operating points: thresholds fixed on validation predictions, never on test ones."""

from dataclasses import dataclass

import numpy as np

from medvision.domain.metrics import Flags, Scalars

FALLBACK = 0.5
"""The threshold where validation predictions give none; its rule says so."""

YOUDEN = "Youden"
"""The rule of a fitted threshold."""


@dataclass(frozen=True)
class Threshold:
    """An image is predicted positive where its probability is at least `value`."""

    value: float
    rule: str


def fit_threshold(probabilities: Scalars, positive: Flags) -> Threshold:
    """Choose the threshold with the largest Youden index on validation predictions.

    Candidates lie midway between neighbouring distinct probabilities. Of equally good ones
    the nearest to 0.5 is taken, then the lower. Where none does better than chance, or one
    class is absent, the threshold is 0.5 and the rule says why.

    Args:
        probabilities: (N,) of the positive class, on validation images.
        positive: (N,) the true class.

    Returns:
        The threshold, with nine significant digits so that the table reproduces it, and its
        rule in words.

    Source:
        Youden 1950, doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.
    """
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return Threshold(FALLBACK, f"{FALLBACK}, validation images hold one class")
    values = np.unique(probabilities)
    if len(values) == 1:
        return Threshold(FALLBACK, f"{FALLBACK}, validation predictions are constant")
    hits = _count_from(np.sort(probabilities[positive]), values)
    alarms = _count_from(np.sort(probabilities[~positive]), values)
    # Whole numbers, so that equal indices are equal.
    youden = hits * n_negative - alarms * n_positive
    if youden.max() <= 0:
        return Threshold(FALLBACK, f"{FALLBACK}, no validation threshold is better than chance")
    best = np.flatnonzero(youden == youden.max())
    middles = (values[best] + values[best + 1]) / 2
    nearest = int(best[np.argmin(np.abs(middles - FALLBACK))])
    return Threshold(_round_between(values[nearest], values[nearest + 1]), YOUDEN)


def _count_from(ordered: Scalars, values: Scalars) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Count how many are at least as large as each value but the smallest."""
    return (len(ordered) - np.searchsorted(ordered, values[1:], side="left")).astype(np.int64)


def _round_between(low: float, high: float) -> float:
    """Return the middle as nine digits have it, or `high` where that would leave the gap."""
    middle = float(f"{(low + high) / 2:.9g}")
    return middle if low < middle <= high else float(high)
