"""Maps for comparison between networks: cheaper than those shown, and equally so for all."""

from dataclasses import replace

from torch import Tensor, nn

from medvision.domain.attribution import Attribution
from medvision.domain.volume import FloatGrid
from medvision.explain.methods import Settings, attribute
from medvision.runtime.seeds import derive_seed

STEPS = 8
DRAWS = 8
SHARE = 2
BOX = 1.5


def reduce_settings(settings: Settings) -> Settings:
    """Return the settings of maps that are compared and not shown.

    Integrated gradients at `STEPS` steps, means over noise of `DRAWS` draws, occlusion in boxes of
    `BOX` windows side by side, KernelSHAP on supervoxels of that size with 1 / `SHARE` of the
    draws, and no gate of completeness.

    Args:
        settings: Those of the maps that are shown.
    """
    i, j, k = (round(n * BOX) for n in settings.occlusion_window)
    return replace(
        settings,
        steps=STEPS,
        noise_draws=DRAWS,
        shap_draws=settings.shap_draws // SHARE,
        occlusion_window=(i, j, k),
        occlusion_stride=(i, j, k),
        occlusion_share=1.0,
        completeness=float("inf"),
    )


def derive_draws(seed: int, image_id: str, *, method: str) -> int:
    """Return the seed of what a method draws for an image, the same for every network."""
    return derive_seed(seed, "draws", image_id, method)


def attribute_reduced(
    network: nn.Module,
    image: Tensor,
    *,
    method: str,
    target: int,
    layer: str,
    settings: Settings,
    seed: int,
) -> Attribution:
    """Attribute a logit at reduced settings.

    Args:
        network: Canonical network, in eval mode.
        image: (1, C, I, J) or (1, C, I, J, K) float32, on the network's device.
        method: Name of the method.
        target: Index of the explained class.
        layer: Dotted name of Grad-CAM's layer.
        settings: Those of the maps that are shown.
        seed: Seed of what a method draws.

    Raises:
        InapplicableError: The method does not apply to this network or image.
    """
    return attribute(
        network,
        image,
        method=method,
        target=target,
        layer=layer,
        settings=reduce_settings(settings),
        seed=seed,
    )


def get_native(attribution: Attribution) -> FloatGrid:
    """Return the map on the grid on which it was computed."""
    return attribution.grid if attribution.native is None else attribution.native
