"""A series divided into grids: which slices can form one image, and which cannot be used."""

from collections.abc import Iterator, Sequence

import numpy as np

from medvision.domain.study import Grid, Series, Slice
from medvision.io.dicom.objects import CROSS_SECTIONAL
from medvision.io.pixels.colour import DIRECT, GREY, PALETTE
from medvision.io.reasons import RefusalError
from medvision.io.stacking.close import group_close, list_members
from medvision.io.stacking.parts import PartedSlices, divide_parts
from medvision.io.stacking.scouts import tag_scouts

_ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of direction cosines within one grid."""

_SPACING_TOLERANCE = 1e-4
"""Largest relative difference of pixel spacing within one grid."""

_Key = tuple[object, ...]


def split_grids(series: Series) -> list[Grid]:
    """Divide a series by what makes a grid.

    Slices share a grid when they agree in SOP class, role, size, photometric interpretation,
    frame of reference, orientation and pixel spacing, and belong to one part (see divide_parts).
    A few original slices across a stack or each other get the role `localizer` (see tag_scouts).
    Planes without geometry: the copies and frames of one instance are a grid of their own, except
    that planes of CT, MR or PET stay together, so that they are refused together. Grids that
    share a frame of one SOPInstanceUID are one, so that the contradiction is seen and refused.

    Args:
        series: Instances in any order.

    Returns:
        Grids in an order that neither file names nor the order of instances can change: by the
        first SOPInstanceUID of what differs otherwise, then by the value of the part.
    """
    slices = [Slice(instance, frame) for instance in series.instances for frame in instance.frames]
    slices = tag_scouts(sorted(slices, key=lambda item: item.identity))
    groups: dict[_Key, list[Slice]] = {}
    for item in slices:
        groups.setdefault(_compute_key(item), []).append(item)
    parted = [part for group in groups.values() for part in _divide(group)]
    is_incomplete = any(instance.fault for instance in series.instances)
    return [
        Grid(
            slices=one.slices,
            index=index,
            is_stack=all(item.frame.has_geometry for item in one.slices),
            is_incomplete=is_incomplete,
            part=one.part,
        )
        for index, one in enumerate(_join_contradictions(parted))
    ]


def _compute_key(item: Slice) -> _Key:
    """Return what must be equal within a grid."""
    instance = item.instance
    if not item.frame.has_geometry:
        is_lone = instance.sop_class not in CROSS_SECTIONAL
        return ("without geometry", instance.sop_uid if is_lone else instance.sop_class)
    return (
        instance.sop_class,
        instance.role,
        instance.rows,
        instance.columns,
        instance.photometric,
        instance.frame_of_reference,
    )


def _divide(slices: Sequence[Slice]) -> Iterator[PartedSlices]:
    """Yield the parallel slices of a group, part by part."""
    if not slices[0].frame.has_geometry:
        yield PartedSlices((), tuple(slices))
        return
    orientation = np.array([item.frame.orientation for item in slices], dtype=np.float64)
    spacing = np.array([item.frame.spacing_mm for item in slices], dtype=np.float64)
    # The logarithm of the spacing, so that its tolerance is relative.
    sizes = np.log(np.maximum(spacing, np.finfo(np.float64).tiny))
    tolerance = [_ORIENTATION_TOLERANCE] * 6 + [_SPACING_TOLERANCE] * 2
    labels = group_close(np.concatenate([orientation, sizes], axis=1), tolerance=tolerance)
    members = sorted(list_members(labels), key=lambda group: int(group[0]))
    for group in members:
        yield from divide_parts([slices[k] for k in group])


def _join_contradictions(parted: Sequence[PartedSlices]) -> list[PartedSlices]:
    """Join what shares a frame of one SOPInstanceUID, which can lie in one place only."""
    owner: dict[tuple[str, int], int] = {}
    root = list(range(len(parted)))
    for number, one in enumerate(parted):
        for item in one.slices:
            first = owner.setdefault((item.instance.sop_uid, item.frame.index), number)
            low, high = sorted((_find_root(root, first), _find_root(root, number)))
            root[high] = low
    joined: dict[int, list[PartedSlices]] = {}
    for number, one in enumerate(parted):
        joined.setdefault(_find_root(root, number), []).append(one)
    return [_merge(members) for members in joined.values()]


def _find_root(root: list[int], number: int) -> int:
    """Return the first of what a part is joined with, and shorten the way to it."""
    while root[number] != number:
        root[number] = root[root[number]]
        number = root[number]
    return number


def _merge(members: Sequence[PartedSlices]) -> PartedSlices:
    """Return several parts as one; a single one as it is."""
    if len(members) == 1:
        return members[0]
    return PartedSlices((), tuple(item for member in members for item in member.slices))


def check_grid(grid: Grid) -> None:
    """Refuse a grid that its headers alone show to be no usable image.

    Args:
        grid: As split_grids returns it.

    Raises:
        RefusalError: `no-series-uid`, `mosaic-without-header` (a mosaic that was not unfolded),
            `photometric-not-supported`, `no-position` or `no-spacing`.
    """
    first = grid.first
    if not first.series_uid:
        raise RefusalError("no-series-uid", "SeriesInstanceUID must be given, got none")
    if any("MOSAIC" in item.instance.image_type and not item.frame.tile for item in grid.slices):
        raise RefusalError("mosaic-without-header", "mosaic must tell its tiles, got none")
    _check_samples(grid)
    if not grid.is_stack:
        _check_planes(grid)


def _check_samples(grid: Grid) -> None:
    """Refuse samples whose meaning is not known."""
    for item in grid.slices:
        samples = item.instance.samples
        is_grey = item.instance.photometric in (*GREY, PALETTE)
        is_colour = item.instance.photometric in DIRECT
        if not (is_grey and samples == 1) and not (is_colour and samples == 3):
            raise RefusalError(
                "photometric-not-supported", f"pixels must be grey or colour, got {samples} samples"
            )


def _check_planes(grid: Grid) -> None:
    """Refuse planes without geometry that are neither copies of one image nor one cine."""
    n_images = len({item.instance.sop_uid for item in grid.slices})
    n_frames = len({(item.instance.sop_uid, item.frame.index) for item in grid.slices})
    is_cine = n_images == 1 and grid.first.sop_class not in CROSS_SECTIONAL
    if n_frames == 1 or is_cine:
        return
    placed = all(item.frame.position_mm and item.frame.orientation for item in grid.slices)
    if placed:
        raise RefusalError("no-spacing", f"PixelSpacing must be given, {n_frames} slices have none")
    raise RefusalError(
        "no-position", f"position and orientation must be given, {n_frames} slices lack them"
    )
