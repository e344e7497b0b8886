"""Where slices lie: the directions that they share, and the positions along their normal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import Slice
from medvision.io.reasons import RefusalError
from medvision.io.stacking.close import Labels, group_close

Points = NDArray[np.float64]
"""(N, 3) positions, LPS+ mm, or (3,) directions."""

_ORTHONORMAL_TOLERANCE = 1e-3

_SAME_PLACE = 0.02
"""Positions closer than this share of a pixel are one."""


_FARTHEST_MM = 1e6
"""No position is a kilometre away; sums of greater numbers would lose the millimetres."""

_SMALLEST_MM = 1e-6


@dataclass(frozen=True)
class Places:
    """Where the slices of one stack lie.

    Args:
        row: (3,) unit vector of rising column index, LPS+.
        column: (3,) unit vector of rising row index, LPS+.
        normal: (3,) unit vector row × column, LPS+.
        spacing_mm: Distance between rows, between columns: the median of all slices.
        points: (N, 3) position of each slice, LPS+ mm.
        heights_mm: (N,) place of each slice along the normal.
        labels: (N,) number of each slice's position, rising along the normal.
    """

    row: Points
    column: Points
    normal: Points
    spacing_mm: tuple[float, float]
    points: Points
    heights_mm: NDArray[np.float64]
    labels: Labels

    @property
    def same_mm(self) -> float:
        """Distance below which two positions are one."""
        return _SAME_PLACE * min(self.spacing_mm)

    def label_points(self) -> Labels:
        """Number positions in space: slices of one height that are shifted sideways differ."""
        axes = np.stack([self.normal, self.row, self.column], axis=1)
        return group_close(self.points @ axes, tolerance=[self.same_mm] * 3)


def locate(slices: Sequence[Slice]) -> Places:
    """Tell where parallel slices lie.

    Args:
        slices: At least one, all with geometry.

    Raises:
        RefusalError: `bad-orientation`, `no-position` or `no-spacing` where the numbers are none.

    Source:
        PS3.3 C.7.6.2.1.1 (equation of the image plane).
    """
    row, column, normal = _compute_directions(slices)
    points = np.array([item.frame.position_mm for item in slices], dtype=np.float64)
    # Negated, so that NaN is refused.
    if not np.abs(points).max() <= _FARTHEST_MM:
        raise RefusalError(
            "no-position", f"positions must be within {_FARTHEST_MM:g} mm, got one that is not"
        )
    spacings = np.array([item.frame.spacing_mm for item in slices], dtype=np.float64)
    if not (spacings.min() >= _SMALLEST_MM and spacings.max() <= _FARTHEST_MM):
        raise RefusalError(
            "no-spacing", f"PixelSpacing must be at least {_SMALLEST_MM:g} mm, got another"
        )
    # Medians of equal numbers are these numbers, to the last bit.
    row_mm, column_mm = map(float, np.median(spacings, axis=0))
    heights_mm = points @ normal
    tolerance = _SAME_PLACE * min(row_mm, column_mm)
    labels = group_close(heights_mm[:, np.newaxis], tolerance=[tolerance])
    return Places(row, column, normal, (row_mm, column_mm), points, heights_mm, labels)


def _compute_directions(slices: Sequence[Slice]) -> tuple[Points, Points, Points]:
    """Return the unit vectors of rows, columns and slices, LPS+."""
    directions = np.array([item.frame.orientation for item in slices], dtype=np.float64)
    usual = np.median(directions, axis=0)
    row, column = usual[:3], usual[3:]
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    strayed = max(float(np.abs(lengths - 1).max()), abs(float(row @ column)))
    # Negated, so that NaN is refused.
    if not strayed <= _ORTHONORMAL_TOLERANCE:
        raise RefusalError(
            "bad-orientation",
            "ImageOrientationPatient must be two perpendicular unit vectors, got lengths "
            f"{lengths[0]:.4g} and {lengths[1]:.4g}, product {row @ column:.4g}",
        )
    row, column = row / lengths[0], column / lengths[1]
    normal = np.cross(row, column)
    return row, column, normal / np.linalg.norm(normal)
