"""Taking parts of the image away: occlusion by boxes, KernelSHAP by supervoxels."""

import numpy as np
import torch
from captum.attr import KernelShap, Occlusion
from torch import Tensor

from medvision.domain.attribution import Attribution
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid, FloatVolume
from medvision.explain.grids import to_grid
from medvision.explain.least_squares import LeastSquares
from medvision.explain.methods.coarse import build_lattice, search_falls, spread_falls
from medvision.explain.methods.noisy import describe_draws, seeded
from medvision.explain.methods.scene import InapplicableError, Scene, Triple, finish
from medvision.explain.supervoxels import cut_supervoxels, fit_cell

DRAWS_PER_PART = 4
"""KernelSHAP's supervoxels grow until there are this many draws for each of them."""


def occlude(scene: Scene) -> Attribution:
    """Slide a box of baseline over the image and note how much the logit falls.

    The box covers all channels at once. Where not every box is to be computed, they are chosen
    from coarse to fine, without Captum.

    Source:
        Zeiler and Fergus 2014, arXiv:1311.2901.
    """
    settings = scene.settings
    shape = _shape(np.stack([to_grid(channel) for channel in scene.image[0]]))
    window = _limit(settings.occlusion_window, shape)
    stride = _limit(settings.occlusion_stride, window)
    lattice = build_lattice(shape, window=window, stride=stride)
    n_boxes = int(np.prod(lattice.shape))
    if settings.occlusion_share < 1:
        falls, n_computed = search_falls(scene, lattice, share=settings.occlusion_share)
        values = spread_falls(falls, lattice, shape=shape)
    else:
        values, n_computed = _slide(scene, window=window, stride=stride), n_boxes
    n_axes = scene.image.ndim - 2
    parameters: dict[str, JsonValue] = {
        **settings.describe_baseline(),
        "window": list(window[:n_axes]),
        "stride": list(stride[:n_axes]),
        "boxes": n_boxes,
        "boxes_computed": n_computed,
        "perturbations_per_eval": settings.batch_size,
    }
    return finish(scene, "occlusion", values=values, parameters=parameters)


def _limit(size: Triple, most: Triple) -> Triple:
    """Return a size that is nowhere larger than another."""
    i, j, k = (min(a, b) for a, b in zip(size, most, strict=True))
    return i, j, k


def _slide(scene: Scene, *, window: Triple, stride: Triple) -> FloatGrid:
    """Return the map (I, J, K) of every box."""
    n_channels, n_axes = scene.image.shape[1], scene.image.ndim - 2
    with torch.no_grad():
        values: Tensor = Occlusion(scene.pad()).attribute(
            scene.image,
            sliding_window_shapes=(n_channels, *window[:n_axes]),
            strides=(n_channels, *stride[:n_axes]),
            baselines=scene.baseline,
            target=scene.target,
            perturbations_per_eval=scene.settings.batch_size,
        )
    # The box covers all channels at once, so each channel carries the same fall of the logit.
    return to_grid(values[0, 0])


def share_out(scene: Scene) -> Attribution:
    """Share the change of the logit out among supervoxels, by drawn coalitions of them.

    A supervoxel's share is spread evenly over its voxels, so that the map's sum is the change.

    Raises:
        InapplicableError: The image is a single supervoxel.

    Source:
        Lundberg and Lee 2017, arXiv:1705.07874 (Kernel SHAP).
    """
    settings = scene.settings
    volume = np.stack([to_grid(channel) for channel in scene.image[0]])
    cell = fit_cell(
        _shape(volume), settings.occlusion_window, n_most=settings.shap_draws // DRAWS_PER_PART
    )
    labels = cut_supervoxels(volume, cell=cell)
    sizes = np.bincount(labels.ravel())
    if len(sizes) == 1:
        raise InapplicableError("kernel_shap: the image must be two supervoxels or more, got one.")
    mask = torch.from_numpy(labels).reshape(1, 1, *scene.image.shape[2:])
    shap = KernelShap(scene.pad_on_cpu())
    # Captum's own choice would need scikit-learn.
    shap.interpretable_model = LeastSquares()
    with seeded(scene.seed), torch.no_grad():
        found: Tensor = shap.attribute(
            scene.image.cpu(),
            baselines=scene.baseline.cpu(),
            target=scene.target,
            feature_mask=mask,
            n_samples=settings.shap_draws,
            perturbations_per_eval=settings.batch_size,
        )
    # Every channel of a supervoxel carries its share.
    values: FloatGrid = (to_grid(found[0, 0]) / sizes[labels]).astype(np.float32)
    parameters: dict[str, JsonValue] = {
        **settings.describe_baseline(),
        **describe_draws(scene, settings.shap_draws),
        "supervoxels": len(sizes),
        "cell": list(cell),
        "completeness_gate": scene.compute_gate(),
    }
    error = scene.measure_error(torch.from_numpy(values))
    return finish(scene, "kernel_shap", values=values, parameters=parameters, error=error)


def _shape(volume: FloatVolume) -> Triple:
    """Return (I, J, K) of a volume (C, I, J, K)."""
    _, i, j, k = volume.shape
    return i, j, k
