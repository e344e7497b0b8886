"""Where each map is largest, and the stored DICOM object, frame and pixel that lies there."""

from collections.abc import Mapping
from typing import cast

import numpy as np

from medvision.cli._run import Step
from medvision.domain.geometry import Affine
from medvision.domain.record import JsonValue
from medvision.domain.tracing import parse_planes, trace_voxel
from medvision.domain.volume import FloatGrid
from medvision.io.tables import Cell
from medvision.runtime.files import read_json
from medvision.runtime.packs import has_file

COLUMNS = (
    *("image_id", "method", "i", "j", "k", "x_mm", "y_mm", "z_mm", "value"),
    *("sop_instance_uid", "file", "frame", "row", "column", "share"),
)


def find_peak(
    step: Step, image_id: str, method: str, *, grid: FloatGrid, affine: Affine
) -> list[dict[str, Cell]]:
    """Return the row of a map's peak; the image's sidecar is registered as read.

    Args:
        step: The running step.
        image_id: The explained image.
        method: Name of the map.
        grid: The map (i, j, k) on the source's grid.
        affine: (4, 4) of that grid, RAS+ mm.
    """
    path = step.layout.sidecar(image_id)
    is_needed = has_file(path) and is_marked(grid)
    sidecar = cast(Mapping[str, JsonValue], read_json(step.read(path))) if is_needed else {}
    return describe_peak(image_id, method, grid=grid, affine=affine, sidecar=sidecar)


def is_marked(grid: FloatGrid) -> bool:
    """Say whether a map has a peak: it is not zero, or no number, everywhere."""
    return bool(np.nan_to_num(grid).any())


def describe_peak(
    image_id: str,
    method: str,
    *,
    grid: FloatGrid,
    affine: Affine,
    sidecar: Mapping[str, JsonValue],
) -> list[dict[str, Cell]]:
    """Return the row of a map's voxel of the largest absolute value; none of an empty map.

    Args:
        image_id: The explained image.
        method: Name of the map.
        grid: The map (i, j, k) on the source's grid; of equal peaks the first counts.
        affine: (4, 4) of that grid, RAS+ mm.
        sidecar: The image's; empty where there is none.

    Returns:
        Index from 0 and place in RAS+ mm; of the stored object that most of the voxel comes from
        its frame, row and column, from 1. Nothing of it where the image is of a NIfTI file.
    """
    values = np.nan_to_num(np.abs(grid))
    if not values.any():
        return []
    voxel = tuple(int(n) for n in np.unravel_index(values.argmax(), grid.shape))
    place = affine @ [*voxel, 1.0]
    row: dict[str, Cell] = {
        "image_id": image_id,
        "method": method,
        **dict(zip("ijk", voxel, strict=True)),
        **{f"{axis}_mm": float(f"{mm:.6f}") for axis, mm in zip("xyz", place[:3], strict=True)},
        "value": float(f"{grid[voxel]:.9g}"),
    }
    return [row | _trace(sidecar, voxel)]


def _trace(sidecar: Mapping[str, JsonValue], voxel: tuple[int, ...]) -> dict[str, Cell]:
    """Return the stored object behind a voxel, the largest part where several are mixed."""
    planes = parse_planes(sidecar) if sidecar else None
    # A map is of the image's first three axes: of an image of several volumes none is meant.
    if planes is None or len(planes.shape) != len(voxel):
        return {}
    origins = trace_voxel(planes, voxel)
    if not origins:
        return {}
    origin = max(origins, key=lambda held: held.share)
    return {
        "sop_instance_uid": origin.sop_uid,
        "file": origin.file,
        "frame": origin.frame,
        "row": float(f"{origin.row:.6g}"),
        "column": float(f"{origin.column:.6g}"),
        "share": float(f"{origin.share:.6g}"),
    }
