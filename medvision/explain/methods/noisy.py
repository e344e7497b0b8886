"""Means over noise that is drawn by a recorded seed: SmoothGrad and GradientSHAP."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import GradientShap, NoiseTunnel, Saliency
from torch import Tensor

from medvision.domain.attribution import Attribution
from medvision.domain.record import JsonValue
from medvision.explain.methods.scene import Scene, finish


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Pin the generators that Captum draws from, and put them back as they were.

    Captum takes noise from torch's generator and shares of the way from NumPy's. Both are those
    of the CPU, so that a GPU draws the same.

    Args:
        seed: Of both generators.
    """
    before = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed every GPU too, and leave it so.
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)


def describe_draws(scene: Scene, n_draws: int) -> dict[str, JsonValue]:
    """Return what a reader needs to draw the same again."""
    return {
        "draws": n_draws,
        "torch_seed": scene.seed,
        "numpy_seed": scene.seed,
        "drawn_on": "cpu",
        "internal_batch_size": scene.settings.batch_size,
    }


def compute_noise_sd(scene: Scene) -> float:
    """Return the standard deviation of the noise, in units of the image."""
    spread = float(scene.image.max() - scene.image.min())
    return scene.settings.noise_level * spread


def smooth_gradient(scene: Scene) -> Attribution:
    """Return the mean gradient over copies of the image with noise, with its sign.

    Source:
        Smilkov 2017, arXiv:1706.03825.
    """
    settings, sd = scene.settings, compute_noise_sd(scene)
    with seeded(scene.seed):
        values: Tensor = NoiseTunnel(Saliency(scene.pad_on_cpu())).attribute(
            scene.image.cpu(),
            nt_type="smoothgrad",
            nt_samples=settings.noise_draws,
            nt_samples_batch_size=settings.batch_size,
            stdevs=sd,
            target=scene.target,
            abs=False,
        )
    parameters = describe_draws(scene, settings.noise_draws) | {"noise_sd": sd}
    return finish(scene, "smoothgrad", values=values.detach()[0].sum(0), parameters=parameters)


def sample_path(scene: Scene) -> Attribution:
    """Return (image - baseline) times the gradient, meant over random places between the two.

    The image has noise added. In batches, since Captum holds all draws of a call in memory. The
    sum misses the change of the logit by what chance leaves, which is told and not judged.

    Source:
        Lundberg and Lee 2017, arXiv:1705.07874; Erion 2021, doi:10.1038/s42256-021-00343-w.
    """
    settings, sd = scene.settings, compute_noise_sd(scene)
    shap = GradientShap(scene.pad_on_cpu())
    image, baseline = scene.image.cpu(), scene.baseline.cpu()
    total = torch.zeros_like(image)
    with seeded(scene.seed):
        for start in range(0, settings.noise_draws, settings.batch_size):
            n_draws = min(settings.batch_size, settings.noise_draws - start)
            part: Tensor = shap.attribute(
                image, baselines=baseline, n_samples=n_draws, stdevs=sd, target=scene.target
            )
            total += part.detach() * n_draws
    values = total / settings.noise_draws
    parameters: dict[str, JsonValue] = {
        **settings.describe_baseline(),
        **describe_draws(scene, settings.noise_draws),
        "noise_sd": sd,
    }
    return finish(
        scene,
        "gradient_shap",
        values=values[0].sum(0),
        parameters=parameters,
        error=scene.measure_error(values),
    )
