"""A series divided into grids: which slices can form one image, and which cannot be used."""

import numpy as np

from medvision.domain.study import Grid, Series, Slice
from medvision.io.dicom.objects import CROSS_SECTIONAL
from medvision.io.dicom.pixels import COLOUR, GREY
from medvision.io.reasons import RefusalError

_ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of direction cosines within one grid."""

_SPACING_TOLERANCE = 1e-4
"""Largest relative difference of pixel spacing within one grid."""

_LOCALIZER = frozenset({"LOCALIZER", "SCOUT"})

_Key = tuple[object, ...]


def split_grids(series: Series) -> list[Grid]:
    """Divide a series by what makes a grid.

    Slices share a grid when they agree in SOP class, role, size, frame of reference, orientation
    and pixel spacing. An image without geometry is a grid of its own (with its copies), except
    that planes of CT, MR or PET without geometry stay together, so that they are refused together.

    Args:
        series: Instances sorted by UID.

    Returns:
        Grids in an order that file names cannot change.
    """
    groups: dict[_Key, list[list[Slice]]] = {}
    for instance in series.instances:
        for frame in instance.frames:
            item = Slice(instance, frame)
            _join(groups.setdefault(_compute_key(item), []), item)
    members = [group for groups_of_key in groups.values() for group in groups_of_key]
    is_incomplete = any(instance.fault for instance in series.instances)
    return [
        Grid(tuple(group), index, group[0].frame.has_geometry, is_incomplete)
        for index, group in enumerate(members)
    ]


def _compute_key(item: Slice) -> _Key:
    """Return what must be equal within a grid."""
    instance = item.instance
    if not item.frame.has_geometry:
        is_lone = instance.sop_class not in CROSS_SECTIONAL
        return ("without geometry", instance.sop_uid if is_lone else instance.sop_class)
    return (
        instance.sop_class,
        is_localizer(item),
        instance.rows,
        instance.columns,
        instance.photometric,
        instance.frame_of_reference,
    )


def _join(groups: list[list[Slice]], item: Slice) -> None:
    """Put a slice into the group whose first slice lies parallel to it, or into a new one."""
    for group in groups:
        if _is_parallel(group[0], item):
            group.append(item)
            return
    groups.append([item])


def _is_parallel(one: Slice, other: Slice) -> bool:
    """Say whether two slices have the same orientation and pixel spacing."""
    here, there = one.frame, other.frame
    if not (here.orientation and there.orientation and here.spacing_mm and there.spacing_mm):
        return True
    orientation = np.subtract(here.orientation, there.orientation)
    spacing = np.divide(here.spacing_mm, there.spacing_mm) - 1
    return bool(
        np.abs(orientation).max() <= _ORIENTATION_TOLERANCE
        and np.abs(spacing).max() <= _SPACING_TOLERANCE
    )


def is_localizer(item: Slice) -> bool:
    """Say whether a slice is a planning scout (PS3.3 C.7.6.1.1.2)."""
    return not _LOCALIZER.isdisjoint(item.instance.image_type)


def check_grid(grid: Grid) -> None:
    """Refuse a grid that its headers alone show to be no usable image.

    Raises:
        RefusalError: With the reason.
    """
    first = grid.first
    if not first.series_uid:
        raise RefusalError("no-series-uid", "SeriesInstanceUID must be given, got none")
    if is_localizer(grid.slices[0]):
        raise RefusalError("localizer", "ImageType must not be LOCALIZER, got LOCALIZER")
    if "MOSAIC" in first.image_type:
        raise RefusalError("mosaic-not-supported", "ImageType must not be MOSAIC, got MOSAIC")
    _check_samples(grid)
    if not grid.is_stack:
        _check_lone_plane(grid)


def _check_samples(grid: Grid) -> None:
    """Refuse samples whose meaning is not known."""
    for item in grid.slices:
        samples = item.instance.samples
        is_grey = item.instance.photometric in GREY or item.instance.photometric == "PALETTE COLOR"
        is_colour = item.instance.photometric in COLOUR
        if not (is_grey and samples == 1) and not (is_colour and samples == 3):
            raise RefusalError(
                "photometric-not-supported", f"pixels must be grey or colour, got {samples} samples"
            )


def _check_lone_plane(grid: Grid) -> None:
    """Refuse slices without geometry that are more than one image."""
    frames = {len(item.instance.frames) for item in grid.slices}
    if len(frames) > 1:
        raise RefusalError(
            "conflicting-duplicate", "one SOPInstanceUID must stand for one image, got several"
        )
    if max(frames) > 1:
        raise RefusalError(
            "multiframe-not-supported", f"every frame must have a position, {max(frames)} have none"
        )
    n_images = len({item.instance.sop_uid for item in grid.slices})
    if n_images == 1:
        return
    placed = all(item.frame.position_mm and item.frame.orientation for item in grid.slices)
    if placed:
        raise RefusalError("no-spacing", f"PixelSpacing must be given, {n_images} slices have none")
    raise RefusalError(
        "no-position", f"position and orientation must be given, {n_images} slices lack them"
    )
