"""Which affine a NIfTI header means: sform, qform or the voxel sizes alone, and how sure it is."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import (
    Affine,
    check_affine,
    compute_corner_offsets,
    compute_spacing_mm,
)
from medvision.domain.volume import GridShape
from medvision.errors import GeometryError
from medvision.io.nifti.header import NiftiHeader
from medvision.io.reasons import RefusalError

_DISAGREEMENT = 0.1
"""Largest distance of a corner under sform and qform, in voxels."""

_LONGEST_QUATERNION = 1.001
"""A unit quaternion's length with room for float32; nifti1_io normalises what is beyond 1."""


_ROUNDING = 3 * float(np.finfo(np.float32).eps)
"""What float32 leaves of a quaternion's first part, squared, in a turn of 180 degrees."""


def choose_affine(header: NiftiHeader, shape: GridShape) -> tuple[Affine, bool, tuple[str, ...]]:
    """Choose the affine that a header means.

    The sform where its code is positive, else the qform, else the voxel sizes alone. Where both
    are given and place a corner more than a tenth of a voxel apart, that is flagged. A single
    slice may leave out its third axis: the normal then stands for it.

    Args:
        header: What the file says.
        shape: Voxels (i, j, k) of one volume.

    Returns:
        (affine, is_placed, flags): (4, 4) voxel index to RAS+ mm; whether the file states an
        orientation; codes of reasons.FLAGS.

    Raises:
        RefusalError: The chosen one is not finite or not invertible.

    Source:
        nifti1.h, "orientation and location in space", methods 1 to 3.
    """
    qform = _build_qform(header, shape)
    if header.sform is None and header.qform is None:
        affine, flags = _assume_affine(header, shape)
        return affine, False, flags
    sform, is_filled = _build_sform(header, shape)
    chosen = qform if sform is None else sform
    if chosen is None:
        raise RefusalError("bad-affine", "quaternion must have length 1 at most, got more")
    flags = ("thickness-assumed",) if is_filled else ()
    affine = np.diag([header.to_mm] * 3 + [1.0]) @ chosen
    try:
        check_affine(affine, where="NIfTI")
    except GeometryError as error:
        raise RefusalError("bad-affine", error.message.rstrip(".")) from None
    if sform is not None and header.qform is not None and _is_far(sform, qform, shape=shape):
        flags = (*flags, "sform-qform-differ")
    return affine, True, flags


def _build_sform(header: NiftiHeader, shape: GridShape) -> tuple[Affine | None, bool]:
    """Return the sform, and whether the thickness of a single slice had to be assumed."""
    if header.sform is None:
        return None, False
    affine: Affine = np.eye(4)
    affine[:3] = np.array(header.sform, dtype=np.float64).reshape(3, 4)
    if shape[2] > 1 or affine[:3, 2].any():
        return affine, False
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    length = float(np.linalg.norm(normal))
    if not np.isfinite(length) or length == 0:
        return affine, False
    thickness, is_assumed = _find_thickness(header)
    affine[:3, 2] = normal / length * thickness
    return affine, is_assumed


def _build_qform(header: NiftiHeader, shape: GridShape) -> Affine | None:
    """Return the qform; None without one, or where its quaternion is none."""
    if header.qform is None:
        return None
    vector = np.array(header.qform[:3], dtype=np.float64)
    square = float(vector @ vector)
    if not square <= _LONGEST_QUATERNION**2:
        return None
    spacing = np.array(header.spacing, dtype=np.float64)
    if shape[2] == 1 and not spacing[2] > 0:
        spacing[2], _ = _find_thickness(header)
    affine: Affine = np.eye(4)
    affine[:3, :3] = _rotate(vector, square) * spacing * (1.0, 1.0, header.qfac)
    affine[:3, 3] = header.qform[3:]
    return affine


def _rotate(vector: NDArray[np.float64], square: float) -> NDArray[np.float64]:
    """Return the (3, 3) rotation of a unit quaternion from its last three parts."""
    is_half_turn = 1.0 - square < _ROUNDING
    a = 0.0 if is_half_turn else np.sqrt(1.0 - square)
    b, c, d = vector / np.sqrt(square) if is_half_turn else vector
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def _find_thickness(header: NiftiHeader) -> tuple[float, bool]:
    """Return the thickness of a single slice in the header's unit, and whether it is assumed."""
    stated = abs(header.spacing[2])
    if np.isfinite(stated) and stated > 0:
        return stated, False
    return 1.0 / header.to_mm, True


def _assume_affine(header: NiftiHeader, shape: GridShape) -> tuple[Affine, tuple[str, ...]]:
    """Build an affine of the voxel sizes alone, index 0 at the origin."""
    spacing_mm = np.abs(np.array(header.spacing, dtype=np.float64)) * header.to_mm
    flags = ["no-orientation"]
    if shape[2] == 1:
        thickness, is_assumed = _find_thickness(header)
        spacing_mm[2] = thickness * header.to_mm
        flags += ["thickness-assumed"] if is_assumed else []
    if not (np.isfinite(spacing_mm).all() and (spacing_mm > 0).all()):
        return np.eye(4), ("no-orientation", "no-spacing")
    return np.diag([*spacing_mm, 1.0]), tuple(flags)


def _is_far(sform: Affine, qform: Affine | None, *, shape: GridShape) -> bool:
    """Say whether two affines place a corner of the grid differently."""
    if qform is None or not np.isfinite(qform).all():
        return True
    apart = compute_corner_offsets(sform, qform, shape=shape)
    limit = _DISAGREEMENT * min(compute_spacing_mm(sform))
    return bool(np.linalg.norm(apart, axis=1).max() > limit)
