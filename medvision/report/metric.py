"""One figure of one arm, with its interval and counts."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One figure of one arm with its interval and counts."""

    arm: str
    metric: str
    words: str
    value: float | None
    low: float | None
    high: float | None
    n_images: int | None
    n_subjects: int | None
    n_positive: int | None
    method: str
    interval_by: str

    @property
    def has_unit(self) -> bool:
        """Whether the figure is in the unit of a predicted value."""
        return has_unit(self.metric)


def has_unit(metric: str) -> bool:
    """Tell whether a figure is in the unit of a predicted value."""
    return metric in ("mae", "rmse", "bias", "loa_low", "loa_high")


_LESS_IS_BETTER = ("brier", "log_loss", "ece", "mae", "rmse")
_NEITHER_IS_BETTER = ("calibration_slope", "calibration_intercept", "bias", "loa_low", "loa_high")


def find_direction(metric: str) -> int:
    """Return 1 where more of a figure is better, -1 where less is, 0 where neither is."""
    if metric.startswith(_NEITHER_IS_BETTER):
        return 0
    return -1 if metric.startswith(_LESS_IS_BETTER) else 1


def choose_digits(value: float | None) -> int:
    """Return the decimals of a figure in a value's own unit: two more than a hundredth needs.

    Args:
        value: The main figure; None or 0 gives 3.
    """
    return max(0, 2 - math.floor(math.log10(abs(value)))) if value else 3


def name_interval(method: str) -> str:
    """Name in a word or two how an interval was made; the method says it in full."""
    known = {
        "BCa bootstrap": "BCa bootstrap",
        "bootstrap": "Percentile bootstrap",
        "Wilson": "Wilson",
        "its parts": "Mean of parts",
    }
    return next((word for key, word in known.items() if key in method), "")
