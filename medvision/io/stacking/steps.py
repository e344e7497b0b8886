"""The distance of slices: measured by least squares, and where it leaves gaps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.io.reasons import RefusalError
from medvision.io.stacking.places import Points

_MISSING_RATIO = 1.5
"""A step this many times the usual one is a missing slice, not an uneven one."""

_JITTER_MM = 0.005
"""Deviation that no tolerance counts, unless it is a tenth of the step."""

_ROUNDING_MM = 0.06
"""Positions rounded to a tenth of a mm lie this close to the even grid fitted to them."""

_MOST_GAPS = 5
"""Gaps told one by one."""

_MOST_INVENTED = 4
"""Resampling may make this many slices of each slice, and no more."""


@dataclass(frozen=True)
class Steps:
    """The distances of slices along their normal.

    Args:
        heights_mm: (P,) place of each slice along the normal, rising.
        usual_mm: Median step.
        code: Empty where steps are even, else `missing-slice` or `variable-spacing`.
        n_missing: Slices that are missing between the first and the last, by the usual step.
        detail: What is uneven, `<thing> must be <rule>, got <value>`.
    """

    heights_mm: NDArray[np.float64]
    usual_mm: float
    code: str
    n_missing: int
    detail: str

    @property
    def count_even(self) -> tuple[int, float]:
        """Number and distance of the slices of an even grid from the first to the last."""
        span = float(self.heights_mm[-1] - self.heights_mm[0])
        n_steps = span / self.usual_mm
        # A whole number of steps, nearly: the grid ends on the last slice.
        if abs(n_steps - round(n_steps)) <= 0.1:
            return round(n_steps) + 1, span / round(n_steps)
        return int(n_steps) + 1, self.usual_mm


def measure_steps(heights_mm: NDArray[np.float64], *, gap_tolerance: float) -> Steps:
    """Measure the steps of slices and find their gaps.

    Steps are even if each deviates from the least squares step by no more than the tolerance or,
    where positions are rounded, if each slice lies within the tolerance and 0.06 mm of the even
    grid. A step of 1.5 times the median or more, beyond the tolerance, is a missing slice.

    Args:
        heights_mm: (P,) at least two, rising.
        gap_tolerance: Largest deviation, as a share of the step.

    Source:
        none: own definition.
    """
    steps = np.diff(heights_mm)
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    fitted = _fit_step(heights_mm)
    limit = max(gap_tolerance * fitted, min(_JITTER_MM, 0.1 * usual))
    strayed = np.abs(_measure_residuals(heights_mm)).max()
    is_long = (steps >= _MISSING_RATIO * usual) & (steps - usual > gap_tolerance * usual)
    is_uneven = np.abs(steps - fitted).max() > limit and strayed > min(limit, _ROUNDING_MM)
    if not (is_long.any() or is_uneven or strayed > limit):
        return Steps(heights_mm, usual, "", 0, "")
    return Steps(
        heights_mm=heights_mm,
        usual_mm=usual,
        code="missing-slice" if is_long.any() else "variable-spacing",
        n_missing=int(np.maximum(np.rint(steps[is_long] / usual) - 1, 0).sum()),
        detail=_describe_gaps(steps, usual, gap_tolerance=gap_tolerance),
    )


def _fit_step(heights_mm: NDArray[np.float64]) -> float:
    """Return the slope of heights over their number, by least squares."""
    index = np.arange(len(heights_mm)) - (len(heights_mm) - 1) / 2
    return float(index @ heights_mm / (index @ index))


def _measure_residuals(heights_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far heights lie from the even grid that fits them best."""
    index = np.arange(len(heights_mm)) - (len(heights_mm) - 1) / 2
    residuals: NDArray[np.float64] = heights_mm - heights_mm.mean() - index * _fit_step(heights_mm)
    return residuals


def _describe_gaps(steps: NDArray[np.float64], usual: float, *, gap_tolerance: float) -> str:
    """Tell the first gaps, and how many there are."""
    wrong = np.flatnonzero(np.abs(steps - usual) > gap_tolerance * usual)
    places = [
        f"after slice {k + 1} of {len(steps) + 1} {steps[k]:.2f} mm instead of {usual:.2f}"
        for k in wrong[:_MOST_GAPS]
    ]
    if len(wrong) > _MOST_GAPS:
        places.append("and so on")
    told = ", ".join(places) or "small deviations that add up"
    return (
        f"slice spacing must be uniform within {gap_tolerance:.0%}, got {steps.min():.2f} to "
        f"{steps.max():.2f} mm, {len(wrong)} of {len(steps)} steps differ: {told}"
    )


def check_steps(steps: Steps, *, gaps: str) -> None:
    """Refuse gaps, as the settings say.

    Args:
        steps: As measured.
        gaps: `refuse`, `flag` or `resample`.

    Raises:
        RefusalError: `missing-slice` or `variable-spacing`, also where resampling would invent
            more than four slices for each one.
    """
    if not steps.code:
        return
    n_wanted = float(steps.heights_mm[-1] - steps.heights_mm[0]) / steps.usual_mm
    is_invented = gaps == "resample" and n_wanted > _MOST_INVENTED * len(steps.heights_mm)
    if gaps == "refuse" or is_invented:
        raise RefusalError(steps.code, steps.detail)


def fit_line(points: Points, abscissae: NDArray[np.float64]) -> tuple[Points, Points]:
    """Fit point = start + abscissa * slope by least squares.

    Args:
        points: (N, 3), mm.
        abscissae: (N,), not all equal.

    Returns:
        (start, slope): (3,) each.
    """
    centred = abscissae - abscissae.mean()
    slope = centred @ (points - points.mean(axis=0)) / (centred @ centred)
    return points.mean(axis=0) - abscissae.mean() * slope, slope
