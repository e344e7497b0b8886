"""Outliers of a group by robust z: how far a value lies from the median, in robust deviations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

_TO_SD = 1.4826
"""Median absolute deviation to standard deviation, of a normal distribution."""

_SMALLEST = 1e-6


@dataclass(frozen=True)
class OutlierRule:
    """How one measure is compared with its group.

    Args:
        rule: Name of the rule that a finding goes by.
        scale: log for what varies by factors, linear otherwise.
        side: Which end is a fault.
        floor: Smallest deviation that counts as one, on the scale: a group without any spread
            has a median absolute deviation of 0, and every other value would be an outlier.
        floor_unit: Measure whose median in the group the floor is a multiple of, or empty.
    """

    rule: str
    scale: Literal["log", "linear"]
    side: Literal["both", "high", "low"]
    floor: float
    floor_unit: str = ""


OUTLIER_RULES = {
    "pixel_mm": OutlierRule("spacing", "log", "both", 0.03),
    "plane_mm": OutlierRule("spacing", "log", "both", 0.03),
    "plane_pixels": OutlierRule("size", "log", "both", 0.03),
    "n_planes": OutlierRule("size", "log", "both", 0.06),
    "sd": OutlierRule("intensity", "log", "both", 0.06),
    "foreground_mean": OutlierRule("intensity", "linear", "both", 0.1, "sd"),
    "noise_share": OutlierRule("noise", "log", "high", 0.12),
    "sharpness": OutlierRule("blur", "log", "low", 0.06),
    "ghosting": OutlierRule("ghosting", "linear", "high", 0.01),
    "cohort_fit": OutlierRule("unlike-cohort", "linear", "low", 0.05),
}
"""Measure to its rule."""


@dataclass(frozen=True)
class Bounds:
    """The values within which a group lies, in the measure's own unit."""

    low: float
    high: float

    def passed(self, value: float) -> float | None:
        """Return the bound that a value lies beyond, None where it lies within."""
        if value < self.low:
            return self.low
        return self.high if value > self.high else None


def find_bounds(
    values: Sequence[float], rule: OutlierRule, *, outlier_z: float, unit: float = 1.0
) -> Bounds | None:
    """Return the bounds of a group.

    Args:
        values: The group's values of one measure.
        rule: How it is compared.
        outlier_z: Robust z of the bounds.
        unit: What the floor is a multiple of.

    Returns:
        Median plus and minus z robust deviations, infinite on the side that is no fault; None
        for fewer than three values.

    Source:
        Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers: z = (x - median) / (1.4826
        MAD). The floor is an own addition.
    """
    if len(values) < 3:
        return None
    scaled = np.array([_scale(value, rule.scale) for value in values])
    middle = float(np.median(scaled))
    deviation = max(_TO_SD * float(np.median(np.abs(scaled - middle))), rule.floor * unit)
    low, high = middle - outlier_z * deviation, middle + outlier_z * deviation
    return Bounds(
        low=-math.inf if rule.side == "high" else _unscale(low, rule.scale),
        high=math.inf if rule.side == "low" else _unscale(high, rule.scale),
    )


def _scale(value: float, scale: str) -> float:
    return math.log(max(value, _SMALLEST)) if scale == "log" else value


def _unscale(value: float, scale: str) -> float:
    return math.exp(min(value, 700.0)) if scale == "log" else value
