"""Reliability curves as facts: what was predicted, and what happened."""

from collections.abc import Sequence
from dataclasses import dataclass

from medvision.report.sources import Row, parse_count, parse_number


@dataclass(frozen=True)
class CalibrationBin:
    """One bin of the reliability curve."""

    predicted: float
    observed: float
    low: float | None
    high: float | None
    n: int


def build_bins(rows: Sequence[Row]) -> list[CalibrationBin]:
    """Return the reliability curve's bins that hold images.

    Args:
        rows: Rows of `evaluate/calibration.tsv` of one arm.
    """
    bins = []
    for row in rows:
        predicted, observed = parse_number(row["predicted"]), parse_number(row["observed"])
        if predicted is None or observed is None:
            continue
        low, high = parse_number(row["low"]), parse_number(row["high"])
        bins.append(CalibrationBin(predicted, observed, low, high, parse_count(row["n"]) or 0))
    return bins
