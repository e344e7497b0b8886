"""Scaling as each image's own header asks for: filled into the plan, image by image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from medvision.domain.voi import Voi, apply_voi, decode_voi, encode_voi
from medvision.domain.volume import FloatGrid, FloatVolume
from medvision.preprocess.plan import VOI_STEP, Parameters, Plan, PlanStep
from medvision.preprocess.rejection import UnusableImageError


@dataclass(frozen=True)
class Display:
    """How one image's header asks for it to be shown.

    Args:
        voi: The window or table.
        is_inverted: The image has been turned over (MONOCHROME1).
    """

    voi: Voi
    is_inverted: bool


def has_voi_step(plan: Plan) -> bool:
    """Say whether a plan differs from image to image."""
    return any(step.name == VOI_STEP for step in plan.steps)


def fill_plan(plan: Plan, display: Display | None, *, mirror: float = 0.0) -> Plan:
    """Return the plan of one image.

    Args:
        plan: The study's.
        display: What the image's header asks for; None where it asks for nothing.
        mirror: Maximum plus minimum of the image, where it has been turned over.

    Returns:
        The same plan where it does not ask the header.

    Raises:
        UnusableImageError: no-voi, where nothing else is planned.
    """
    steps = tuple(
        _fill_step(step, display, mirror=mirror) if step.name == VOI_STEP else step
        for step in plan.steps
    )
    return Plan(plan.spatial_dims, steps)


def fill_plan_plainly(plan: Plan) -> Plan:
    """Return the plan of images whose header asks for nothing; the same where they are refused."""
    try:
        return fill_plan(plan, None)
    except UnusableImageError:
        return plan


def find_mirror(image: FloatGrid | FloatVolume) -> float:
    """Return the sum of the range's ends, from which a turned value is taken; 0 of no voxel."""
    if image.size == 0:
        return 0.0
    return float(np.float32(image.max()) + np.float32(image.min()))


def scale_voi(volume: FloatVolume, parameters: Parameters) -> None:
    """Show values as the header asks, in place: 0 is black, 1 is white.

    The header speaks of values before they were turned over. So they are turned back, shown, and
    what is shown is turned over.

    Args:
        volume: (C, I, J, K) float32.
        parameters: `voi`, and `mirror` where the image has been turned over.

    Source:
        PS3.3 C.7.6.3.1.2: MONOCHROME1 is shown white where the output of the VOI LUT is lowest.
    """
    voi = decode_voi(parameters["voi"])
    mirror = cast("float | None", parameters["mirror"])
    if mirror is None:
        volume[...] = apply_voi(volume, voi)
        return
    volume[...] = np.float32(1) - apply_voi(np.float32(mirror) - volume, voi)


def _fill_step(step: PlanStep, display: Display | None, *, mirror: float) -> PlanStep:
    """Return what stands for the step in one image's plan."""
    if display is not None:
        turned = mirror if display.is_inverted else None
        return PlanStep(VOI_STEP, {"voi": encode_voi(display.voi), "mirror": turned})
    if step.parameters["otherwise"] is None:
        raise UnusableImageError("no-voi", "neither window nor table")
    name, parameters = cast("tuple[str, Mapping[str, float]]", step.parameters["otherwise"])
    return PlanStep(name, dict(parameters))
