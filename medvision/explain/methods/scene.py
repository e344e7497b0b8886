"""What every method is given, and what every method gives back."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medvision.domain.attribution import Attribution
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid
from medvision.errors import ExplanationError
from medvision.explain.baseline import Baseline, BlurVoxels, build_baseline, hash_baseline
from medvision.explain.gates import compute_gate
from medvision.explain.grids import to_grid
from medvision.explain.network import Forward, pad_batches

Triple = tuple[int, int, int]

PAIR = 2
"""Rows of a batch of one image: a batch of one is computed otherwise, in the last digits."""


class InapplicableError(ExplanationError):
    """A method does not apply to this network or image; others may."""


@dataclass(frozen=True)
class Settings:
    """What the methods obey; the fields of the configuration by the same names."""

    steps: int
    batch_size: int
    baseline: Baseline
    blur_voxels: BlurVoxels
    occlusion_window: Triple
    occlusion_stride: Triple
    occlusion_share: float
    completeness: float
    noise_draws: int
    noise_level: float
    shap_draws: int

    def build_baseline(self, image: Tensor) -> Tensor:
        """Return what stands for absence in an image (1, C, ...)."""
        return build_baseline(image, baseline=self.baseline, blur_voxels=self.blur_voxels)

    def describe_baseline(self) -> dict[str, JsonValue]:
        """Return the baseline as an attribution's parameters name it."""
        if self.baseline != "blur":
            return {"baseline": self.baseline}
        return {"baseline": "blur", "blur_voxels": list(self.blur_voxels)}


@dataclass(frozen=True)
class Scene:
    """One image before one network, and the class whose logit is explained.

    Args:
        network: Canonical network, in eval mode.
        image: (1, C, I, J) or (1, C, I, J, K) float32, on the network's device.
        target: Index of the explained class.
        layer: Dotted name of Grad-CAM's layer.
        settings: Parameters of the methods.
        seed: Seed of the methods that draw.
        baseline: What stands for absence, like `image`.
        output: The target's logit of the image.
        difference: That less the baseline's.
    """

    network: nn.Module
    image: Tensor
    target: int
    layer: str
    settings: Settings
    seed: int
    baseline: Tensor
    output: float
    difference: float

    def build_pair(self) -> Tensor:
        """Return the image twice, as a batch that gradients flow to; the first row counts."""
        return self.image.expand(PAIR, *self.image.shape[1:]).clone().requires_grad_()

    def pad(self) -> Forward:
        """Return the network on whole batches of the configured size."""
        return pad_batches(self.network, batch_size=self.settings.batch_size)

    def pad_on_cpu(self) -> Forward:
        """Return the same for rows on the CPU, where what is drawn is equal on every machine."""
        forward, device = self.pad(), self.image.device

        def move(rows: Tensor) -> Tensor:
            return forward(rows.to(device)).to("cpu")

        return move

    def compute_gate(self) -> float:
        """Return the largest completeness error that is none, in logits; not DeepLift's."""
        return compute_gate("", self.difference, completeness=self.settings.completeness)

    def measure_error(self, values: Tensor) -> float:
        """Return by how much a map's sum misses the difference of the logits."""
        return abs(float(values.detach().double().sum()) - self.difference)


def open_scene(
    network: nn.Module, image: Tensor, *, target: int, layer: str, settings: Settings, seed: int
) -> Scene:
    """Compute the baseline and its logit, which every attribution is told with."""
    baseline = settings.build_baseline(image)
    with torch.no_grad():
        logits = network(torch.cat([image, baseline]))[:, target].double()
    output, difference = float(logits[0]), float(logits[0] - logits[1])
    return Scene(network, image, target, layer, settings, seed, baseline, output, difference)


def finish(
    scene: Scene,
    method: str,
    *,
    values: Tensor | FloatGrid,
    parameters: dict[str, JsonValue],
    error: float | None = None,
    native: FloatGrid | None = None,
    layer: str | None = None,
) -> Attribution:
    """Put a map on the (I, J, K) grid and hold it with what is known of it.

    Args:
        scene: What was explained.
        method: Name of the method.
        values: Map (I, J[, K]), channels summed.
        parameters: What the method was in fact given.
        error: Completeness error in logits, where there is one.
        native: The map on the grid on which it was computed, where that is another.
        layer: Dotted name of the layer, where the method looked at one.

    Raises:
        ExplanationError: The map or the logits are not finite.
    """
    grid = values if isinstance(values, np.ndarray) else to_grid(values)
    if not (np.isfinite(grid).all() and math.isfinite(scene.difference)):
        raise ExplanationError(f"{method}: map and logits must be finite, got NaN or infinity.")
    return Attribution(
        grid=grid,
        method=method,
        target=scene.target,
        layer=layer,
        parameters=parameters,
        output=scene.output,
        output_difference=scene.difference,
        completeness_error=error,
        native=native,
        baseline_digest=hash_baseline(scene.baseline) if "baseline" in parameters else None,
    )
