"""Calibration: predicted probabilities held against observed frequencies, bin by bin."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.weighted import Flags, Scalars
from medvision.domain.prediction import Indices


@dataclass(frozen=True)
class CalibrationBin:
    """One bin of the curve.

    Args:
        predicted: Mean predicted probability.
        observed: Share of predictions whose event happened.
        low: Lower end of the Wilson interval of `observed`.
        high: Upper end.
        n: Distinct images in the bin.
        n_subjects: Distinct subjects in the bin, on which the interval rests.
    """

    predicted: float
    observed: float
    low: float
    high: float
    n: int
    n_subjects: int


def calibrate_arm(arm: ArmTest, *, confidence: float) -> tuple[CalibrationBin, ...]:
    """Compute the calibration curve of an arm, all its rounds together.

    Args:
        arm: The arm's test predictions. The event is the positive class; with more than two
            classes, that the most probable one is right.
        confidence: Level of the intervals.

    Returns:
        Bins in order of `predicted`.
    """
    told = [arm.predict_event(each) for each in arm.rounds]
    n_rounds = len(arm.rounds)
    bins = compute_calibration(
        np.concatenate([probabilities for probabilities, _ in told]),
        np.concatenate([happened for _, happened in told]),
        images=np.tile(np.arange(len(arm.labels)), n_rounds),
        clusters=np.tile(arm.clusters, n_rounds),
        n_bins=arm.n_bins,
        confidence=confidence,
    )
    return tuple(bins)


def compute_calibration(
    probabilities: Scalars,
    happened: Flags,
    *,
    images: Indices,
    clusters: Indices,
    n_bins: int,
    confidence: float,
) -> list[CalibrationBin]:
    """Compute the calibration curve in bins of equal count.

    Equal probabilities never part, so there may be fewer bins than asked for. The interval
    counts subjects, not images or seeds: it is wide rather than narrow where images of one
    subject agree.

    Args:
        probabilities: (M,) predicted probability of the event; with several seeds each
            image is there once per seed.
        happened: (M,) whether the event happened.
        images: (M,) image by position.
        clusters: (M,) subject (or group of subjects) by position.
        n_bins: Bins wanted, at least 2.
        confidence: Level of the intervals.

    Returns:
        Bins in order of `predicted`.

    Source:
        Bins of equal count as in Nguyen and O'Connor 2015, doi:10.18653/v1/D15-1182.
    """
    inner = np.quantile(probabilities, np.arange(1, n_bins) / n_bins)
    index = np.searchsorted(np.unique(inner), probabilities, side="right")
    result = []
    for value in np.unique(index):
        members = index == value
        observed = float(happened[members].mean())
        n_subjects = len(np.unique(clusters[members]))
        low, high = compute_wilson(observed, n_subjects, confidence=confidence)
        result.append(
            CalibrationBin(
                predicted=float(probabilities[members].mean()),
                observed=observed,
                low=low,
                high=high,
                n=len(np.unique(images[members])),
                n_subjects=n_subjects,
            )
        )
    return result


def compute_wilson(share: float, n: int, *, confidence: float) -> tuple[float, float]:
    """Compute the Wilson score interval of a proportion.

    Args:
        share: Observed proportion, 0 to 1.
        n: Independent observations behind it, at least 1.
        confidence: Level, such as 0.95.

    Returns:
        (low, high), always within 0 to 1.

    Source:
        Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = share + z * z / (2 * n)
    margin = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # Of none and of all an end is exact, which rounding would leave beside it.
    low = 0.0 if share <= 0 else max(0.0, (centre - margin) / scale)
    return low, 1.0 if share >= 1 else min(1.0, (centre + margin) / scale)
