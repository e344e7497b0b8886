"""The methods by the names of the configuration, and the one door to all of them."""

import warnings
from collections.abc import Callable

from torch import Tensor, nn

from medvision.domain.attribution import Attribution
from medvision.errors import ExplanationError
from medvision.explain.methods.gradients import (
    compute_saliency,
    guide_backwards,
    multiply_by_input,
)
from medvision.explain.methods.layers import guide_gradcam, weigh_activations
from medvision.explain.methods.noisy import sample_path, smooth_gradient
from medvision.explain.methods.paths import compare_activations, integrate_gradients
from medvision.explain.methods.perturbation import occlude, share_out
from medvision.explain.methods.scene import Scene, Settings, open_scene

METHODS: dict[str, Callable[[Scene], Attribution]] = {
    "integrated_gradients": integrate_gradients,
    "layer_gradcam": weigh_activations,
    "occlusion": occlude,
    "saliency": compute_saliency,
    "smoothgrad": smooth_gradient,
    "input_x_gradient": multiply_by_input,
    "gradient_shap": sample_path,
    "deeplift": compare_activations,
    "guided_backprop": guide_backwards,
    "guided_gradcam": guide_gradcam,
    "kernel_shap": share_out,
}


def attribute(
    network: nn.Module,
    image: Tensor,
    *,
    method: str,
    target: int,
    layer: str,
    settings: Settings,
    seed: int,
) -> Attribution:
    """Attribute the target class's logit to the voxels of one image.

    Only this image is ever in a batch, beside its own baseline, steps and draws; batches have one
    fixed size, never one. The map so depends on no other image.

    Args:
        network: Canonical network, in eval mode.
        image: (1, C, I, J) or (1, C, I, J, K) float32, on the network's device.
        method: A key of `METHODS`.
        target: Index of the explained class.
        layer: Dotted name of the layer that Grad-CAM looks at.
        settings: Parameters of the methods.
        seed: Seed of what a method draws.

    Returns:
        The signed raw map on the image's grid (I, J, K), with the parameters in fact used.

    Raises:
        ExplanationError: The method is unknown or does not apply to this network or image.

    Source:
        Each method names its own; computed by Captum: Kokhlikyan 2020, arXiv:2009.07896.
    """
    if method not in METHODS:
        known = ", ".join(sorted(METHODS))
        raise ExplanationError(f"explain.methods: method must be one of {known}, got {method}.")
    scene = open_scene(network, image, target=target, layer=layer, settings=settings, seed=seed)
    with warnings.catch_warnings():
        # Captum warns that it sets hooks, which is what it was asked to do.
        warnings.filterwarnings("ignore", category=UserWarning, module="captum")
        return METHODS[method](scene)
