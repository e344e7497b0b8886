"""From the baseline to the image, so that the map's sum is the change of the logit."""

import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from medvision.domain.attribution import Attribution
from medvision.domain.record import JsonValue
from medvision.explain.deeplift import build_deeplift
from medvision.explain.methods.scene import PAIR, InapplicableError, Scene, finish
from medvision.explain.own_inputs import own_inputs

STEP_LIMIT = 8
"""Integrated gradients stop doubling at this multiple of the configured steps."""

DEEPLIFT_GATE, DEEPLIFT_FLOOR_LOGIT = 1e-3, 1e-4
"""What DeepLift's sum may miss, as a share of the change and in logits. Where it applies it adds up
but for rounding: a wider gate would only let through what it does not apply to."""


def integrate_gradients(scene: Scene) -> Attribution:
    """Integrate the gradient from the baseline, doubling the steps until the sum is right.

    Source:
        Sundararajan 2017, arXiv:1703.01365.
    """
    settings = scene.settings
    gate = scene.compute_gate()
    steps = settings.steps
    values, error = _integrate(scene, steps)
    while error > gate and steps * 2 <= settings.steps * STEP_LIMIT:
        steps *= 2
        values, error = _integrate(scene, steps)
    parameters: dict[str, JsonValue] = {
        **settings.describe_baseline(),
        "steps": steps,
        "step_limit": settings.steps * STEP_LIMIT,
        "quadrature": "gausslegendre",
        "internal_batch_size": settings.batch_size,
        "completeness_gate": gate,
    }
    return finish(
        scene, "integrated_gradients", values=values.sum(0), parameters=parameters, error=error
    )


def _integrate(scene: Scene, steps: int) -> tuple[Tensor, float]:
    """Return the map (C, ...) at a number of steps, and its completeness error."""
    values: Tensor = IntegratedGradients(scene.pad()).attribute(
        scene.image,
        baselines=scene.baseline,
        target=scene.target,
        n_steps=steps,
        method="gausslegendre",
        internal_batch_size=scene.settings.batch_size,
    )
    return values.detach()[0], scene.measure_error(values)


def compare_activations(scene: Scene) -> Attribution:
    """Send the difference of image and baseline backwards, by the rescale rule.

    Image and baseline are the two rows of its only batch.

    Raises:
        InapplicableError: Captum's hooks fail on this network.

    Source:
        Shrikumar 2017, arXiv:1704.02685.
    """
    try:
        with own_inputs(scene.network):
            values: Tensor = build_deeplift(scene.network).attribute(
                scene.image.clone().requires_grad_(), baselines=scene.baseline, target=scene.target
            )
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InapplicableError(f"deeplift: Captum cannot follow the network: {reason}") from error
    parameters: dict[str, JsonValue] = {
        **scene.settings.describe_baseline(),
        "rule": "rescale; overlapping pools add up",
        "batch_size": PAIR,
        "completeness_gate": max(DEEPLIFT_GATE * abs(scene.difference), DEEPLIFT_FLOOR_LOGIT),
    }
    return finish(
        scene,
        "deeplift",
        values=values.detach()[0].sum(0),
        parameters=parameters,
        error=scene.measure_error(values),
    )
