"""Maps of one network under what should not matter: noise in the image, another draw."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from medvision.domain.attribution import Attribution
from medvision.domain.labels.rows import Task
from medvision.domain.volume import FloatGrid
from medvision.explain.likeness import Comparison, Likeness, measure_likeness
from medvision.explain.methods import attribute
from medvision.explain.sight import Sight
from medvision.explain.visits import NOISE_DRAWS
from medvision.runtime.seeds import derive_seed

LEAST_MOVE = 0.1
"""A value that moves by less, in standard deviations of the training images' values, is kept."""

CHANGED = "the noise changed the prediction"


def compare_with_noisy(
    sight: Sight, maps: Mapping[str, FloatGrid], *, noise: float, task: Task
) -> list[Likeness]:
    """Hold each map against those of the image with a little noise added.

    The noise is Gaussian, `NOISE_DRAWS` draws. A draw that changes what is predicted is told and
    not measured: there the map should change.

    Args:
        sight: The image before its own network.
        maps: Method to the reduced map of the image as it is.
        noise: Standard deviation, as a share of the image's range.
        task: Kind of the prediction.

    Source:
        After Alvarez-Melis and Jaakkola 2018, arXiv:1806.08049, and Ghorbani et al. 2019,
        doi:10.1609/aaai.v33i01.33013681 (maps of images that look alike).
    """
    rows = []
    for n in range(NOISE_DRAWS):
        noisy = add_noise(sight, n, noise=noise)
        is_kept = _keeps_prediction(sight, noisy, task=task)
        for method, grid in maps.items():
            other = sight.make(method, image=noisy) if is_kept else CHANGED
            rows.append(_row(sight, method, "input_noise", against=f"draw-{n + 1}")(grid, other))
    return rows


def add_noise(sight: Sight, n: int, *, noise: float) -> Tensor:
    """Return the image with the n-th draw of noise, drawn on the CPU.

    Args:
        sight: The image; its name and the plan's seed decide the draw.
        n: Number of the draw.
        noise: Standard deviation, as a share of the image's range.
    """
    seed = derive_seed(sight.plan.seed, "input_noise", sight.case.image_id, n)
    draws = np.random.default_rng(seed).standard_normal(tuple(sight.image.shape))
    spread = float(sight.image.max() - sight.image.min())
    return sight.image + torch.from_numpy(draws).to(sight.image) * (noise * spread)


def _keeps_prediction(sight: Sight, noisy: Tensor, *, task: Task) -> bool:
    """Say whether the prediction stays what it was."""
    with torch.no_grad():
        before, after = sight.room.network(torch.cat([sight.image, noisy])).double()
    if task == "regression":
        return bool((after - before).abs().max() < LEAST_MOVE)
    if task == "multilabel":
        return bool((before[sight.target] >= 0) == (after[sight.target] >= 0))
    return int(before.argmax()) == int(after.argmax())


def compare_with_redrawn(sight: Sight, attributions: Mapping[str, Attribution]) -> list[Likeness]:
    """Hold the maps of the methods that draw against those of another seed.

    At the full settings, since the number of draws is what decides how far two maps differ.

    Args:
        sight: The image before its own network.
        attributions: Method to the map that is shown.
    """
    rows = []
    for method, shown in attributions.items():
        if "torch_seed" not in shown.parameters:
            continue
        other = attribute(
            sight.room.network,
            sight.image,
            method=method,
            target=sight.target,
            layer=sight.room.layer,
            settings=sight.plan.settings,
            seed=derive_seed(sight.plan.seed, "redraw", sight.case.image_id, method),
        )
        rows.append(_row(sight, method, "reseed", against="seed-2")(shown.grid, other.grid))
    return rows


def _row(
    sight: Sight, method: str, comparison: Comparison, *, against: str
) -> Callable[[FloatGrid, FloatGrid | str], Likeness]:
    """Return what makes a row of two maps."""

    def make(a: FloatGrid, b: FloatGrid | str) -> Likeness:
        case = sight.case
        found = measure_likeness(a, b)
        return Likeness(case.image_id, case.subject, method, comparison, against, "", *found)

    return make
