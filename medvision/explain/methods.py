"""Attribution methods by name, all through Captum, on the array's grid."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from torch import Tensor, nn

from medvision.domain.attribution import Attribution
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid
from medvision.errors import ExplanationError
from medvision.explain.baseline import Baseline, BlurVoxels, build_baseline
from medvision.explain.grids import to_grid, upsample
from medvision.explain.network import find_layer, pad_batches

Triple = tuple[int, int, int]

STEP_LIMIT = 8
"""Integrated gradients stop doubling at this multiple of the configured steps."""

ERROR_FLOOR_LOGIT = 0.01
"""A completeness error below this is no error, however small the output difference."""

_PAIR = 2


@dataclass(frozen=True)
class Settings:
    """What the methods obey; the fields of the configuration by the same names."""

    steps: int
    batch_size: int
    baseline: Baseline
    blur_voxels: BlurVoxels
    occlusion_window: Triple
    occlusion_stride: Triple
    completeness: float

    def build_baseline(self, image: Tensor) -> Tensor:
        """Return what stands for absence in an image (1, C, ...)."""
        return build_baseline(image, baseline=self.baseline, blur_voxels=self.blur_voxels)

    def describe_baseline(self) -> dict[str, JsonValue]:
        """Return the baseline as an attribution's parameters name it."""
        if self.baseline != "blur":
            return {"baseline": self.baseline}
        return {"baseline": "blur", "blur_voxels": list(self.blur_voxels)}


@dataclass(frozen=True)
class _Scene:
    """One image before one network, and the class whose logit is explained."""

    network: nn.Module
    image: Tensor
    target: int
    layer: str
    settings: Settings
    baseline: Tensor
    output: float
    difference: float


def attribute(
    network: nn.Module,
    image: Tensor,
    *,
    method: str,
    target: int,
    layer: str,
    settings: Settings,
) -> Attribution:
    """Attribute the target class's logit to the voxels of one image.

    Args:
        network: Canonical network, in eval mode.
        image: (1, C, I, J) or (1, C, I, J, K) float32, on the network's device.
        method: A key of `METHODS`.
        target: Index of the explained class.
        layer: Dotted name of the layer that LayerGradCam looks at.
        settings: Parameters of the methods.

    Returns:
        The signed raw map on the image's grid (I, J, K), with the parameters in fact used.

    Raises:
        ExplanationError: The method is unknown or does not apply to this network or image.

    Source:
        Integrated gradients: Sundararajan 2017, arXiv:1703.01365. Grad-CAM: Selvaraju 2017,
        doi:10.1109/ICCV.2017.74. Occlusion: Zeiler and Fergus 2014, arXiv:1311.2901.
    """
    if method not in METHODS:
        known = ", ".join(sorted(METHODS))
        raise ExplanationError(f"explain.methods: method must be one of {known}, got {method}.")
    baseline = settings.build_baseline(image)
    output, difference = _compute_outputs(network, image, target=target, baseline=baseline)
    scene = _Scene(network, image, target, layer, settings, baseline, output, difference)
    return METHODS[method](scene)


def _compute_outputs(
    network: nn.Module, image: Tensor, *, target: int, baseline: Tensor
) -> tuple[float, float]:
    """Return the target's logit, and how much it exceeds the baseline's."""
    with torch.no_grad():
        rows = torch.cat([image, baseline])
        logits = network(rows)[:, target].double()
    return float(logits[0]), float(logits[0] - logits[1])


def _integrate_gradients(scene: _Scene) -> Attribution:
    """Integrate the gradient from the baseline, doubling the steps until the sum is right."""
    settings = scene.settings
    gate = max(settings.completeness * abs(scene.difference), ERROR_FLOOR_LOGIT)
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
    return _finish(
        scene, "integrated_gradients", values=values.sum(0), parameters=parameters, error=error
    )


