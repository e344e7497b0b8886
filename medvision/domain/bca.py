"""Bias-corrected and accelerated intervals of bootstrap replicates."""

import math
from statistics import NormalDist

import numpy as np

from medvision.domain.metrics import Replicates
from medvision.domain.prediction import Indices

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
        acceleration: As `compute_acceleration` gives it; NaN where it is undefined.
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


def compute_acceleration(left_out: Replicates, strata: Indices) -> float:
    """Return the acceleration of a statistic from its values with one unit left out in turn.

    Args:
        left_out: (G,) the statistic without each unit, the others of its stratum weighing more.
        strata: (G,) stratum of each unit.

    Returns:
        A sixth of the skewness of the units' influences; NaN where a value is undefined or none
        differs.

    Source:
        Davison and Hinkley 1997, Bootstrap Methods and their Application, sections 5.3.2 and 3.2
        (several samples), influences by the jackknife.
    """
    if not len(left_out) or np.isnan(left_out).any():
        return math.nan
    sizes = np.bincount(strata)[strata]
    means = (np.bincount(strata, weights=left_out) / np.maximum(np.bincount(strata), 1))[strata]
    influences = (sizes - 1) / sizes * (means - left_out)
    squares = float((influences**2).sum())
    scale = float(np.abs(left_out).max())
    if squares <= (_TIE * scale) ** 2 * len(left_out):
        return math.nan
    return float((influences**3).sum() / (6 * squares**1.5))
