"""Steps on the source's own grid and values, before the one pass: bias field, plug-ins."""

from collections.abc import Callable, Collection
from typing import Literal

from medvision.domain.volume import Volume
from medvision.preprocess.bias import correct_bias, plan_bias
from medvision.preprocess.checks import check_source
from medvision.preprocess.plan import BIAS_STEP, PLUGIN_STEP, Parameters, Plan, PlanStep
from medvision.preprocess.plugins import plan_plugins, run_plugin

EARLY: dict[str, Callable[[Volume, Parameters], Volume]] = {
    BIAS_STEP: correct_bias,
    PLUGIN_STEP: run_plugin,
}
"""Step to what makes of a volume (C, I, J, K) the one that the rest of the plan begins with."""


def plan_early(
    *, spatial_dims: int, bias_field: Literal["n4"] | None, plugins: tuple[str, ...]
) -> tuple[PlanStep, ...]:
    """Plan what comes before orientation and crop.

    Args:
        spatial_dims: 2 leaves the bias field out.
        bias_field: n4, or None for no correction.
        plugins: module:function each, in the order in which they run.

    Returns:
        Bias field first, then plug-ins: a mask drawn by one of them finds even values.

    Raises:
        ConfigError: SimpleITK is not installed, or a plug-in's module is not there.
    """
    bias = [plan_bias()] if bias_field and spatial_dims == 3 else []
    return (*bias, *plan_plugins(plugins))


def prepend_steps(plan: Plan, steps: tuple[PlanStep, ...]) -> Plan:
    """Return the plan with steps before all others."""
    return Plan(plan.spatial_dims, (*steps, *plan.steps))


def cut_early(plan: Plan) -> tuple[tuple[PlanStep, ...], Plan]:
    """Return the early steps, and the plan without them."""
    early = tuple(step for step in plan.steps if step.name in EARLY)
    rest = tuple(step for step in plan.steps if step.name not in EARLY)
    return early, Plan(plan.spatial_dims, rest)


def drop_steps(plan: Plan, names: Collection[str]) -> Plan:
    """Return the plan of an image that some steps pass by."""
    return Plan(plan.spatial_dims, tuple(step for step in plan.steps if step.name not in names))


def run_early(steps: tuple[PlanStep, ...], volume: Volume) -> Volume:
    """Send an image through the early steps.

    Args:
        steps: As `cut_early` returns them; without any the volume is returned as it is.
        volume: (C, I, J, K) float32 as read; not changed.

    Raises:
        UnusableImageError: The image is not finite, constant or of impossible geometry, or a step
            can make nothing of it.
    """
    if steps:
        check_source(volume.array, volume.affine)
    for step in steps:
        volume = EARLY[step.name](volume, step.parameters)
    return volume
