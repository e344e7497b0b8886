"""What one subject's lungs hold: vessels for everybody, and nodules or their stand-ins."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medvision.phantom.anatomy import Anatomy, compute_lung_distance
from medvision.phantom.streams import Generator
from medvision.phantom.structures import (
    Coordinates,
    Nodule,
    Point,
    Tube,
    compute_distance,
)

_N_CANDIDATES = 96
_MARGIN_MM = 2.0


@dataclass(frozen=True)
class Contents:
    """A subject's lungs, drawn before anybody knows the label.

    Args:
        vessels: Tubes that every subject shows. The first `len(nodules)` of them have a nodule's
            radius and HU, so that they look like it in one axial slice.
        nodules: Ellipsoids that the subject shows if positive.
        branches: Tubes of the nodules' volumes and HU that the subject shows if negative.
    """

    vessels: tuple[Tube, ...]
    nodules: tuple[Nodule, ...]
    branches: tuple[Tube, ...]

    def list_structures(self, *, label: str) -> tuple[Tube | Nodule, ...]:
        """Return what a subject of this label (`normal` or `nodule`) shows."""
        return self.vessels + (self.nodules if label == "nodule" else self.branches)


def draw_contents(generator: Generator, anatomy: Anatomy) -> Contents:
    """Draw the vessels, the nodules and the nodules' stand-ins of one subject.

    A negative subject shows, in place of each nodule, a thin branch of the same volume and HU:
    the sum over the image then says nothing, only the shape does.

    Args:
        generator: Stream of this subject's lungs; must not know the label.
        anatomy: The chest that they lie in.

    Returns:
        Contents in RAS+ mm.
    """
    seeds = [_draw_nodule(generator) for _ in range(int(generator.choice((1, 2, 3), p=_COUNTS)))]
    lookalikes = [_draw_lookalike(generator, anatomy, nodule=nodule) for nodule in seeds]
    vessels = list(lookalikes)
    for _ in range(int(generator.integers(3, 6))):
        vessels.append(_draw_vessel(generator, anatomy, radius_mm=float(generator.uniform(2, 4))))
    for parent in lookalikes:
        share = float(generator.uniform(0.4, 1.6))
        model = _draw_nodule(generator)
        vessels.append(_draw_branch(generator, anatomy, parent=parent, model=model, share=share))
    nodules: list[Nodule] = []
    branches: list[Tube] = []
    for nodule, parent in zip(seeds, lookalikes, strict=True):
        nodules.append(_place(generator, anatomy, nodule=nodule, others=[*vessels, *nodules]))
        branches.append(_draw_branch(generator, anatomy, parent=parent, model=nodule, share=1.0))
    return Contents(tuple(vessels), tuple(nodules), tuple(branches))


_COUNTS = (0.4, 0.35, 0.25)


def _draw_nodule(generator: Generator) -> Nodule:
    """Draw a nodule's size and HU; its place comes later."""
    a = float(generator.uniform(5.8, 8.8))
    b = a * float(generator.uniform(0.85, 1.15))
    c = a * float(generator.uniform(1.0, 1.2))
    return Nodule((0.0, 0.0, 0.0), (a, b, c), float(generator.uniform(0, 60)))


def _draw_lookalike(generator: Generator, anatomy: Anatomy, *, nodule: Nodule) -> Tube:
    """Draw a vessel along z whose axial section equals a nodule's middle."""
    radius = float(np.sqrt(nodule.radii_mm[0] * nodule.radii_mm[1]))
    return replace(_draw_vessel(generator, anatomy, radius_mm=radius), hu=nodule.hu)


def _draw_vessel(generator: Generator, anatomy: Anatomy, *, radius_mm: float) -> Tube:
    """Draw a slightly bent tube that runs mostly along z."""
    x, y, z = _draw_inside(generator, anatomy, clearance_mm=radius_mm + _MARGIN_MM)
    reach = generator.uniform(40, 75, 2)
    steps = np.linspace(-reach[0], reach[1], 5)
    slope = generator.normal(0, 0.12, 2)
    bend = generator.normal(0, 0.0012, 2)
    points = [
        (float(x + slope[0] * s + bend[0] * s**2), float(y + slope[1] * s + bend[1] * s**2), z + s)
        for s in steps.tolist()
    ]
    return Tube(tuple(points), radius_mm, float(generator.uniform(0, 60)))


