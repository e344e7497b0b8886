"""What a layer near the end sees: Grad-CAM, alone and with guided backpropagation."""

from collections.abc import Iterator
from contextlib import contextmanager

from captum.attr import GuidedGradCam, LayerGradCam
from torch import Tensor, nn

from medvision.domain.attribution import Attribution
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid
from medvision.errors import ExplanationError
from medvision.explain.grids import to_grid, upsample
from medvision.explain.methods.gradients import guide_backwards
from medvision.explain.methods.scene import PAIR, Scene, finish
from medvision.explain.network import find_layer
from medvision.explain.own_inputs import own_inputs


def weigh_activations(scene: Scene) -> Attribution:
    """Weigh a layer's channels by their mean gradient; no ReLU, so that the sign stays.

    Source:
        Selvaraju 2017, doi:10.1109/ICCV.2017.74 (there with a ReLU).
    """
    grid = weigh(scene)
    shape = to_grid(scene.image[0, 0]).shape
    parameters = {
        "relu": False,
        "interpolation": "trilinear between cell centres",
        **_describe_cells(scene, grid),
    }
    upsampled = upsample(grid, shape=shape)
    return finish(
        scene,
        "layer_gradcam",
        values=upsampled,
        parameters=parameters,
        native=grid,
        layer=scene.layer,
    )


def guide_gradcam(scene: Scene) -> Attribution:
    """Return guided backpropagation where Grad-CAM is positive, times Grad-CAM.

    Captum takes Grad-CAM with its ReLU here, as published, and interpolates its cells.

    Source:
        Selvaraju 2017, doi:10.1109/ICCV.2017.74.
    """
    grid = weigh(scene)
    n_axes = scene.image.ndim - 2
    mode = "trilinear" if n_axes == 3 else "bilinear"
    layer = find_layer(scene.network, scene.layer)
    with own_inputs(scene.network):
        values: Tensor = GuidedGradCam(scene.network, layer).attribute(
            scene.build_pair(), target=scene.target, interpolate_mode=mode
        )
    guided = guide_backwards(scene).parameters
    parameters = {
        "relu": True,
        "interpolation": mode,
        "distance_to_saliency": guided["distance_to_saliency"],
        **_describe_cells(scene, grid),
    }
    return finish(
        scene,
        "guided_gradcam",
        values=values.detach()[0].sum(0),
        parameters=parameters,
        layer=scene.layer,
    )


def weigh(scene: Scene) -> FloatGrid:
    """Return the signed map (I', J', K') on the layer's own cells.

    Raises:
        ExplanationError: The layer's output has no grid.
    """
    layer = find_layer(scene.network, scene.layer)
    pair = scene.image.expand(PAIR, *scene.image.shape[1:])
    with _graph_from(layer):
        values: Tensor = LayerGradCam(scene.network, layer).attribute(
            pair, target=scene.target, relu_attributions=False
        )
    native, n_axes = values.detach()[0, 0], scene.image.ndim - 2
    if native.ndim != n_axes:
        raise ExplanationError(
            f"Grad-CAM: layer {scene.layer} must have a grid of {n_axes} axes, "
            f"got output {tuple(values.shape)}."
        )
    return to_grid(native)


@contextmanager
def _graph_from(layer: nn.Module) -> Iterator[None]:
    """Let gradients begin at a layer's output: what lies before it keeps nothing for them."""

    def detach(_: nn.Module, __: object, output: Tensor) -> Tensor:
        return output.detach().requires_grad_()

    handle = layer.register_forward_hook(detach)
    try:
        yield
    finally:
        handle.remove()


def _describe_cells(scene: Scene, grid: FloatGrid) -> dict[str, JsonValue]:
    """Return the layer's grid and how many voxels one of its cells covers."""
    shape = to_grid(scene.image[0, 0]).shape
    return {
        "native_shape": [int(n) for n in grid.shape],
        "voxels_per_cell": [n / m for n, m in zip(shape, grid.shape, strict=True)],
        "batch_size": PAIR,
    }
