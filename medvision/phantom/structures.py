"""What lies in a lung: tubes (vessels) and ellipsoids (nodules), as distances in mm."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]
"""(x, y, z) in RAS+ mm."""

Coordinates = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""x, y and z in RAS+ mm at the same points, arrays of one shape."""

Distances = NDArray[np.float32]
"""mm to a surface, negative inside, of the shape of the points."""


@dataclass(frozen=True)
class Tube:
    """A vessel: a line of points with a radius; its ends are round."""

    points_mm: tuple[Point, ...]
    radius_mm: float
    hu: float


@dataclass(frozen=True)
class Nodule:
    """An ellipsoid with its axes along x, y, z."""

    centre_mm: Point
    radii_mm: Point
    hu: float

    @property
    def volume_mm3(self) -> float:
        return float(4 / 3 * np.pi * np.prod(self.radii_mm))


def compute_distance(structure: Tube | Nodule, points: Coordinates) -> Distances:
    """Return the distance in mm of points to a structure's surface, negative inside."""
    if isinstance(structure, Nodule):
        return compute_ellipsoid_distance(structure.centre_mm, structure.radii_mm, points=points)
    starts, ends = structure.points_mm[:-1], structure.points_mm[1:]
    nearest = [
        _measure_segment(start, end, points=points) for start, end in zip(starts, ends, strict=True)
    ]
    result: Distances = np.sqrt(np.min(nearest, axis=0)) - np.float32(structure.radius_mm)
    return result


def compute_ellipsoid_distance(
    centre_mm: Point, radii_mm: Point, *, points: Coordinates
) -> Distances:
    """Return the approximate distance in mm to an ellipsoid, negative inside.

    Args:
        centre_mm: Centre, RAS+ mm.
        radii_mm: Half axes along x, y, z; infinity makes a cylinder.
        points: Where to measure.

    Returns:
        First-order distance: exact on the surface and for spheres.

    Source:
        Taubin 1994, doi:10.1145/174462.174466 (value over gradient of the implicit function).
    """
    scaled = [
        (axis - np.float32(centre)) / np.float32(radius)
        for axis, centre, radius in zip(points, centre_mm, radii_mm, strict=True)
    ]
    slopes = [part / np.float32(radius) for part, radius in zip(scaled, radii_mm, strict=True)]
    length = _measure_length(scaled)
    steepness = np.maximum(_measure_length(slopes), np.float32(1e-6))
    # At the centre the quotient is 0 / 0; the shortest half axis is the distance there.
    inner = np.float32(-min(radii_mm))
    result: Distances = np.maximum(length * (length - 1) / steepness, inner)
    return result


def compute_bounds(structure: Tube | Nodule, margin_mm: float) -> tuple[Point, Point]:
    """Return the lower and upper corner (RAS+ mm) of the box around a structure."""
    if isinstance(structure, Nodule):
        centre, radii = np.array([structure.centre_mm]), np.array(structure.radii_mm)
    else:
        centre, radii = np.array(structure.points_mm), np.full(3, structure.radius_mm)
    reach = radii + margin_mm
    low, high = (centre - reach).min(axis=0), (centre + reach).max(axis=0)
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def _measure_length(parts: list[NDArray[np.float32]]) -> Distances:
    """Return the length of vectors given as x, y, z parts."""
    result: Distances = np.sqrt(parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2)
    return result


def _measure_segment(start: Point, end: Point, *, points: Coordinates) -> Distances:
    """Return the squared distance in mm² of points to a line segment."""
    along = [np.float32(b - a) for a, b in zip(start, end, strict=True)]
    offset = [axis - np.float32(a) for axis, a in zip(points, start, strict=True)]
    length = max(float(sum(step**2 for step in along)), 1e-9)
    dot = offset[0] * along[0] + offset[1] * along[1] + offset[2] * along[2]
    share = np.clip(dot / np.float32(length), 0, 1)
    squares = [(o - share * step) ** 2 for o, step in zip(offset, along, strict=True)]
    result: Distances = squares[0] + squares[1] + squares[2]
    return result
