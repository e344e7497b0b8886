"""The source task of transfer learning: which shape, of which texture, lies in a noisy cavity."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medvision.phantom.anatomy import compute_coverage
from medvision.phantom.render import compute_points, find_box
from medvision.phantom.scanner import FIELD_OF_VIEW_MM, Grid
from medvision.phantom.streams import Generator, build_generator
from medvision.phantom.structures import (
    Coordinates,
    Distances,
    Nodule,
    Point,
    Tube,
    compute_distance,
    compute_ellipsoid_distance,
)

SHAPES = ("ball", "tube")
TEXTURES = ("smooth", "grainy")
CLASS_NAMES = ("nothing", *(f"{texture} {shape}" for shape in SHAPES for texture in TEXTURES))
"""Class 0 shows distractors only; the others show one to three of a shape as well."""

_CAVITY = 0.125
_SOLID = 0.85
_GRAIN = 0.22
_N_DISTRACTORS = (3, 9)
_N_SHAPES = (1, 4)
_N_CANDIDATES = 12


def generate_source_images(
    *, n_images: int, size: tuple[int, int, int], seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], tuple[str, ...]]:
    """Generate labelled images for the source task.

    Each image shows cavities in a solid, crossed by tubes along k whatever the class is, and one
    to three of one shape, or none. No chest, no scanner, no label of the phantom cohort; what
    carries over is telling a ball from a tube, which takes more than one slice.

    Args:
        n_images: Number of images; classes are dealt out evenly.
        size: Voxels (i, j, k); k = 1 makes 2D images, where tubes lie in the plane.
        seed: Same seed, same images.

    Returns:
        (images, labels, class_names): (N, 1, I, J, K) float32 in scaled intensity, about 0 to 1;
        (N,) int64 indices of class_names.

    Source:
        none: own definition.
    """
    order = build_generator(seed, "source", "labels").permutation(n_images)
    labels = (order % len(CLASS_NAMES)).astype(np.int64)
    grid = Grid(size, _build_affine(size))
    points = compute_points(grid.affine, shape=size, slice_offset=0.0)
    images = np.empty((n_images, 1, *size), np.float32)
    for index, label in enumerate(labels.tolist()):
        generator = build_generator(seed, "source", index)
        images[index, 0] = _render(generator, points, grid=grid, label=label)
    return images, labels, CLASS_NAMES


def _build_affine(size: tuple[int, int, int]) -> NDArray[np.float64]:
    """Spread the voxels over the field of view, centred on the origin."""
    spacing = np.array(FIELD_OF_VIEW_MM) / size
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(size) - 1) / 2
    return affine


def _render(
    generator: Generator, points: Coordinates, *, grid: Grid, label: int
) -> NDArray[np.float32]:
    """Render one image of a class."""
    is_flat = grid.shape[2] == 1
    width_mm = float(grid.affine[0, 0])
    centres, cavity = _draw_cavities(generator, points)
    outer = float(generator.uniform(80, 100)), float(generator.uniform(58, 75)), 1e6
    solid = compute_ellipsoid_distance((0.0, 0.0, 0.0), outer, points=points)
    image = np.float32(_SOLID) * compute_coverage(solid, width_mm)
    image += compute_coverage(cavity, width_mm) * (np.float32(_CAVITY) - image)
    for structure, grain in _draw_structures(generator, centres, label=label, is_flat=is_flat):
        box = find_box(grid, structure)
        near = (points[0][box], points[1][box], points[2][box])
        coverage = compute_coverage(compute_distance(structure, near), width_mm)
        dents = np.abs(generator.standard_normal(coverage.shape, dtype=np.float32))
        level = np.float32(generator.uniform(0.8, 0.9)) - np.float32(grain) * dents
        image[box] += coverage * (level - image[box])
    noise_sd = np.float32(generator.uniform(0.015, 0.035))
    noise = generator.standard_normal(image.shape, dtype=np.float32)
    result: NDArray[np.float32] = np.clip(image + noise_sd * noise, 0, 1)
    return result


def _draw_structures(
    generator: Generator, centres: list[Point], *, label: int, is_flat: bool
) -> list[tuple[Tube | Nodule, float]]:
    """Draw the distractors and the shapes of the class, each with the depth of its grain."""
    structures: list[tuple[Tube | Nodule, float]] = []
    for _ in range(int(generator.integers(*_N_DISTRACTORS))):
        place = _draw_place(generator, centres, others=[], is_flat=is_flat)
        structures.append((_draw_tube(generator, place, is_flat=is_flat), 0.0))
    if label == 0:
        return structures
    shape, texture = divmod(label - 1, len(TEXTURES))
    for _ in range(int(generator.integers(*_N_SHAPES))):
        others = [structure for structure, _ in structures]
        place = _draw_place(generator, centres, others=others, is_flat=is_flat)
        structures.append((_SHAPES[SHAPES[shape]](generator, place, is_flat), texture * _GRAIN))
    return structures


def _draw_cavities(generator: Generator, points: Coordinates) -> tuple[list[Point], Distances]:
    """Draw two large ellipsoids; return their centres and the distance to the nearest."""
    centres: list[Point] = []
    distances = []
    for side in (-1, 1):
        x, y, z = generator.uniform(-1, 1, 3) * (14, 14, 12) + (side * 40, 0, 0)
        radii = generator.uniform(0.85, 1.2, 3) * (33, 44, 84)
        centres.append((float(x), float(y), float(z)))
        reach = (float(radii[0]), float(radii[1]), float(radii[2]))
        distances.append(compute_ellipsoid_distance(centres[-1], reach, points=points))
    result: Distances = np.min(distances, axis=0)
    return centres, result


def _draw_place(
    generator: Generator, centres: list[Point], *, others: list[Tube | Nodule], is_flat: bool
) -> Point:
    """Draw a point well inside a cavity, the one of a few that is farthest from the others."""
    chosen = np.array(centres)[generator.integers(len(centres), size=_N_CANDIDATES)]
    places = chosen + generator.uniform(-1, 1, (_N_CANDIDATES, 3)) * (19, 28, 40)
    if is_flat:
        places[:, 2] = 0
    x, y, z = places.astype(np.float32).T
    distances = [compute_distance(other, (x, y, z)) for other in others]
    best = int(np.argmax(np.min(distances, axis=0))) if distances else 0
    return float(places[best, 0]), float(places[best, 1]), float(places[best, 2])


def _draw_tube(generator: Generator, place: Point, *, is_flat: bool) -> Tube:
    """Draw a distractor: a tube mostly along k, or in the plane of a 2D image."""
    direction = generator.normal(0, 1, 3) * ((1, 1, 0) if is_flat else (0.16, 0.16, 0))
    if not is_flat:
        direction[2] = 1.0
    radius = float(generator.uniform(2, 4) if generator.random() < 0.5 else generator.uniform(5, 9))
    return _stretch(generator, place, direction=direction, radius_mm=radius)


def _draw_oblique(generator: Generator, place: Point, is_flat: bool) -> Tube:
    """Draw the class `tube`: across the slices, unlike the distractors."""
    direction = generator.normal(0, 1, 3) * (1, 1, 0 if is_flat else 0.5)
    return _stretch(generator, place, direction=direction, radius_mm=float(generator.uniform(4, 8)))


def _stretch(
    generator: Generator, place: Point, *, direction: NDArray[np.float64], radius_mm: float
) -> Tube:
    """Return a straight tube through a point."""
    unit = direction / max(float(np.linalg.norm(direction)), 1e-9)
    back, ahead = generator.uniform(18, 50, 2)
    start, end = np.array(place) - back * unit, np.array(place) + ahead * unit
    ends = ((start[0], start[1], start[2]), (end[0], end[1], end[2]))
    return Tube(ends, radius_mm, 0.0)


def _draw_ball(generator: Generator, place: Point, is_flat: bool) -> Nodule:  # noqa: ARG001 - one signature for all shapes
    """Draw the class `ball`."""
    x, y, z = generator.uniform(0.85, 1.15, 3) * generator.uniform(5.5, 9.5)
    return Nodule(place, (float(x), float(y), float(z)), 0.0)


_SHAPES: dict[str, Callable[[Generator, Point, bool], Tube | Nodule]] = {
    "ball": _draw_ball,
    "tube": _draw_oblique,
}
