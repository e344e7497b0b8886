"""The chest itself: body, lungs, heart, airway, ribs and spine as a function of place."""

from dataclasses import dataclass

import numpy as np

from medvision.phantom.streams import Generator
from medvision.phantom.structures import (
    Coordinates,
    Distances,
    Point,
    compute_ellipsoid_distance,
)

AIR_HU = -1000.0
LUNG_HU = -850.0
FAT_HU = -95.0
MUSCLE_HU = 45.0
BLOOD_HU = 60.0
BONE_HU = 420.0
MARROW_HU = 190.0


@dataclass(frozen=True)
class Anatomy:
    """One subject's chest, centred on the spine's front edge; everything in RAS+ mm.

    Args:
        body_mm: Half axes of the body along x and y.
        lung_mm: Half axes of each lung.
        lung_centre_mm: Centre of the right lung; the left one mirrors it.
        heart_mm: Half axes of the heart.
        heart_centre_mm: Centre of the heart.
        rib_phase: Where along z the first rib runs, in radians.
        waves: Rows (frequency x, y, z in 1/mm, phase) of the lung's slow texture.
    """

    body_mm: tuple[float, float]
    lung_mm: Point
    lung_centre_mm: Point
    heart_mm: Point
    heart_centre_mm: Point
    rib_phase: float
    waves: tuple[tuple[float, float, float, float], ...]


def draw_anatomy(generator: Generator) -> Anatomy:
    """Draw one subject's chest."""
    scale = generator.uniform(0.94, 1.04)
    width, depth = scale * generator.uniform(0.97, 1.03, 2)
    frequencies = generator.normal(0, 0.16, (4, 3))
    phases = generator.uniform(0, 2 * np.pi, 4)
    return Anatomy(
        body_mm=(88 * width, 66 * depth),
        lung_mm=(30 * width, 45 * depth, 84 * scale),
        lung_centre_mm=(40 * width, 3.0, float(generator.uniform(-8, 2))),
        heart_mm=(27 * width, 25 * depth, 30 * scale),
        heart_centre_mm=(-10.0, 18.0, float(generator.uniform(-46, -38))),
        rib_phase=float(generator.uniform(0, 2 * np.pi)),
        waves=tuple(
            (float(x), float(y), float(z), float(phase))
            for (x, y, z), phase in zip(frequencies, phases, strict=True)
        ),
    )


def compute_lung_distance(anatomy: Anatomy, points: Coordinates) -> Distances:
    """Return the distance in mm to the lungs' surface, negative inside either lung."""
    x, y, z = anatomy.lung_centre_mm
    sides = [
        compute_ellipsoid_distance((side * x, y, z), anatomy.lung_mm, points=points)
        for side in (1, -1)
    ]
    heart = compute_ellipsoid_distance(anatomy.heart_centre_mm, anatomy.heart_mm, points=points)
    result: Distances = np.maximum(np.minimum(sides[0], sides[1]), -heart)
    return result


def render_anatomy(anatomy: Anatomy, points: Coordinates, *, width_mm: float) -> Distances:
    """Return the HU of a chest without vessels.

    Args:
        anatomy: The chest.
        points: Where to look.
        width_mm: Width of the ramp at each surface, about one voxel.

    Returns:
        HU, float32, of the points' shape.
    """
    width, depth = anatomy.body_mm
    body = _measure_column((0.0, 0.0), (width, depth), points=points)
    hu = _blend(np.full(points[0].shape, AIR_HU, np.float32), FAT_HU, distance=body, width=width_mm)
    hu = _blend(hu, MUSCLE_HU, distance=body + np.float32(5), width=width_mm)
    hu = _blend(hu, BONE_HU, distance=_measure_ribs(anatomy, points, body=body), width=width_mm)
    spine = _measure_column((0.0, -40.0), (14.0, 13.0), points=points)
    hu = _blend(hu, BONE_HU, distance=spine, width=width_mm)
    hu = _blend(hu, MARROW_HU, distance=spine + np.float32(4), width=width_mm)
    heart = compute_ellipsoid_distance(anatomy.heart_centre_mm, anatomy.heart_mm, points=points)
    hu = _blend(hu, BLOOD_HU, distance=heart, width=width_mm)
    lung = LUNG_HU + _draw_texture(anatomy, points)
    hu = _blend(hu, lung, distance=compute_lung_distance(anatomy, points), width=width_mm)
    airway = _measure_column((0.0, -10.0), (6.5, 6.0), points=points)
    upper = np.maximum(airway, np.float32(10) - points[2])
    return _blend(hu, AIR_HU, distance=upper, width=width_mm)


def compute_coverage(distance: Distances, width_mm: float) -> Distances:
    """Return the covered share of a voxel, 0 to 1, falling over `width_mm` at the surface."""
    result: Distances = np.clip(np.float32(0.5) - distance / np.float32(width_mm), 0, 1)
    return result


def _blend(
    hu: Distances, inner: float | Distances, *, distance: Distances, width: float
) -> Distances:
    """Put `inner` where the distance is negative, with a soft edge."""
    coverage = compute_coverage(distance, width)
    result: Distances = hu + coverage * (np.asarray(inner, np.float32) - hu)
    return result


def _measure_column(
    centre: tuple[float, float], radii: tuple[float, float], *, points: Coordinates
) -> Distances:
    """Return the distance in mm to an elliptic cylinder along z."""
    flat = (points[0], points[1], np.float32(0) * points[2])
    return compute_ellipsoid_distance((*centre, 0.0), (*radii, 1e6), points=flat)


def _measure_ribs(anatomy: Anatomy, points: Coordinates, *, body: Distances) -> Distances:
    """Return the distance in mm to the ribs: slanting bands in a shell below the skin."""
    shell = np.abs(body + np.float32(10)) - np.float32(3)
    slant = points[2] + np.float32(0.35) * points[1]
    period = np.float32(2 * np.pi / 24)
    band = np.float32(7) * (np.float32(0.25) - np.cos(slant * period + anatomy.rib_phase))
    result: Distances = np.maximum(shell, band.astype(np.float32))
    return result


def _draw_texture(anatomy: Anatomy, points: Coordinates) -> Distances:
    """Return the lung's slow texture in HU: a few plane waves."""
    total = np.zeros(points[0].shape, np.float32)
    for x, y, z, phase in anatomy.waves:
        turn = np.float32(x) * points[0] + np.float32(y) * points[1] + np.float32(z) * points[2]
        total += np.float32(14) * np.sin(turn + np.float32(phase))
    return total