def _draw_branch(
    generator: Generator, anatomy: Anatomy, *, parent: Tube, model: Nodule, share: float
) -> Tube:
    """Draw a thin tube off `parent`, mostly along z, with `share` of the volume of `model`."""
    radius = 0.55 * float(np.prod(model.radii_mm)) ** (1 / 3)
    length = share * model.volume_mm3 / (np.pi * radius**2)
    # Round ends add a ball's volume; the half that starts inside the parent does not count.
    length = max(length - 2 / 3 * radius, radius)
    directions = generator.normal(size=(_N_CANDIDATES, 3)) * (0.5, 0.5, 0.0)
    directions[:, 2] = generator.choice((-1.0, 1.0), _N_CANDIDATES)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    picks = generator.integers(1, len(parent.points_mm) - 1, _N_CANDIDATES)
    origins = np.array(parent.points_mm)[picks]
    # A fork: it leaves the parent sideways, then runs beside it.
    aside = directions * (1, 1, 0) / np.linalg.norm(directions[:, :2], axis=1, keepdims=True)
    starts = origins + aside * parent.radius_mm
    ends = starts + directions * length
    room = np.minimum(_measure_room(anatomy, ends), _measure_room(anatomy, (starts + ends) / 2))
    best = _choose(room - radius - _MARGIN_MM)
    return Tube((_as_point(starts[best]), _as_point(ends[best])), radius, model.hu)


def _place(
    generator: Generator, anatomy: Anatomy, *, nodule: Nodule, others: list[Tube | Nodule]
) -> Nodule:
    """Put a nodule where it touches neither the lung's surface nor another structure."""
    centres = _draw_candidates(generator, anatomy)
    points = _as_coordinates(centres)
    room = np.min(
        [_measure_room(anatomy, centres), *(compute_distance(s, points) for s in others)], axis=0
    )
    best = _choose(room - max(nodule.radii_mm) - _MARGIN_MM)
    return replace(nodule, centre_mm=_as_point(centres[best]))


def _draw_inside(generator: Generator, anatomy: Anatomy, *, clearance_mm: float) -> Point:
    """Draw a point of the lungs at least so far from their surface, where there is one."""
    centres = _draw_candidates(generator, anatomy)
    return _as_point(centres[_choose(_measure_room(anatomy, centres) - clearance_mm)])


def _draw_candidates(generator: Generator, anatomy: Anatomy) -> NDArray[np.float64]:
    """Draw points (N, 3) in the boxes around the two lungs, away from the scan's ends."""
    x, y, _ = anatomy.lung_centre_mm
    spread = generator.uniform(-1, 1, (_N_CANDIDATES, 3)) * (*anatomy.lung_mm[:2], 42.0)
    sides = generator.choice((-1.0, 1.0), _N_CANDIDATES)
    result: NDArray[np.float64] = spread + np.stack(
        [sides * x, np.full(_N_CANDIDATES, y), np.zeros(_N_CANDIDATES)], axis=1
    )
    return result


def _measure_room(anatomy: Anatomy, points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return how deep in mm points (N, 3) lie inside the lungs."""
    result: NDArray[np.float32] = -compute_lung_distance(anatomy, _as_coordinates(points))
    return result


def _choose(room: NDArray[np.float32]) -> int:
    """Return the first candidate with room, or else the one that lacks least."""
    return int(np.argmax(room > 0)) if (room > 0).any() else int(np.argmax(room))


def _as_coordinates(points: NDArray[np.float64]) -> Coordinates:
    """Split points (N, 3) into x, y, z."""
    x, y, z = points.astype(np.float32).T
    return x, y, z


def _as_point(row: NDArray[np.float64]) -> Point:
    """Return one row of points as plain floats."""
    x, y, z = row.tolist()
    return x, y, z
