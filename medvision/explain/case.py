"""What the caller hands over for one explained image: who it is, its pixels, its network."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medvision.domain.attribution import MaskGrid
from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatVolume

if TYPE_CHECKING:  # Who only draws cases, as an audit does, needs no torch.
    from torch import nn


@dataclass(frozen=True)
class Case:
    """One selected test prediction.

    Args:
        image_id: The image.
        subject: Its subject.
        arm: Arm of the model, such as transfer.
        fold: Fold in which the image is in the test split.
        seed: Training seed of the model.
        label: True class.
        predicted: Predicted class.
        target: Class whose logit is explained.
        rule: Why this image was selected.
    """

    image_id: str
    subject: str
    arm: str
    fold: int
    seed: int
    label: str
    predicted: str
    target: str
    rule: str


Model = tuple[str, int, int]
"""Arm, fold and seed: what tells one network from another."""


def name_model(case: Case) -> Model:
    """Return which network a case is explained with.

    Args:
        case: The case.
    """
    return case.arm, case.fold, case.seed


def find_openers(cases: Iterable[Case]) -> dict[Model, Case]:
    """Return of each network the first case that it is shown.

    The copy of a network is made and held against it on that case's image, so that jobs which
    share the cases of a network have to take the same one.

    Args:
        cases: All cases, in their order.
    """
    openers: dict[Model, Case] = {}
    for case in cases:
        openers.setdefault(name_model(case), case)
    return openers


@dataclass(frozen=True)
class CaseImage:
    """An image's array, with the geometry that leads back to its source.

    Args:
        array: (C, I, J) or (C, I, J, K) float32, as the network was trained on.
        tensor_affine: (4, 4) affine of the array, RAS+ mm; 2D counts as K = 1.
        source_affine: (4, 4) affine of the source image.
        source_shape: Voxels (i, j, k) of the source image.
        mask: Lesion (i, j, k) on the source's grid, where one is known.
    """

    array: FloatVolume
    tensor_affine: Affine
    source_affine: Affine
    source_shape: tuple[int, int, int]
    mask: MaskGrid | None = None


@dataclass(frozen=True)
class Trained:
    """A trained network, its classes in the order of its logits, and Grad-CAM's layer.

    Args:
        network: The network.
        classes: Classes, or findings, in the order of its logits.
        layer: Dotted name of Grad-CAM's layer.
    """

    network: "nn.Module"
    classes: tuple[str, ...]
    layer: str
