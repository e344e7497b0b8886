"""Bias-corrected and accelerated intervals of bootstrap replicates."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from medvision.domain.metrics.weighted import Replicates
from medvision.domain.prediction import Indices

_LEAST_FREEDOM = 3.0
_TIE = 1e-12
"""Share of the replicates' range within which one counts as equal to the value."""


def compute_bca(
    value: float,
    replicates: Replicates,
    *,
    acceleration: float,
    confidence: float,
) -> tuple[float, float] | str:
    """Return the BCa interval, or why there is none.

    The percentile interval with its ends moved by two numbers: the bias, from the share of
    resamples below the value (ties half), and the acceleration, by how fast the standard error
    changes with the value.

    Args:
        value: The statistic on the data.
        replicates: (R,) the statistic on each resample, finite.
        acceleration: As `compute_influences` gives it; NaN where it is undefined.
        confidence: Level, such as 0.95.

    Returns:
        (low, high), or the reason in words.

    Source:
        Efron 1987, doi:10.1080/01621459.1987.10478410.
    """
    near = np.abs(replicates - value) <= _TIE * float(np.ptp(replicates))
    share = float(((replicates < value) & ~near).mean() + near.mean() / 2)
    if not 0 < share < 1:
        return "all resamples lie on one side of the value"
    if math.isnan(acceleration):
        return "it does not change, or is undefined, with a subject left out"
    normal = NormalDist()
    bias = normal.inv_cdf(share)
    shares = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        moved = bias + normal.inv_cdf(tail)
        slack = 1 - acceleration * moved
        if slack <= 0:
            return "the acceleration is too large"
        shares.append(normal.cdf(bias + moved / slack))
    low, high = np.quantile(replicates, shares)
    return float(low), float(high)


@dataclass(frozen=True)
class Influences:
    """What the influences of subjects on a statistic say.

    Args:
        acceleration: A sixth of their skewness; NaN where it is undefined.
        freedom: Degrees of freedom of their sum of squares; NaN where it is undefined.
    """

    acceleration: float
    freedom: float


def compute_influences(left_out: Replicates, strata: Indices) -> Influences:
    """Describe the influences of units on a statistic, from its values without each in turn.

    The degrees of freedom are those of a chi-square with the mean and the variance of the sum of
    squares: as many as there are units where all have influences of one normal law, fewer where a
    few units, such as the subjects of a rare class, carry most.

    Args:
        left_out: (G,) the statistic without each unit, the others of its stratum weighing more.
        strata: (G,) stratum of each unit.

    Returns:
        Both NaN where a value is undefined or none differs.

    Source:
        Davison and Hinkley 1997, Bootstrap Methods and their Application, sections 5.3.2 and 3.2
        (several samples), influences by the jackknife; freedom as in Satterthwaite 1946,
        doi:10.2307/3002019.
    """
    if not len(left_out) or np.isnan(left_out).any():
        return Influences(math.nan, math.nan)
    sizes = np.bincount(strata)
    means = np.bincount(strata, weights=left_out) / np.maximum(sizes, 1)
    influences = ((sizes - 1) / np.maximum(sizes, 1))[strata] * (means[strata] - left_out)
    total = float((influences**2).sum())
    if total <= (_TIE * float(np.abs(left_out).max())) ** 2 * len(left_out):
        return Influences(math.nan, math.nan)
    variance = float((influences**4).sum()) - total**2 / len(left_out)
    freedom = 2 * total**2 / variance if variance > 0 else math.inf
    return Influences(
        acceleration=float((influences**3).sum() / (6 * total**1.5)),
        freedom=max(_LEAST_FREEDOM, min(freedom, float(len(left_out)))),
    )


def expand_confidence(confidence: float, freedom: float) -> float:
    """Return the level whose normal quantile is the t quantile of `confidence`.

    Bootstrap intervals with few subjects are too narrow, as normal ones are; this widens them by as
    much as Student's t would.

    Args:
        confidence: Level wanted, such as 0.95.
        freedom: Degrees of freedom, at least 3.

    Source:
        Hesterberg 2015, doi:10.1080/00031305.2015.1089789 (expanded intervals); quantile:
        Abramowitz and Stegun 1964, 26.7.5.
    """
    normal = NormalDist()
    z = normal.inv_cdf((1 + confidence) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    t = z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))
    return 2 * normal.cdf(t) - 1
