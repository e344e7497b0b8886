"""From a chest and its contents to the voxels of one scan, and the mask of its nodules."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine
from medvision.phantom.anatomy import (
    LUNG_HU,
    Anatomy,
    compute_coverage,
    compute_lung_distance,
    render_anatomy,
)
from medvision.phantom.scanner import Grid
from medvision.phantom.structures import (
    Coordinates,
    Nodule,
    Tube,
    compute_bounds,
    compute_distance,
)

HuGrid = NDArray[np.float32]
"""(I, J, K) float32, HU."""

MaskGrid = NDArray[np.uint8]
"""(I, J, K) uint8, 1 where a nodule covers at least half of the voxel."""

_SUBSLICES = (-0.25, 0.25)


def render_scan(
    anatomy: Anatomy, structures: Sequence[Tube | Nodule], *, grid: Grid
) -> tuple[HuGrid, MaskGrid]:
    """Render a chest without noise; a thick slice is the mean of thinner ones.

    Args:
        anatomy: The chest.
        structures: What its lungs hold.
        grid: Voxels of the scan.

    Returns:
        (hu, mask): arrays (I, J, K) on the grid.
    """
    hu = np.zeros(grid.shape, np.float32)
    mask_share = np.zeros(grid.shape, np.float32)
    width = float(np.linalg.norm(grid.affine[:3, :2], axis=0).mean())
    for offset in _SUBSLICES:
        points = compute_points(grid.affine, shape=grid.shape, slice_offset=offset)
        part = render_anatomy(anatomy, points, width_mm=width)
        for structure in structures:
            box = find_box(grid, structure)
            near = (points[0][box], points[1][box], points[2][box])
            # Vessels end at the lung's surface: beyond it all is soft tissue or air.
            distance = np.maximum(
                compute_distance(structure, near), compute_lung_distance(anatomy, near)
            )
            coverage = compute_coverage(distance, width)
            level = LUNG_HU + coverage * np.float32(structure.hu - LUNG_HU)
            part[box] = np.where(coverage > 0, np.maximum(part[box], level), part[box])
            if isinstance(structure, Nodule):
                mask_share[box] += coverage / len(_SUBSLICES)
        hu += part / len(_SUBSLICES)
    return hu, (mask_share >= 0.5).astype(np.uint8)


def compute_points(
    affine: Affine, *, shape: tuple[int, int, int], slice_offset: float
) -> Coordinates:
    """Return the RAS+ mm coordinates of voxel centres moved along k.

    Args:
        affine: Voxel index to RAS+ mm.
        shape: (I, J, K).
        slice_offset: Shift along k, in voxels.

    Returns:
        x, y, z, each (I, J, K) float32.
    """
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    rows = affine[:3].astype(np.float64)
    x, y, z = (
        (a * i + b * j + c * (k + slice_offset) + d).astype(np.float32) for a, b, c, d in rows
    )
    return x, y, z


def find_box(grid: Grid, structure: Tube | Nodule) -> tuple[slice, slice, slice]:
    """Return the box of voxels (i, j, k) that a structure can reach, with a voxel to spare."""
    margin = float(np.linalg.norm(grid.affine[:3, :3], axis=0).max())
    low, high = compute_bounds(structure, margin)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1)
    inverse = np.linalg.inv(grid.affine)
    voxels = inverse[:3, :3] @ corners + inverse[:3, 3:]
    start = np.clip(np.floor(voxels.min(axis=1)).astype(int), 0, grid.shape)
    stop = np.clip(np.ceil(voxels.max(axis=1)).astype(int) + 1, 0, grid.shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return i, j, k
