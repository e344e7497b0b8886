"""Slices arranged into volumes: duplicates, the fourth axis, gaps, shear, and the affine."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from medvision.domain.geometry import LPS_TO_RAS, Affine
from medvision.domain.study import Slice, Value
from medvision.io.reasons import RefusalError
from medvision.io.stacking.axis import Division, VolumeTable, divide_volumes
from medvision.io.stacking.columns import Columns, read_columns
from medvision.io.stacking.duplicates import Digest, find_copies, find_duplicates
from medvision.io.stacking.grid import Lattice, lay_grid, lay_single
from medvision.io.stacking.order import FourthAxis, order_volumes
from medvision.io.stacking.parts import label_terms
from medvision.io.stacking.places import locate
from medvision.io.stacking.resample import Resampling

_MIXED = "mixed-slices"
_ALIKE = ("echo-time-ms", "echo-number", "image-kind", "b-value")
"""Names in which the slices of one volume should not differ."""

_ACQUISITION = "acquisition-number"
"""It may change along a volume, as where a scanner goes on, but not back and forth."""


@dataclass(frozen=True)
class Arrangement:
    """Slices as volumes on one grid.

    Args:
        volumes: [t][k]: index into the slices given, in the order of t (acquisition) and k (along
            row × column, rising). Every volume has the same number of slices.
        axis: Empty for one volume; else `b-value`, `inversion-time`, `cardiac-phase`, `time`,
            `acquisition` or `frame` (only the order is known).
        values: One per volume, empty for one volume. b-value: s/mm², or empty text where a volume
            has none. inversion-time: ms. cardiac-phase: % of the cycle, or ms after the trigger.
            time: s after the first volume, or the number of the temporal position. acquisition:
            AcquisitionNumber. frame: number from 1. The unit tells which.
        affine: (4, 4) float64, index (i, j, k) = (column, row, slice) to RAS+ mm; of the new grid
            where there is `resampling`.
        duplicates: Indices of slices that repeat another one with equal pixels, rising.
        flags: Codes of reasons.FLAGS, sorted.
        resampling: How each volume's array must be resampled, None where it stays as it is.
        unit: Unit of `values`: s, ms, %, s/mm2, 1 for numbers that count, empty for one volume.
        n_missing: Slices that gaps leave out of each volume, 0 where there are none.
    """

    volumes: tuple[tuple[int, ...], ...]
    axis: str
    values: tuple[Value, ...]
    affine: Affine
    duplicates: tuple[int, ...]
    flags: tuple[str, ...]
    resampling: Resampling | None
    unit: str = ""
    n_missing: int = 0


def arrange(
    slices: Sequence[Slice], *, digest: Digest, gap_tolerance: float, gaps: str, tilt: str
) -> Arrangement:
    """Arrange the slices of one grid into volumes.

    Position along the normal orders slices, never file name or InstanceNumber; the order in which
    slices are given changes nothing. Planes without geometry are one 2D image, or the frames of a
    cine, each a volume of one plane.

    Args:
        slices: Of one grid, at least one.
        digest: Returns the digest of a slice's modality values; called only for slices that may
            be duplicates, since it reads pixels.
        gap_tolerance: Largest deviation of a slice step, as a share of the slice spacing.
        gaps: `refuse`, `flag` (keep the slices, step by the usual one) or `resample`.
        tilt: `keep` (a sheared affine) or `resample`.

    Returns:
        The arrangement; indices refer to `slices` as given.

    Raises:
        RefusalError: `conflicting-duplicate`, `uneven-repeats`, `repeated-positions`,
            `missing-slice`, `variable-spacing`, `not-a-stack`, `bad-orientation`, `no-position`,
            `no-spacing`.

    Source:
        PS3.3 C.7.6.2.1.1 (equation of the image plane).
    """
    order = sorted(range(len(slices)), key=lambda k: slices[k].identity)
    ordered = [slices[k] for k in order]
    if all(item.frame.has_geometry for item in ordered):
        kept, repeated, fourth, lattice = _arrange_stack(
            ordered, digest=digest, gap_tolerance=gap_tolerance, gaps=gaps, tilt=tilt
        )
    else:
        kept, repeated, fourth, lattice = _arrange_planes(ordered, digest=digest)
    return Arrangement(
        volumes=tuple(tuple(order[kept[k]] for k in volume) for volume in fourth.volumes),
        axis=fourth.axis,
        values=fourth.values,
        affine=LPS_TO_RAS @ lattice.affine_lps,
        duplicates=tuple(sorted(order[k] for k in repeated)),
        flags=tuple(sorted({*fourth.flags, *lattice.flags})),
        resampling=lattice.resampling,
        unit=fourth.unit,
        n_missing=lattice.n_missing,
    )


_Arranged = tuple[list[int], list[int], FourthAxis, Lattice]
"""Indices kept, indices of duplicates, volumes of kept slices, grid."""


def _arrange_stack(
    slices: Sequence[Slice], *, digest: Digest, gap_tolerance: float, gaps: str, tilt: str
) -> _Arranged:
    """Arrange slices with geometry."""
    places = locate(slices)
    kept, repeated = find_duplicates(slices, places.labels, digest=digest)
    used = [slices[k] for k in kept]
    columns = read_columns(used)
    division = divide_volumes(used, places.labels[kept], columns=columns)
    fourth = order_volumes(division, columns)
    points = places.points[kept][fourth.volumes]
    if points.shape[1] == 1:
        lattice = lay_single(places, points[:, 0], used[0].instance.thickness_mm)
    else:
        lattice = lay_grid(
            places,
            points,
            shape=(used[0].instance.columns, used[0].instance.rows),
            gap_tolerance=gap_tolerance,
            gaps=gaps,
            tilt=tilt,
        )
    # In MR, packages of slices are acquired in turns, and their numbers interleave by intent.
    numbers = () if used[0].instance.modality == "MR" else columns.get(_ACQUISITION, ())
    is_mixed = _differs(fourth.volumes, columns) or _is_interleaved(fourth.volumes, numbers)
    flags = (*fourth.flags, *((_MIXED,) if is_mixed else ()))
    fourth = FourthAxis(fourth.volumes, fourth.axis, fourth.values, fourth.unit, flags)
    return kept, repeated, fourth, lattice


def _differs(volumes: VolumeTable, columns: Columns) -> bool:
    """Say whether slices of one volume differ in more than place."""
    for name in _ALIKE:
        if name in columns:
            labels = label_terms(columns[name])[0][volumes]
            if (labels != labels[:, :1]).any():
                return True
    return False


def _is_interleaved(volumes: VolumeTable, values: Sequence[Value | None]) -> bool:
    """Say whether a value comes back along the normal of a volume, after another one."""
    if len(set(values)) < 2:
        return False
    for volume in volumes:
        along = [value for k in volume if (value := values[k]) is not None]
        n_runs = 1 + sum(one != other for one, other in pairwise(along))
        if n_runs > max(1, len(set(along))):
            return True
    return False


def _arrange_planes(slices: Sequence[Slice], *, digest: Digest) -> _Arranged:
    """Arrange planes without geometry: columns run left, rows to the back."""
    kept, repeated = find_copies(slices, digest=digest)
    used = [slices[k] for k in kept]
    if len({item.instance.sop_uid for item in used}) > 1:
        raise RefusalError(
            "no-position", f"position and orientation must be given, {len(used)} slices lack them"
        )
    volumes = np.arange(len(used))[:, np.newaxis]
    fourth = order_volumes(Division(volumes, ("frame",)), read_columns(used))
    spacing_mm = used[0].frame.spacing_mm
    row_mm, column_mm = spacing_mm or (1.0, 1.0)
    # In LPS+, which the caller turns: to the left and to the back, as LPS+ itself.
    affine = np.diag([column_mm, row_mm, 1.0, 1.0])
    flags = () if spacing_mm else ("no-spacing",)
    return kept, repeated, fourth, Lattice(affine, flags, None, 0)