def _integrate(scene: _Scene, steps: int) -> tuple[Tensor, float]:
    """Return the map (C, ...) at a number of steps, and its completeness error."""
    forward = pad_batches(scene.network, batch_size=scene.settings.batch_size)
    values: Tensor = IntegratedGradients(forward).attribute(
        scene.image,
        baselines=scene.baseline,
        target=scene.target,
        n_steps=steps,
        method="gausslegendre",
        internal_batch_size=scene.settings.batch_size,
    )
    error = abs(float(values.detach().double().sum()) - scene.difference)
    return values.detach()[0], error


def _weigh_activations(scene: _Scene) -> Attribution:
    """Weigh a layer's channels by their mean gradient; no ReLU, so that the sign stays."""
    layer = find_layer(scene.network, scene.layer)
    forward = pad_batches(scene.network, batch_size=_PAIR)
    image = scene.image.clone().requires_grad_()
    values: Tensor = LayerGradCam(forward, layer).attribute(
        image, target=scene.target, relu_attributions=False
    )
    native = values.detach()[0, 0]
    if native.ndim != scene.image.ndim - 2:
        raise ExplanationError(
            f"layer_gradcam: layer {scene.layer} must have a grid of {scene.image.ndim - 2} axes, "
            f"got output {tuple(values.shape)}."
        )
    shape = to_grid(scene.image[0, 0]).shape
    grid = to_grid(native)
    cells: list[JsonValue] = [n / m for n, m in zip(shape, grid.shape, strict=True)]
    parameters: dict[str, JsonValue] = {
        "relu": False,
        "native_shape": [int(n) for n in grid.shape],
        "voxels_per_cell": cells,
        "interpolation": "trilinear between cell centres",
        "batch_size": _PAIR,
    }
    upsampled = upsample(grid, shape=shape)
    return _finish(scene, "layer_gradcam", values=upsampled, parameters=parameters, native=grid)


def _occlude(scene: _Scene) -> Attribution:
    """Slide a box of baseline over the image and note how much the logit falls."""
    settings = scene.settings
    axes = scene.image.shape[2:]
    sizes = list(zip(settings.occlusion_window, axes, strict=False))
    window = [min(size, length) for size, length in sizes]
    stride = [
        min(step, size) for step, size in zip(settings.occlusion_stride, window, strict=False)
    ]
    n_channels = scene.image.shape[1]
    with torch.no_grad():
        values: Tensor = Occlusion(
            pad_batches(scene.network, batch_size=settings.batch_size)
        ).attribute(
            scene.image,
            sliding_window_shapes=(n_channels, *window),
            strides=(n_channels, *stride),
            baselines=scene.baseline,
            target=scene.target,
            perturbations_per_eval=settings.batch_size,
        )
    parameters: dict[str, JsonValue] = {
        **settings.describe_baseline(),
        "window": [int(n) for n in window],
        "stride": [int(n) for n in stride],
        "perturbations_per_eval": settings.batch_size,
    }
    # The box covers all channels at once, so each channel carries the same fall of the logit.
    return _finish(scene, "occlusion", values=values[0, 0], parameters=parameters)


def _finish(
    scene: _Scene,
    method: str,
    *,
    values: Tensor | FloatGrid,
    parameters: dict[str, JsonValue],
    error: float | None = None,
    native: FloatGrid | None = None,
) -> Attribution:
    """Put a map on the (I, J, K) grid and hold it with what is known of it."""
    grid = values if isinstance(values, np.ndarray) else to_grid(values)
    if not (np.isfinite(grid).all() and math.isfinite(scene.difference)):
        raise ExplanationError(f"{method}: map and logits must be finite, got NaN or infinity.")
    return Attribution(
        grid=grid,
        method=method,
        target=scene.target,
        layer=scene.layer if native is not None else None,
        parameters=parameters,
        output=scene.output,
        output_difference=scene.difference,
        completeness_error=error,
        native=native,
    )


METHODS: dict[str, Callable[[_Scene], Attribution]] = {
    "integrated_gradients": _integrate_gradients,
    "layer_gradcam": _weigh_activations,
    "occlusion": _occlude,
}
