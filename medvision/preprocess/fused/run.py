"""One pass over an image: its planes as they come, one sampling, then scaling and sizing."""

from collections.abc import Iterable
from itertools import islice
from typing import cast

import numpy as np

from medvision.domain.geometry import Affine
from medvision.domain.volume import GridShape, Volume
from medvision.preprocess.checks import check_place, check_result
from medvision.preprocess.fused.grid import (
    Box,
    Grid,
    crop_grid,
    is_separable,
    orient_grid,
    space_grid,
    start_grid,
)
from medvision.preprocess.fused.planes import Planes, Watch
from medvision.preprocess.fused.sample import Plane, sample_planes
from medvision.preprocess.fused.scale import SCALERS
from medvision.preprocess.fused.size import SIZERS
from medvision.preprocess.plan import Plan, PlanStep

_SPATIAL = {"Orientation", "Spacing"}

_MOST_HELD_BYTES = 1 << 26
"""Of a source's planes; unpacking a larger file twice costs less than its memory."""


def knows_plan(plan: Plan) -> bool:
    """Say whether every step of a plan has its fused counterpart."""
    return {step.name for step in plan.steps} <= {*_SPATIAL, *SCALERS, *SIZERS}


def knows_image(plan: Plan, shape: GridShape, affine: Affine) -> bool:
    """Say whether an image can be sampled axis by axis: it need not, or its axes have no shear.

    Raises:
        UnusableImageError: The affine is none.
    """
    check_place(affine)
    is_resampled = any(step.name == "Spacing" for step in plan.steps)
    return not is_resampled or is_separable(shape, affine)


def run_plan(plan: Plan, source: Planes) -> Volume:
    """Send one image through a plan.

    Two planes are held at a time, besides the result. Before a crop of the source all are held,
    since the last of them may widen it; a source that is too large for that is read twice.

    Args:
        plan: One that `knows_plan`.
        source: One that `knows_image`.

    Returns:
        Array (C, I', J', K') float32 with the affine of its own grid.

    Raises:
        UnusableImageError: The image is not finite, constant, of impossible geometry, or nothing
            is left of it.
    """
    crop = next((step for step in plan.steps if _is_early(step)), None)
    watch = Watch(cast(float, crop.parameters["above"]) if crop else None)
    planes: Iterable[Plane] = watch.follow(source.read())
    box = None
    if crop:
        held = _hold(planes)
        watch.check()
        box = watch.find_box()
        planes = islice(source.read() if held is None else held, box[2][1])
    grid = _build_grid(plan, source, box=box)
    volume = _sample(planes, grid)
    watch.check()
    return _finish(plan, volume)


def _hold(planes: Iterable[Plane]) -> list[Plane] | None:
    """See all planes, and return them unless they are too many to be held."""
    held: list[Plane] = []
    n_bytes = 0
    for plane in planes:
        n_bytes += plane.nbytes
        if n_bytes > _MOST_HELD_BYTES:
            held.clear()
        else:
            held.append(plane)
    return held if n_bytes <= _MOST_HELD_BYTES else None


def _is_early(step: PlanStep) -> bool:
    """Say whether a step crops the source."""
    return step.name == "CropForeground" and step.parameters["units"] == "source"


def _build_grid(plan: Plan, source: Planes, *, box: Box | None) -> Grid:
    """Follow the spatial steps, without a voxel being touched."""
    grid = start_grid(source.shape, source.affine)
    for step in plan.steps:
        if step.name == "Orientation":
            grid = orient_grid(grid, cast(str, step.parameters["axcodes"]))
        elif step.name == "Spacing":
            grid = space_grid(grid, cast(list[float], step.parameters["pixdim"]))
        elif _is_early(step) and box is not None:
            grid = crop_grid(grid, box)
    return grid


def _sample(planes: Iterable[Plane], grid: Grid) -> Volume:
    """Take the grid's voxels out of the planes."""
    lines = [grid.coordinates[grid.axes.index(source)] for source in (2, 1, 0)]
    sampled = sample_planes(planes, lines)
    return Volume(sampled.transpose(0, *(3 - axis for axis in grid.axes)), grid.affine)


def _finish(plan: Plan, volume: Volume) -> Volume:
    """Scale and size what was sampled."""
    for step in plan.steps:
        if step.name in SCALERS:
            SCALERS[step.name](volume.array, step.parameters)
        elif step.name in SIZERS and not _is_early(step):
            volume = SIZERS[step.name](volume, step.parameters)
    array = np.ascontiguousarray(volume.array, dtype=np.float32)
    check_result(array)
    return Volume(array, volume.affine)
