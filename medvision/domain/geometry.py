"""Affines: 4×4 float64, voxel index (i, j, k) to RAS+ mm; spacing, orientation, index maps."""

import numpy as np
from numpy.typing import NDArray

from medvision.errors import GeometryError

Affine = NDArray[np.float64]
"""(4, 4) float64: homogeneous voxel index, 0-based at voxel centres, to RAS+ mm."""

Points = NDArray[np.float64]
"""(N, 3) float64: voxel indices or mm, as the function says."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

_SMALLEST_DETERMINANT = 1e-6

_CODES = (("L", "R"), ("P", "A"), ("I", "S"))


def check_affine(affine: Affine, *, where: str) -> None:
    """Refuse an affine that is not finite, invertible and homogeneous.

    Args:
        affine: (4, 4) matrix, voxel index to RAS+ mm.
        where: Pseudonymous name of the image, for the message.

    Raises:
        GeometryError: The matrix cannot be an affine of an image.
    """
    if affine.shape != (4, 4):
        raise GeometryError(f"{where}: affine must be (4, 4), got {affine.shape}.")
    if not np.isfinite(affine).all():
        raise GeometryError(f"{where}: affine must be finite, got NaN or infinity.")
    if not np.allclose(affine[3], [0, 0, 0, 1]):
        raise GeometryError(f"{where}: affine's last row must be 0 0 0 1, got {affine[3]}.")
    spacing_mm = compute_spacing_mm(affine)
    if min(spacing_mm) <= 0:
        found = " x ".join(f"{length:g}" for length in spacing_mm)
        raise GeometryError(f"{where}: spacing must be above 0 mm, got {found}.")
    # Directions alone: the volume of a voxel may be tiny, as in microscopy.
    if abs(np.linalg.det(affine[:3, :3] / spacing_mm)) < _SMALLEST_DETERMINANT:
        raise GeometryError(f"{where}: affine must be invertible, got determinant 0.")


def compute_spacing_mm(affine: Affine) -> tuple[float, float, float]:
    """Return the voxel size (i, j, k) in mm: the lengths of the affine's columns."""
    i, j, k = np.linalg.norm(affine[:3, :3], axis=0)
    return float(i), float(j), float(k)


def compute_orientation(affine: Affine) -> str:
    """Return the orientation code, such as RAS: the nearest anatomical direction of i, j, k.

    Source:
        Definition as in nibabel.orientations.aff2axcodes; each anatomical axis is used once,
        the strongest alignment first.
    """
    direction = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    strength = np.abs(direction)
    code = ["", "", ""]
    for _ in range(3):
        world, voxel = np.unravel_index(int(np.argmax(strength)), (3, 3))
        code[voxel] = _CODES[world][int(direction[world, voxel] > 0)]
        strength[world, :] = -1
        strength[:, voxel] = -1
    return "".join(code)


def compute_index_map(source: Affine, target: Affine) -> Affine:
    """Return the (4, 4) map from voxel indices of `source` to voxel indices of `target`."""
    return np.asarray(np.linalg.solve(target, source), dtype=np.float64)


def compute_corner_offsets(one: Affine, other: Affine, *, shape: tuple[int, int, int]) -> Points:
    """Return how far apart two affines put the eight corner voxels of a grid.

    Args:
        one: (4, 4), voxel index to mm.
        other: (4, 4), voxel index to mm.
        shape: Voxels (i, j, k) of the grid.

    Returns:
        (8, 3) differences in mm.
    """
    corners = np.array(list(np.ndindex(2, 2, 2)), dtype=np.float64) * (np.array(shape) - 1)
    return transform_points(one, corners) - transform_points(other, corners)


def transform_points(matrix: Affine, points: Points) -> Points:
    """Apply a (4, 4) map to points (N, 3)."""
    result: Points = points @ matrix[:3, :3].T + matrix[:3, 3]
    return result
