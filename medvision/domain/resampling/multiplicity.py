"""Several comparisons at once: p-values from a bootstrap, and Holm's correction."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ZERO = 1e-12
"""A difference within this of 0 is one, but for the rounding of the resamples' weights."""


def compute_p_value(replicates: NDArray[np.float64]) -> float:
    """Return the two-sided p-value that inverts the percentile interval of a difference.

    Twice the share of resamples on the rarer side of 0, those at 0 on both sides; never below
    2 / (R + 1), which R resamples cannot tell from 0.

    Args:
        replicates: (R,) the difference on each resample.

    Returns:
        In (0, 1].

    Source:
        Davison and Hinkley 1997, Bootstrap Methods and their Application, section 4.4 (the added
        one) and 5.2.
    """
    n_below, n_above = int((replicates <= _ZERO).sum()), int((replicates >= -_ZERO).sum())
    return min(1.0, 2 * (1 + min(n_below, n_above)) / (len(replicates) + 1))


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of any false finding among them is bounded.

    Args:
        p_values: (M,) of one family, each in [0, 1].

    Returns:
        (M,) adjusted values in the same order, each at least its own p-value.

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6:65-70.
    """
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, n in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[n]))
        adjusted[n] = highest
    return adjusted
