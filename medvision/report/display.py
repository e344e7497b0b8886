"""Grids as a radiologist expects them: which plane, which way up, how bright."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine, compute_orientation, compute_spacing_mm
from medvision.domain.volume import FloatGrid

Slices = NDArray[np.float32]
"""(S, Y, X) float32: slices, rows from the top of the screen, columns from its left."""

_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "S": "I", "I": "S"}
_PLANES = {"S": ("Axial", "L", "P"), "A": ("Coronal", "L", "I"), "L": ("Sagittal", "P", "I")}
_NORMALS = {"S": "S", "I": "S", "A": "A", "P": "A", "L": "L", "R": "L"}
_NEARLY_EQUAL = 1.05


@dataclass(frozen=True)
class Plane:
    """How a grid is cut and turned for the screen.

    Args:
        name: Axial, coronal or sagittal, whichever is nearest; `Image` for 2D.
        axes: Voxel axes that become slices, rows, columns.
        flips: Whether each of them runs backwards.
        spacing_mm: Size of a voxel along slices, rows, columns.
        edges: Letters at the screen's left, right, top and bottom; empty where the image has no
            geometry.
    """

    name: str
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    spacing_mm: tuple[float, float, float]
    edges: tuple[str, str, str, str]


def choose_plane(affine: Affine, shape: tuple[int, ...], *, has_geometry: bool) -> Plane:
    """Choose the plane of display: across the axis of the largest spacing.

    Columns run to the subject's left (posterior in a sagittal plane), rows to posterior
    (inferior in the other planes), as on a reading station.

    Args:
        affine: (4, 4), voxel index to RAS+ mm.
        shape: Voxels (I, J, K).
        has_geometry: False where the affine is a convention; then no letter is shown.

    Returns:
        The plane; an isotropic grid is cut axially.

    Source:
        Radiological display convention; DICOM PS3.3 C.7.6.2.1.1 for the directions.
    """
    normal = _choose_normal(compute_spacing_mm(affine), shape, code=compute_orientation(affine))
    return _build_plane(affine, shape, normal, has_geometry=has_geometry)


def find_flat(affine: Affine, shape: tuple[int, ...]) -> str | None:
    """Return the direction, L, A or S, along which a grid is one voxel thick; None of a volume.

    Args:
        affine: (4, 4), voxel index to RAS+ mm.
        shape: Voxels (I, J, K).
    """
    if 1 not in shape:
        return None
    code = compute_orientation(affine)
    return _NORMALS[code[_choose_normal(compute_spacing_mm(affine), shape, code=code)]]


def list_planes(affine: Affine, shape: tuple[int, ...], *, has_geometry: bool) -> tuple[Plane, ...]:
    """Return the axial, the coronal and the sagittal plane, also of a grid one voxel thick.

    Args:
        affine: (4, 4), voxel index to RAS+ mm.
        shape: Voxels (I, J, K).
        has_geometry: As `choose_plane`.
    """
    code = compute_orientation(affine)
    return tuple(
        _build_plane(affine, shape, _find_axis(code, normal), has_geometry=has_geometry)
        for normal in _PLANES
    )


def _build_plane(
    affine: Affine, shape: tuple[int, ...], normal: int, *, has_geometry: bool
) -> Plane:
    """Return the plane across a voxel axis."""
    code, spacing = compute_orientation(affine), compute_spacing_mm(affine)
    name, right, down = _PLANES[_NORMALS[code[normal]]]
    column, row = _find_axis(code, right), _find_axis(code, down)
    axes = (normal, row, column)
    flips = (code[normal] in "IPR", code[row] != down, code[column] != right)
    edges = (_OPPOSITE[right], right, _OPPOSITE[down], down) if has_geometry else ("",) * 4
    return Plane(
        name="Image" if shape[normal] == 1 else name,
        axes=axes,
        flips=flips,
        spacing_mm=(spacing[axes[0]], spacing[axes[1]], spacing[axes[2]]),
        edges=(edges[0], edges[1], edges[2], edges[3]),
    )


def _choose_normal(spacing: tuple[float, ...], shape: tuple[int, ...], *, code: str) -> int:
    """Return the voxel axis across which slices are cut."""
    single = [axis for axis in range(3) if shape[axis] == 1]
    if single:
        return single[-1]
    if max(spacing) <= _NEARLY_EQUAL * min(spacing):
        return next(axis for axis in range(3) if code[axis] in "SI")
    return int(np.argmax(spacing))


def _find_axis(code: str, direction: str) -> int:
    """Return the voxel axis that runs along a direction, forwards or backwards."""
    return next(a for a in range(3) if code[a] in (direction, _OPPOSITE[direction]))


def cut_slices(grid: FloatGrid, plane: Plane) -> Slices:
    """Return a grid (I, J, K) as slices (S, Y, X) of the plane; values are only moved."""
    turned = np.transpose(grid, plane.axes)
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in plane.flips)
    return np.ascontiguousarray(turned[steps], dtype=np.float32)


def shrink_slices(slices: Slices, factor: int) -> Slices:
    """Return slices averaged over blocks of factor × factor pixels, for display only."""
    if factor == 1:
        return slices
    n, rows, columns = slices.shape
    padding = ((0, 0), (0, -rows % factor), (0, -columns % factor))
    padded = np.pad(slices, padding, mode="edge")
    blocks = padded.reshape(n, padded.shape[1] // factor, factor, -1, factor)
    return np.asarray(blocks.mean(axis=(2, 4)), dtype=np.float32)


def choose_window(slices: Slices, window: tuple[float, float] | None) -> tuple[float, float]:
    """Return intensities shown as black and white: as configured, or percentiles 1 and 99."""
    if window is not None:
        return window
    finite = slices[np.isfinite(slices)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, [1, 99]))
    return low, high if high > low else low + 1.0


def apply_window(slices: Slices, window: tuple[float, float]) -> NDArray[np.uint8]:
    """Return grey levels 0 to 255."""
    low, high = window
    scaled = (np.nan_to_num(slices, nan=low) - low) / (high - low)
    return np.asarray(np.rint(255 * np.clip(scaled, 0, 1)), dtype=np.uint8)
