"""One figure of one arm, with its interval and counts."""

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


def name_interval(method: str) -> str:
    """Name in a word or two how an interval was made; the method says it in full."""
    known = {
        "BCa bootstrap": "BCa bootstrap",
        "bootstrap": "Percentile bootstrap",
        "Wilson": "Wilson",
        "its parts": "Mean of parts",
    }
    return next((word for key, word in known.items() if key in method), "")
