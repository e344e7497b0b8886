"""Statistics of predicted values on resamples: errors, agreement and correlation."""

import numpy as np

from medvision.domain.labels.values import Values
from medvision.domain.metrics.weighted import Replicates
from medvision.domain.resampling.bootstrap import Weights

LIMIT_SD = 1.96
"""Standard deviations from the bias to a limit of agreement: 95 % of normal errors lie within."""

METHODS = {
    "mae": "mean absolute error",
    "rmse": "root of the mean squared error",
    "r2": "1 minus the squared errors' sum over that of the values about their mean",
    "pearson_r": "Pearson's correlation of true and predicted value",
    "bias": "mean of predicted minus true value",
    "loa_low": f"bias minus {LIMIT_SD} standard deviations of the errors",
    "loa_high": f"bias plus {LIMIT_SD} standard deviations of the errors",
}
"""Statistic to how it is computed."""


def compute_value_statistics(
    true: Values, predicted: Values, *, weights: Weights
) -> dict[str, Replicates]:
    """Compute every statistic of predicted values on every resample.

    Args:
        true: (N,) true values.
        predicted: (N,) predicted ones.
        weights: (R, N) how often each image counts in each resample; ones for the data.

    Returns:
        Name, as in `METHODS`, to (R,) values; NaN where undefined.
    """
    n = weights.sum(axis=1)
    errors = predicted - true
    # About fixed points near their means: sums of squares of what is large cancel badly.
    x, y = true - true.mean(), predicted - predicted.mean()
    mean_x, mean_y, bias = (weights @ held / n for held in (x, y, errors))
    centred = errors - errors.mean()
    spread = weights @ centred**2 - n * (weights @ centred / n) ** 2
    squares = weights @ errors**2
    of_x = _clear(weights @ x**2 - n * mean_x**2, true)
    of_y = _clear(weights @ y**2 - n * mean_y**2, predicted)
    together = weights @ (x * y) - n * mean_x * mean_y
    sd = np.sqrt(_divide(np.maximum(spread, 0.0), n - 1))
    return {
        "mae": weights @ np.abs(errors) / n,
        "rmse": np.sqrt(squares / n),
        "r2": 1 - _divide(squares, of_x),
        "pearson_r": _divide(together, np.sqrt(of_x * of_y)),
        "bias": bias,
        "loa_low": bias - LIMIT_SD * sd,
        "loa_high": bias + LIMIT_SD * sd,
    }


_LEAST = 1e-20
"""Share of the squared values below which a sum of squares is nothing but rounding."""


def _clear(squares: Replicates, values: Values) -> Replicates:
    """Return sums of squares about a mean, 0 where all values are equal but for rounding."""
    limit = _LEAST * len(values) * float((values**2).max())
    result: Replicates = np.where(squares > limit, squares, 0.0)
    return result


def _divide(numerator: Replicates, denominator: Replicates) -> Replicates:
    """Divide, with NaN where there is nothing to divide by."""
    result: Replicates = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
