"""A learning curve read backwards: how many subjects are needed for a given AUC."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
"""(K,) float64: one value per point of the curve, or (R,) per resample."""

_ROUNDING = 1e-12


def invert_curve(sizes: Sequence[float], values: Numbers, *, wanted: float) -> float:
    """Return the least number of subjects at which a curve reaches a value.

    The curve is made to rise: its value at a size is the best up to there, which is what somebody
    with so many subjects could have had. So noise never makes fewer subjects of a start's look like
    more, and a curve held against itself saves nothing. Between two points it is a straight line
    over the logarithm of the number.

    Args:
        sizes: (K,) numbers of subjects, rising, above 0.
        values: (K,) the curve there.
        wanted: The value to be reached.

    Returns:
        The number; the smallest size where the curve is there already, infinity where it never is.

    Source:
        none: own definition.
    """
    curve = np.maximum.accumulate(values)
    if curve[-1] < wanted - _ROUNDING:
        return float("inf")
    above = int(np.argmax(curve >= wanted - _ROUNDING))
    if above == 0:
        return float(sizes[0])
    low, high = np.log(sizes[above - 1]), np.log(sizes[above])
    share = (wanted - curve[above - 1]) / (curve[above] - curve[above - 1])
    return float(np.exp(low + share * (high - low)))


def compute_ends(replicates: Numbers, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of values of which some may be infinite.

    Args:
        replicates: (R,) one value per resample.
        confidence: Level, such as 0.95.

    Returns:
        (low, high), each one of the values.
    """
    tail = (1 - confidence) / 2
    ordered = np.sort(replicates)
    last = len(ordered) - 1
    low, high = int(np.floor(tail * last)), int(np.ceil((1 - tail) * last))
    return float(ordered[low]), float(ordered[high])
