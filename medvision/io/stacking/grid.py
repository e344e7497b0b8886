"""The grid that slices form: affine, shear, gaps, and how to make it even and upright."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine
from medvision.io.reasons import RefusalError
from medvision.io.stacking.places import Places, Points
from medvision.io.stacking.resample import Resampling, plan_shares
from medvision.io.stacking.steps import Steps, check_steps, fit_line, measure_steps

_TILT = 1e-3
"""Sideways shift per unit along the normal beyond which a stack counts as sheared."""

_EDGE = 1e-6
"""Voxels; a shift by less needs no margin."""

_GREATEST_MARGIN = 2
"""A tilt may enlarge a plane by this many times its longer side."""


@dataclass(frozen=True)
class Lattice:
    """A grid of voxels.

    Args:
        affine_lps: (4, 4), index (column, row, slice) to LPS+ mm.
        flags: Codes of reasons.FLAGS.
        resampling: How slices are laid on the grid, None where they are the grid's own.
        n_missing: Slices that are missing between the first and the last.
    """

    affine_lps: Affine
    flags: tuple[str, ...]
    resampling: Resampling | None
    n_missing: int


def lay_single(places: Places, points: Points, thickness_mm: float | None) -> Lattice:
    """Return the grid of one position: its step is the nominal thickness.

    Args:
        places: Directions and spacing.
        points: (T, 3) position in each volume, LPS+ mm.
        thickness_mm: None takes 1 mm and flags `thickness-assumed`.

    Raises:
        RefusalError: `not-a-stack` where volumes lie apart sideways.
    """
    _check_sideways(points - points[0], places.same_mm)
    is_known = thickness_mm is not None and thickness_mm > 0
    step = places.normal * thickness_mm if thickness_mm and is_known else places.normal
    flags = () if is_known else ("thickness-assumed",)
    return Lattice(_build_affine(places, points.mean(axis=0), step), flags, None, 0)


def lay_grid(
    places: Places,
    points: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    gap_tolerance: float,
    gaps: str,
    tilt: str,
) -> Lattice:
    """Return the grid of several positions.

    Args:
        places: Directions and spacing.
        points: (T, P, 3) position of each slice of each volume, LPS+ mm, rising along the normal.
        shape: Voxels (i, j) of a slice.
        gap_tolerance: Largest deviation of a slice step, as a share of the slice spacing.
        gaps: `refuse`, `flag` or `resample`.
        tilt: `keep` or `resample`.

    Raises:
        RefusalError: `missing-slice`, `variable-spacing` or `not-a-stack`.
    """
    means = points.mean(axis=0)
    steps = measure_steps(means @ places.normal, gap_tolerance=gap_tolerance)
    check_steps(steps, gaps=gaps)
    start, slope = fit_line(means, steps.heights_mm)
    strayed = points - start - steps.heights_mm[:, np.newaxis] * slope
    limit_mm = gap_tolerance * max(steps.usual_mm, *places.spacing_mm)
    _check_sideways(strayed.reshape(-1, 3), limit_mm)
    if steps.code:
        lattice = _lay_uneven(places, steps, (start, slope), gaps=gaps)
    else:
        origin, step = fit_line(means, np.arange(len(means), dtype=np.float64))
        lattice = Lattice(_build_affine(places, origin, step), (), None, 0)
    sideways = slope - (slope @ places.normal) * places.normal
    if float(np.linalg.norm(sideways)) <= _TILT:
        return lattice
    if tilt == "resample":
        return _straighten(places, steps, sideways, shape=shape, lattice=lattice)
    flags = (*lattice.flags, "gantry-tilt")
    return Lattice(lattice.affine_lps, flags, lattice.resampling, lattice.n_missing)


def _check_sideways(offsets: Points, limit_mm: float) -> None:
    """Refuse positions that stray from a straight line."""
    strayed_mm = float(np.linalg.norm(offsets, axis=1).max())
    if not strayed_mm <= limit_mm:
        raise RefusalError(
            "not-a-stack",
            f"positions must lie within {limit_mm:.3g} mm of a line, got {strayed_mm:.3g} mm",
        )


def _build_affine(places: Places, origin: Points, step: Points) -> Affine:
    """Return the affine of a grid, LPS+."""
    row_mm, column_mm = places.spacing_mm
    affine = np.eye(4)
    affine[:3, :4] = np.stack(
        [places.row * column_mm, places.column * row_mm, step, origin], axis=1
    )
    return affine


def _lay_uneven(places: Places, steps: Steps, line: tuple[Points, Points], *, gaps: str) -> Lattice:
    """Return the grid of slices with gaps: as if they had none, or resampled."""
    start, slope = line
    origin = start + slope * steps.heights_mm[0]
    if gaps == "flag":
        affine = _build_affine(places, origin, slope * steps.usual_mm)
        return Lattice(affine, (steps.code,), None, steps.n_missing)
    count, step_mm = steps.count_even
    resampling = Resampling(*plan_shares(steps.heights_mm, count=count, step_mm=step_mm))
    affine = _build_affine(places, origin, slope * step_mm)
    return Lattice(affine, (steps.code, "resampled"), resampling, steps.n_missing)


def _straighten(
    places: Places,
    steps: Steps,
    sideways: Points,
    *,
    shape: tuple[int, int],
    lattice: Lattice,
) -> Lattice:
    """Turn a sheared grid upright: slices move within their planes, none is cut."""
    row_mm, column_mm = places.spacing_mm
    rise_mm = (steps.heights_mm - steps.heights_mm[0])[:, np.newaxis]
    if steps.code == "":
        rise_mm = np.arange(len(rise_mm))[:, np.newaxis] * (
            lattice.affine_lps[:3, 2] @ places.normal
        )
    per_mm = np.array([sideways @ places.row / column_mm, sideways @ places.column / row_mm])
    offsets = rise_mm * per_mm
    lowest = offsets.min(axis=0)
    margins = np.ceil(np.ptp(offsets, axis=0) - _EDGE)
    if not margins.max() <= _GREATEST_MARGIN * max(shape):
        raise RefusalError(
            "not-a-stack",
            f"tilt must be below {_GREATEST_MARGIN} planes, got {margins.max():.0f} voxels",
        )
    affine = lattice.affine_lps.copy()
    affine[:3, 3] = (lattice.affine_lps @ [*lowest, 0, 1])[:3]
    affine[:3, 2] = places.normal * (affine[:3, 2] @ places.normal)
    previous = lattice.resampling or Resampling(tuple(range(len(offsets))), (0.0,) * len(offsets))
    resampling = Resampling(
        lower=previous.lower,
        shares=previous.shares,
        offsets=tuple((float(i), float(j)) for i, j in offsets - lowest),
        margins=(int(margins[0]), int(margins[1])),
    )
    flags = tuple(sorted({*lattice.flags, "resampled"}))
    return Lattice(affine, flags, resampling, lattice.n_missing)
