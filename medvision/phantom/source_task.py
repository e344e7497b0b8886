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

SHAPES = ("tube", "ball")
TEXTURES = ("smooth", "grainy")
CLASS_NAMES = tuple(f"{texture} {shape}" for shape in SHAPES for texture in TEXTURES)
"""Each shape in each texture, so that neither tells the other."""

_CAVITY = 0.125
_SOLID = 0.85
_GRAIN = 0.4
_N_TUBES = (1, 4)
_N_CANDIDATES = 12
_MINIMUM_SIZE = 8


def generate_source_images(
    *, n_images: int, size: tuple[int, int, int], seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], tuple[str, ...]]:
    """Generate labelled images for the source task.

    Each image shows cavities in a solid, crossed by smooth tubes whatever the class is, and one
    to three tubes or balls more, smooth or grainy. No chest, no scanner, no label of the phantom
    cohort; what carries over is telling a ball from a tube, which takes more than one slice.

    Args:
        n_images: Number of images; classes are dealt out evenly.
        size: Voxels (i, j, k) of the study's images. Source images are half as large along each
            axis, in voxels of the same size: a network learns a shape from many small images
            sooner than from few large ones. k = 1 makes 2D images, where tubes lie in the plane.
        seed: Same seed, same images.

    Returns:
        (images, labels, class_names): (N, 1, I/2, J/2, K/2) float32 in scaled intensity, 0 to 1;
        (N,) int64 indices of class_names.

    Source:
        none: own definition.
    """
    order = build_generator(seed, "source", "labels").permutation(n_images)
    labels = (order % len(CLASS_NAMES)).astype(np.int64)
    grid = _build_grid(size)
    points = compute_points(grid.affine, shape=grid.shape, slice_offset=0.0)
    images = np.empty((n_images, 1, *grid.shape), np.float32)
    for index, label in enumerate(labels.tolist()):
        generator = build_generator(seed, "source", index)
        images[index, 0] = _render(generator, points, grid=grid, label=label)
    return images, labels, CLASS_NAMES


def _build_grid(size: tuple[int, int, int]) -> Grid:
    """Lay half of each axis, in the voxels of a whole image, around the origin."""
    spacing = np.array(FIELD_OF_VIEW_MM) / size
    i, j, k = (max(n // 2, min(n, _MINIMUM_SIZE)) for n in size)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array((i, j, k)) - 1) / 2
    if k == 1:
        affine[2, 3] = 0.0
    return Grid((i, j, k), affine)


def _render(
    generator: Generator, points: Coordinates, *, grid: Grid, label: int
) -> NDArray[np.float32]:
    """Render one image of a class."""
    width_mm = float(grid.affine[0, 0])
    cavity = _draw_cavity(generator, points)
    image = _SOLID + compute_coverage(cavity, width_mm) * np.float32(_CAVITY - _SOLID)
    for structure, grain in _draw_structures(generator, points, cavity=cavity, label=label):
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
    generator: Generator, points: Coordinates, *, cavity: Distances, label: int
) -> list[tuple[Tube | Nodule, float]]:
    """Draw the smooth tubes and the shape of the class, each with the depth of its grain."""
    is_flat = points[0].shape[2] == 1
    tubes: list[Tube | Nodule] = []
    for _ in range(int(generator.integers(*_N_TUBES))):
        place = _draw_place(generator, points, cavity=cavity, others=[])
        tubes.append(_draw_tube(generator, place, is_flat))
    shape, texture = divmod(label, len(TEXTURES))
    place = _draw_place(generator, points, cavity=cavity, others=tubes)
    chosen = _SHAPES[SHAPES[shape]](generator, place, is_flat)
    return [*((tube, 0.0) for tube in tubes), (chosen, texture * _GRAIN)]


def _draw_cavity(generator: Generator, points: Coordinates) -> Distances:
    """Draw a large ellipsoid whose wall may cross the image; return the distance to it."""
    x, y, z = generator.uniform(-1, 1, 3) * (24, 28, 30)
    radii = generator.uniform(0.85, 1.2, 3) * (36, 46, 84)
    reach = (float(radii[0]), float(radii[1]), float(radii[2]))
    result: Distances = compute_ellipsoid_distance(
        (float(x), float(y), float(z)), reach, points=points
    )
    return result


def _draw_place(
    generator: Generator,
    points: Coordinates,
    *,
    cavity: Distances,
    others: list[Tube | Nodule],
) -> Point:
    """Draw a voxel well inside the cavity, the one of a few that is farthest from the others."""
    # Away from the ends along k, where a ball would be cut into what a tube's end looks like.
    depth = np.where(np.abs(points[2]) < 0.3 * np.ptp(points[2]) + 1, cavity, np.inf)
    picks = generator.choice(np.argsort(depth, axis=None)[: depth.size // 5], _N_CANDIDATES)
    x, y, z = (axis.ravel()[picks] for axis in points)
    distances = [compute_distance(other, (x, y, z)) for other in others]
    best = int(np.argmax(np.min(distances, axis=0))) if distances else 0
    return float(x[best]), float(y[best]), float(z[best])


def _draw_tube(generator: Generator, place: Point, is_flat: bool) -> Tube:
    """Draw a tube of any width: mostly along k, or in the plane of a 2D image."""
    direction = generator.normal(0, 0.14, 3)
    direction[2] = 0 if is_flat else 1
    return _stretch(
        generator, place, direction=direction, radius_mm=float(generator.uniform(2.5, 9.5))
    )


def _stretch(
    generator: Generator, place: Point, *, direction: NDArray[np.float64], radius_mm: float
) -> Tube:
    """Return a straight tube through a point."""
    unit = direction / max(float(np.linalg.norm(direction)), 1e-9)
    back, ahead = generator.uniform(25, 80, 2)
    start, end = np.array(place) - back * unit, np.array(place) + ahead * unit
    ends = ((start[0], start[1], start[2]), (end[0], end[1], end[2]))
    return Tube(ends, radius_mm, 0.0)


def _draw_ball(generator: Generator, place: Point, is_flat: bool) -> Nodule:  # noqa: ARG001 - one signature for all shapes
    """Draw the class `ball`."""
    x, y, z = generator.uniform(0.85, 1.15, 3) * generator.uniform(6.0, 10.0)
    return Nodule(place, (float(x), float(y), float(z)), 0.0)


_SHAPES: dict[str, Callable[[Generator, Point, bool], Tube | Nodule]] = {
    "ball": _draw_ball,
    "tube": _draw_tube,
}
