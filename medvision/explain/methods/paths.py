"""From the baseline to the image, so that the map's sum is the change of the logit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from medvision.domain.attribution import Attribution
from medvision.domain.record import JsonValue
from medvision.explain.deeplift import build_deeplift
from medvision.explain.gates import compute_gate
from medvision.explain.methods.scene import PAIR, InapplicableError, Scene, finish
from medvision.explain.own_inputs import own_inputs

STEP_LIMIT = 8
"""Integrated gradients stop adding steps at this multiple of the configured ones."""


@dataclass(frozen=True)
class _Panel:
    """A part of the way from the baseline to the image, and the gradient integrated along it.

    Args:
        start: Where it begins, 0 at the baseline.
        stop: Where it ends, 1 at the image.
        values: Its map (C, ...).
    """

    start: float
    stop: float
    values: Tensor


def integrate_gradients(scene: Scene) -> Attribution:
    """Integrate the gradient from the baseline, adding steps until the sum is right.

    The way is cut into panels of one batch each. While the sum misses the change of the logit, the
    panel that misses its own change by most is halved: steps go where the network bends.

    Source:
        Sundararajan 2017, arXiv:1703.01365; halving: none, own definition.
    """
    settings = scene.settings
    gate = scene.compute_gate()
    points = min(settings.batch_size, settings.steps)
    n_panels = math.ceil(settings.steps / points)
    edges = [n / n_panels for n in range(n_panels + 1)]
    panels = [_integrate(scene, *ends, points=points) for ends in pairwise(edges)]
    limit = settings.steps * STEP_LIMIT
    while _measure_error(scene, panels) > gate and (len(panels) + 1) * points <= limit:
        panels = _halve_worst(scene, panels, points=points)
    parameters: dict[str, JsonValue] = {
        **settings.describe_baseline(),
        "steps": len(panels) * points,
        "step_limit": limit,
        "quadrature": f"gausslegendre in panels of {points}",
        "internal_batch_size": settings.batch_size,
        "completeness_gate": gate,
    }
    return finish(
        scene,
        "integrated_gradients",
        values=_add(panels).sum(0),
        parameters=parameters,
        error=_measure_error(scene, panels),
    )


def _integrate(scene: Scene, start: float, stop: float, *, points: int) -> _Panel:
    """Integrate along a part of the way."""
    values: Tensor = IntegratedGradients(scene.pad()).attribute(
        _go(scene, stop),
        baselines=_go(scene, start),
        target=scene.target,
        n_steps=points,
        method="gausslegendre",
        internal_batch_size=scene.settings.batch_size,
    )
    return _Panel(start, stop, values.detach()[0])


def _go(scene: Scene, share: float) -> Tensor:
    """Return the image at a share of the way; the ends are baseline and image to the bit."""
    if share in (0.0, 1.0):
        return scene.image if share else scene.baseline
    return torch.lerp(scene.baseline, scene.image, share)


def _add(panels: Sequence[_Panel]) -> Tensor:
    """Return the map (C, ...) of the whole way."""
    return torch.stack([panel.values for panel in panels]).sum(0)


def _measure_error(scene: Scene, panels: Sequence[_Panel]) -> float:
    """Return by how much the sum misses the change of the logit."""
    return scene.measure_error(_add(panels))


def _halve_worst(scene: Scene, panels: Sequence[_Panel], *, points: int) -> list[_Panel]:
    """Put two panels in the place of the one whose sum misses its own change by most."""
    ways = [_go(scene, share) for share in (*(p.start for p in panels), 1.0)]
    with torch.no_grad():
        logits = scene.pad()(torch.cat(ways))[:, scene.target].double()
    misses = [
        abs(float(panel.values.double().sum() - (after - before)))
        for panel, (before, after) in zip(panels, pairwise(logits.tolist()), strict=True)
    ]
    worst = misses.index(max(misses))
    start, stop = panels[worst].start, panels[worst].stop
    middle = (start + stop) / 2
    halves = [_integrate(scene, *ends, points=points) for ends in pairwise((start, middle, stop))]
    return [*panels[:worst], *halves, *panels[worst + 1 :]]


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
        "completeness_gate": compute_gate(
            "deeplift", scene.difference, completeness=scene.settings.completeness
        ),
    }
    return finish(
        scene,
        "deeplift",
        values=values.detach()[0].sum(0),
        parameters=parameters,
        error=scene.measure_error(values),
    )
