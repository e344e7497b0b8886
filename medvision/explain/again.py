"""One map computed again from a network and an image, in float32 or in float64."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from medvision.domain.attribution import Attribution
from medvision.domain.volume import FloatGrid
from medvision.explain.case import Case, CaseImage, Trained
from medvision.explain.grids import map_to_source
from medvision.explain.methods import attribute
from medvision.explain.network import Canonical, prove_canonical, reference_precision
from medvision.explain.one import Plan
from medvision.runtime.seeds import derive_seed

DRAWN = ("smoothgrad", "gradient_shap", "kernel_shap")
"""Methods that draw: torch draws other numbers in float64, which so is no arbiter of them."""


@dataclass(frozen=True)
class Desk:
    """A network ready to be asked again.

    Args:
        trained: The network as its checkpoint has it.
        canonical: The copy that is explained.
    """

    trained: Trained
    canonical: Canonical


def open_desk(trained: Trained, image: CaseImage) -> Desk:
    """Make the canonical copy of a network on the CPU.

    Args:
        trained: The network, from tensors and never from code.
        image: An image to hold the copy against.

    Raises:
        ExplanationError: Even an unchanged copy has other logits.
    """
    batch = torch.tensor(image.array, dtype=torch.float32)[None]
    with reference_precision():
        canonical, _ = prove_canonical(trained.network, device=torch.device("cpu"), batch=batch)
    return Desk(trained, canonical)


def attribute_again(
    case: Case, image: CaseImage, *, desk: Desk, method: str, plan: Plan, precise: bool
) -> Attribution:
    """Attribute one prediction by one method, as `explain_case` does.

    Args:
        case: Whose prediction.
        image: Its array, (C, I, J[, K]) float32.
        desk: The network.
        method: Name of the method.
        plan: Parameters and seed.
        precise: Compute in float64.

    Raises:
        ExplanationError: The method does not apply.
        ValueError: The network has no such class.
    """
    dtype = torch.float64 if precise else torch.float32
    network: nn.Module = desk.canonical.network
    with reference_precision():
        return attribute(
            copy.deepcopy(network).double() if precise else network,
            torch.tensor(image.array, dtype=dtype)[None],
            method=method,
            target=desk.trained.classes.index(case.target),
            layer=desk.trained.layer,
            settings=plan.settings,
            seed=derive_seed(plan.seed, "draws", case.image_id, method),
        )


def return_to_source(grid: FloatGrid, image: CaseImage) -> FloatGrid:
    """Return a map (I, J, K) of the array's grid on the source's own voxels."""
    return map_to_source(
        grid,
        image.tensor_affine,
        source_affine=image.source_affine,
        source_shape=image.source_shape,
    )
