"""Slices ordered along their normal into a grid: duplicates, gaps, shear, and the affine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import LPS_TO_RAS, Affine
from medvision.domain.study import Slice
from medvision.io.reasons import RefusalError

_SAME_POSITION_MM = 1e-3
_ORTHONORMAL_TOLERANCE = 1e-3
_TILT = 1e-3
"""Sideways shift per unit along the normal beyond which a stack counts as sheared."""

_MISSING_RATIO = 1.5
"""A step this many times the smallest one is a missing slice, not an uneven one."""

Points = NDArray[np.float64]
"""(N, 3) positions, LPS+ mm, or (3,) directions."""


@dataclass(frozen=True)
class Placed:
    """A slice and the digest of its modality values."""

    slice: Slice
    digest: str


@dataclass(frozen=True)
class Stack:
    """An ordered grid.

    Args:
        order: Indices into the slices given, in the order of k.
        affine: (4, 4), index (i, j, k) = (column, row, slice) to RAS+ mm.
        flags: Codes of reasons.FLAGS.
    """

    order: tuple[int, ...]
    affine: Affine
    flags: tuple[str, ...]


def find_duplicates(placed: Sequence[Placed]) -> tuple[list[int], list[int]]:
    """Tell the slices to keep from those that repeat one of them.

    Args:
        placed: Slices with position or, for copies of one 2D image, without.

    Returns:
        (kept, duplicates): indices into `placed`.

    Raises:
        RefusalError: `conflicting-duplicate` where one SOPInstanceUID stands for different slices;
            `repeated-positions` where different slices share one position.
    """
    kept: list[int] = []
    duplicates: list[int] = []
    by_digest: dict[str, list[int]] = {}
    by_uid: dict[tuple[str, int], Placed] = {}
    for index, item in enumerate(placed):
        uid = (item.slice.instance.sop_uid, item.slice.frame.index)
        earlier = by_uid.setdefault(uid, item)
        if earlier is not item and not _is_same(earlier, item):
            raise RefusalError(
                "conflicting-duplicate",
                "one SOPInstanceUID must stand for one slice, got different pixels or positions",
            )
        twins = by_digest.setdefault(item.digest, [])
        if any(_is_same(placed[k], item) for k in twins):
            duplicates.append(index)
            continue
        twins.append(index)
        kept.append(index)
    return kept, duplicates


def _is_same(one: Placed, other: Placed) -> bool:
    """Say whether two slices have the same pixels at the same place."""
    if one.digest != other.digest:
        return False
    here, there = one.slice.frame.position_mm, other.slice.frame.position_mm
    if here is None or there is None:
        return here is there
    return bool(np.abs(np.subtract(here, there)).max() < _SAME_POSITION_MM)


def build_stack(slices: Sequence[Slice], *, gap_tolerance: float) -> Stack:
    """Order slices by position along their normal and compute the affine by least squares.

    Neither InstanceNumber nor file name takes part. A constant sideways shift (gantry tilt) is
    kept in the affine, which is then sheared, and flagged.

    Args:
        slices: At least one, all with geometry, parallel, and each at a position of its own.
        gap_tolerance: Largest deviation of a slice step, as a share of the slice spacing.

    Raises:
        RefusalError: `bad-orientation`, `repeated-positions`, `missing-slice`,
            `variable-spacing` or `not-a-stack`.

    Source:
        PS3.3 C.7.6.2.1.1 (equation of the image plane).
    """
    row, column, normal = _compute_directions(slices)
    positions = np.array([item.frame.position_mm for item in slices], dtype=np.float64)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    positions, along = positions[order], along[order]
    flags: tuple[str, ...] = ()
    if len(slices) == 1:
        step, flags = _assume_step(slices[0], normal)
        origin = positions[0]
    else:
        _check_steps([slices[int(k)] for k in order], along, gap_tolerance=gap_tolerance)
        origin, step = _fit_line(positions)
        _check_line(positions, slices[0], gap_tolerance=gap_tolerance)
        sideways = float(np.linalg.norm(step - (step @ normal) * normal) / (step @ normal))
        flags = ("gantry-tilt",) if sideways > _TILT else ()
    spacing = slices[0].frame.spacing_mm or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, :4] = np.stack([row * spacing[1], column * spacing[0], step, origin], axis=1)
    return Stack(tuple(map(int, order)), LPS_TO_RAS @ affine, flags)


def _compute_directions(slices: Sequence[Slice]) -> tuple[Points, Points, Points]:
    """Return the unit vectors of rows, columns and slices, LPS+."""
    mean = np.array([item.frame.orientation for item in slices], dtype=np.float64).mean(axis=0)
    row, column = mean[:3], mean[3:]
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > _ORTHONORMAL_TOLERANCE or (
        abs(row @ column) > _ORTHONORMAL_TOLERANCE
    ):
        raise RefusalError(
            "bad-orientation",
            "ImageOrientationPatient must be two perpendicular unit vectors, got lengths "
            f"{lengths[0]:.4g} and {lengths[1]:.4g}, product {row @ column:.4g}",
        )
    row, column = row / lengths[0], column / lengths[1]
    normal = np.cross(row, column)
    return row, column, normal / np.linalg.norm(normal)


def _assume_step(item: Slice, normal: Points) -> tuple[Points, tuple[str, ...]]:
    """Return the step of a single slice: its nominal thickness."""
    thickness_mm = item.instance.thickness_mm
    if thickness_mm is None:
        return normal, ("thickness-assumed",)
    return normal * thickness_mm, ()


def _check_steps(slices: Sequence[Slice], along: Points, *, gap_tolerance: float) -> None:
    """Refuse slices that share a position, leave a gap, or lie unevenly."""
    steps = np.diff(along)
    if steps.min() < _SAME_POSITION_MM:
        n_positions = 1 + int((steps >= _SAME_POSITION_MM).sum())
        names = ", ".join(_list_variants(slices)) or "no known attribute"
        raise RefusalError(
            "repeated-positions",
            f"each position must have one slice, got {len(slices)} slices at {n_positions} "
            f"positions (they differ in {names})",
        )
    usual = float(np.median(steps))
    worst = int(np.argmax(steps))
    is_missing = steps[worst] >= _MISSING_RATIO * steps.min() and steps[worst] > usual
    if np.abs(steps - usual).max() <= gap_tolerance * usual:
        return
    detail = (
        f"slice spacing must be uniform within {gap_tolerance:.0%}, got {steps.min():.2f} to "
        f"{steps.max():.2f} mm, the largest step after slice {worst + 1} of {len(slices)}"
    )
    raise RefusalError("missing-slice" if is_missing else "variable-spacing", detail)


def _list_variants(slices: Sequence[Slice]) -> list[str]:
    """Name the attributes that tell slices apart."""
    values: dict[str, set[str]] = {}
    for item in slices:
        for name, value in (*item.frame.variant, ("ImageType", str(item.instance.image_type))):
            values.setdefault(name, set()).add(str(value))
    return sorted(name for name, found in values.items() if len(found) > 1)


def _fit_line(positions: Points) -> tuple[Points, Points]:
    """Fit position = origin + k * step by least squares."""
    index = np.arange(len(positions)) - (len(positions) - 1) / 2
    step = index @ positions / (index @ index)
    return positions.mean(axis=0) + index[0] * step, step


def _check_line(positions: Points, first: Slice, *, gap_tolerance: float) -> None:
    """Refuse positions that stray from a straight, even line."""
    origin, step = _fit_line(positions)
    strayed = np.linalg.norm(positions - origin - np.outer(np.arange(len(positions)), step), axis=1)
    limit_mm = gap_tolerance * max(float(np.linalg.norm(step)), *(first.frame.spacing_mm or (0,)))
    if strayed.max() > limit_mm:
        raise RefusalError(
            "not-a-stack",
            f"positions must lie within {limit_mm:.3g} mm of a line, got {strayed.max():.3g} mm",
        )
