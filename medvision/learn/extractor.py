"""A fixed network that no image of the study has trained, by whose features images are compared."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medvision.domain.network_form import NetworkForm
from medvision.learn.backbones import build_backbone, head_names
from medvision.learn.transfer import load_weights
from medvision.runtime.seeds import seed_everything

RANDOM_BACKBONE = "small"
"""The network whose random weights give features where no weights are named."""


@dataclass(frozen=True)
class Extractor:
    """A network as a source of features.

    Args:
        model: The network, in evaluation mode.
        head: Dotted name of the module whose input is the features.
        name: What it is, in words.
        digest: sha256 of its tensors.
    """

    model: nn.Module
    head: str
    name: str
    digest: str


def hash_network(model: nn.Module) -> str:
    """Return the sha256 of a network's tensors by name, hexadecimal.

    Args:
        model: Network.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        held = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {held.dtype} {tuple(held.shape)}\n".encode())
        digest.update(held.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def make_extractor(model: nn.Module, *, backbone: str, name: str) -> Extractor:
    """Take a network as a source of features.

    Args:
        model: Network; it is put in evaluation mode.
        backbone: Its name among the backbones.
        name: What it is, in words.
    """
    return Extractor(model.eval(), head_names(backbone)[0], name, hash_network(model))


def build_random(*, spatial_dims: int, channels: int, seed: int) -> Extractor:
    """Build a network with random weights that is never trained.

    It knows nothing of medicine and nothing of the study, so that it favours neither train images
    nor any kind of picture; what it sees are textures and shapes at the scale of its filters.

    Args:
        spatial_dims: 2 or 3.
        channels: C, channels of the images.
        seed: Seed of the weights.

    Source:
        Naeem et al. 2020, arXiv:2002.09797 (random embeddings tell samples apart where a pretrained
        network's training domain is far from the images').
    """
    seed_everything(seed)
    model = build_backbone(
        RANDOM_BACKBONE, spatial_dims=spatial_dims, channels=channels, n_classes=2
    )
    name = f"{RANDOM_BACKBONE} with random weights, never trained"
    return make_extractor(model, backbone=RANDOM_BACKBONE, name=name)


def build_pretrained(
    backbone: str, tensors: Mapping[str, Tensor], *, form: NetworkForm, channels: int, name: str
) -> Extractor:
    """Build a network for images with weights from elsewhere, all of which must fit.

    Args:
        backbone: Name of the network.
        tensors: Its weights.
        form: How images enter it.
        channels: C, channels of the images.
        name: What it is, in words.

    Raises:
        WeightsError: A tensor of the network, its head's aside, is not among them.
    """
    # The head's weights stay random, and are the same each time: the digest holds them too.
    seed_everything(0)
    model = build_backbone(backbone, spatial_dims=2, channels=channels, n_classes=2, form=form)
    load_weights(model, tensors, head=head_names(backbone), minimum_match=1.0)
    return make_extractor(model, backbone=backbone, name=name)
