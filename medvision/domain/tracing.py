"""From a voxel of a converted image back to the stored objects that its value was made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from medvision.domain.record import JsonValue
from medvision.errors import DataError

_LEAST_SHARE = 1e-6
_EDGE = 1e-6
"""Pixels; what lies outside a plane by less lies on its edge."""


@dataclass(frozen=True)
class Origin:
    """A place in a stored object.

    Args:
        sop_uid: SOP Instance UID, as pseudonym.
        file: Pseudonymous id of the file; empty where it was not noted.
        frame: Number of the frame, from 1.
        column: From 1, at the centre of a pixel; with a fraction where a tilt was straightened.
        row: Likewise.
        share: Of the voxel's value that comes from there; all shares add up to 1.
    """

    sop_uid: str
    file: str
    frame: int
    column: float
    row: float
    share: float


@dataclass(frozen=True)
class Planes:
    """Which stored planes an image was made of, as its sidecar tells.

    Args:
        shape: Voxels (i, j, k), and volumes where the image holds several.
        sop_uids: Of each plane, volume after volume.
        files: Their files; empty where they were not noted.
        frames: Their frames, from 1.
        tiles: (row, column) of each plane's first pixel, where it is a tile of a mosaic, which is
            one frame; empty where none is.
        n_volumes: Volumes that they make up; more than the image holds where it is their mean.
        lower: For each slice of a resampled image the source slice at or below it; empty where
            slices are as they were stored.
        shares: For each slice the share of the source slice above that one.
        offsets: For each source slice the place (i, j) of its first voxel; empty where none moved.
        margins: Voxels (i, j) by which the image is larger than its planes.
    """

    shape: tuple[int, ...]
    sop_uids: tuple[str, ...]
    files: tuple[str, ...]
    frames: tuple[int, ...]
    tiles: tuple[tuple[int, int], ...]
    n_volumes: int
    lower: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    offsets: tuple[tuple[float, float], ...] = ()
    margins: tuple[int, int] = (0, 0)


def parse_planes(sidecar: Mapping[str, JsonValue]) -> Planes | None:
    """Read from a sidecar which stored planes an image was made of.

    Args:
        sidecar: `ingest/images/<image>.json`.

    Returns:
        None where the image was not made of DICOM objects.
    """
    uids = cast(list[str], sidecar.get("SOPInstanceUIDs", []))
    if not uids:
        return None
    resampled = cast(Mapping[str, JsonValue], sidecar.get("Resampled", {}))
    tiles = cast(list[list[int]], sidecar.get("MosaicTiles", []))
    return Planes(
        shape=tuple(cast(list[int], sidecar["Shape"])),
        sop_uids=tuple(uids),
        files=tuple(cast(list[str], sidecar.get("SourceFiles", []))),
        frames=tuple(cast(list[int], sidecar["FrameNumbers"])),
        tiles=tuple((row, column) for row, column in tiles),
        n_volumes=len(cast(list[JsonValue], sidecar.get("AxisValues", []))) or 1,
        lower=tuple(cast(list[int], resampled.get("Lower", []))),
        shares=tuple(cast(list[float], resampled.get("Shares", []))),
        offsets=tuple((i, j) for i, j in cast(list[list[float]], resampled.get("Offsets", []))),
        margins=cast(tuple[int, int], tuple(cast(list[int], resampled.get("Margins", [0, 0])))),
    )


def trace_voxel(planes: Planes, voxel: Sequence[int]) -> tuple[Origin, ...]:
    """Return where in the stored objects a voxel's value comes from.

    Args:
        planes: What the image was made of.
        voxel: Index (i, j, k) = (column, row, slice) from 0, and of the volume where the image
            holds several.

    Returns:
        The places, in the order of the image; none where the voxel was filled and not measured,
        several where slices were mixed or volumes averaged.

    Raises:
        DataError: The index is not one of the image's.
    """
    if len(voxel) != len(planes.shape) or not all(
        0 <= n < size for n, size in zip(voxel, planes.shape, strict=True)
    ):
        raise DataError(
            f"voxel: index must be within {'x'.join(map(str, planes.shape))}, counted from 0, got "
            f"{', '.join(map(str, voxel))}.",
            "a fourth number is the volume, where the image holds several.",
        )
    volumes = voxel[3:] or range(planes.n_volumes)
    found = [
        origin
        for volume in volumes
        for k, share in _list_slices(planes, voxel[2])
        for origin in _place(planes, voxel, k=k, volume=volume, share=share / len(volumes))
    ]
    # A mix of which a part lies outside a moved slice was filled as a whole.
    return tuple(found) if np.isclose(sum(origin.share for origin in found), 1.0) else ()


def _list_slices(planes: Planes, k: int) -> list[tuple[int, float]]:
    """Return the source slices of a slice, with their shares."""
    if not planes.lower:
        return [(k, 1.0)]
    lower, share = planes.lower[k], planes.shares[k]
    both = [(lower, 1.0 - share), (lower + 1, share)]
    return [(n, held) for n, held in both if held > _LEAST_SHARE]


def _place(
    planes: Planes, voxel: Sequence[int], *, k: int, volume: int, share: float
) -> Iterator[Origin]:
    """Yield the place in one source slice of one volume, unless the voxel lies outside of it."""
    i, j = voxel[:2]
    offset_i, offset_j = planes.offsets[k] if planes.offsets else (0.0, 0.0)
    column, row = _settle(i - offset_i), _settle(j - offset_j)
    last = [planes.shape[d] - planes.margins[d] - 1 for d in (0, 1)]
    if not all(-_EDGE <= n <= most + _EDGE for n, most in zip((column, row), last, strict=True)):
        return
    n = volume * (len(planes.sop_uids) // planes.n_volumes) + k
    first_row, first_column = planes.tiles[n] if planes.tiles else (0, 0)
    yield Origin(
        sop_uid=planes.sop_uids[n],
        file=planes.files[n] if planes.files else "",
        frame=1 if planes.tiles else planes.frames[n],
        column=column + first_column + 1,
        row=row + first_row + 1,
        share=share,
    )


def _settle(value: float) -> float:
    """Return a whole number for what is next to one."""
    nearest = float(np.rint(value))
    return nearest if abs(value - nearest) <= _EDGE else float(value)
