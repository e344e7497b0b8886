"""How far a map that was handed over is from the same map computed again, and how far it may be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medvision.domain.volume import FloatGrid

TOLERANCE = 2e-4
"""Largest relative L2 distance that other CPUs and thread counts are allowed to make."""

ARBITER_FACTOR = 2.0
"""Beyond it: how many times as far from the float64 map as one's own float32 map is."""

Closeness = Literal["bit-equal", "within tolerance", "within float32's own error", "another map"]


@dataclass(frozen=True)
class Comparison:
    """A map held against the same map computed again.

    Args:
        closeness: What came of it.
        distance: Relative L2 distance of the two.
        arbiter: (distance of the map handed over, distance of the map computed again) from the
            float64 map, where that was asked.
    """

    closeness: Closeness
    distance: float
    arbiter: tuple[float, float] | None = None

    def __str__(self) -> str:
        """Return it in words."""
        text = f"{self.closeness}, relative L2 distance {self.distance:.3g}"
        if self.arbiter is None:
            return text
        held, own = self.arbiter
        return f"{text}, from float64 {held:.3g} and {own:.3g}"


def compute_relative_distance(held: FloatGrid, wanted: FloatGrid) -> float:
    """Return the length of the difference of two maps as a share of the second's length.

    Not a correlation and not SSIM: a map that is scaled, or of weights that were moved a little,
    is hardly told by these.

    Args:
        held: (I, J, K).
        wanted: (I, J, K).

    Returns:
        0 for equal maps; infinity where the second is zero everywhere and the first is not, or
        where either is not finite.
    """
    difference = np.linalg.norm(held.astype(np.float64) - wanted.astype(np.float64))
    length = np.linalg.norm(wanted.astype(np.float64))
    if not (np.isfinite(difference) and np.isfinite(length)):
        return float("inf")
    if length == 0:
        return 0.0 if difference == 0 else float("inf")
    return float(difference / length)


def compare_maps(
    held: FloatGrid, again: FloatGrid, *, compute_precise: Callable[[], FloatGrid] | None
) -> Comparison:
    """Hold a map against the same map computed again, with float64 as arbiter in doubt.

    A map farther than `TOLERANCE` is still the same where float32 itself is that inexact on this
    image: it must be at most `ARBITER_FACTOR` times as far from the float64 map as the map
    computed again.

    Args:
        held: (I, J, K), as handed over.
        again: (I, J, K), computed here in float32.
        compute_precise: Computes it in float64; None where a method draws, and would draw others.

    Source:
        none: own definition.
    """
    if np.array_equal(held, again):
        return Comparison("bit-equal", 0.0)
    distance = compute_relative_distance(held, again)
    if distance <= TOLERANCE:
        return Comparison("within tolerance", distance)
    if compute_precise is None:
        return Comparison("another map", distance)
    precise = compute_precise()
    arbiter = tuple(compute_relative_distance(grid, precise) for grid in (held, again))
    is_same = arbiter[0] <= ARBITER_FACTOR * arbiter[1] < float("inf")
    closeness: Closeness = "within float32's own error" if is_same else "another map"
    return Comparison(closeness, distance, (arbiter[0], arbiter[1]))
