"""One backward pass: saliency, input times gradient, guided backpropagation."""

import torch
from captum.attr import GuidedBackprop, InputXGradient, Saliency
from torch import Tensor

from medvision.domain.attribution import Attribution
from medvision.explain.methods.scene import PAIR, Scene, finish
from medvision.explain.own_inputs import own_inputs


def compute_saliency(scene: Scene) -> Attribution:
    """Return the gradient of the logit, with its sign.

    Source:
        Simonyan, Vedaldi, Zisserman 2013, arXiv:1312.6034 (there without the sign).
    """
    values = compute_gradient(scene)
    return finish(scene, "saliency", values=values.sum(0), parameters={"batch_size": PAIR})


def compute_gradient(scene: Scene) -> Tensor:
    """Return the gradient (C, ...) of the target's logit at the image."""
    found: Tensor = Saliency(scene.network).attribute(
        scene.build_pair(), target=scene.target, abs=False
    )
    return found.detach()[0]


def multiply_by_input(scene: Scene) -> Attribution:
    """Return the gradient times the voxel's own value.

    Source:
        Shrikumar 2016, arXiv:1605.01713.
    """
    found: Tensor = InputXGradient(scene.network).attribute(scene.build_pair(), target=scene.target)
    parameters = {"batch_size": PAIR}
    return finish(
        scene, "input_x_gradient", values=found.detach()[0].sum(0), parameters={**parameters}
    )


def guide_backwards(scene: Scene) -> Attribution:
    """Return the gradient that passes each ReLU only where it is positive.

    Source:
        Springenberg 2014, arXiv:1412.6806.
    """
    with own_inputs(scene.network):
        found: Tensor = GuidedBackprop(scene.network).attribute(
            scene.build_pair(), target=scene.target
        )
    values = found.detach()[0]
    return finish(
        scene,
        "guided_backprop",
        values=values.sum(0),
        parameters={
            "batch_size": PAIR,
            "distance_to_saliency": measure_distance(values, compute_gradient(scene)),
        },
    )


def measure_distance(values: Tensor, gradient: Tensor) -> float | None:
    """Return how far a guided map is from the plain gradient, as a share of its length.

    None where the gradient is zero everywhere: then both are, and nothing is told apart.
    """
    length = float(torch.linalg.vector_norm(gradient.double()))
    if length == 0:
        return None
    return float(torch.linalg.vector_norm((values - gradient).double())) / length
