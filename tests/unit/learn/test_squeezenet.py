"""SqueezeNet 1.1: the published function of the published tensors, safe for attribution."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from medvision.domain.network_form import NetworkForm
from medvision.learn.backbones import build_backbone
from medvision.learn.squeezenet import SqueezeNet

IMAGENET = NetworkForm((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FIRES = (3, 4, 6, 7, 9, 10, 11, 12)


def forward_plainly(tensors, images):
    """The features as the paper's tables and the authors' version 1.1 say, function by function."""

    def conv(name, x, **how):
        return functional.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], **how)

    x = functional.relu(conv("features.0", images, stride=2))
    for place in range(2, 13):
        if place not in FIRES:
            x = functional.max_pool2d(x, 3, stride=2, ceil_mode=True)
            continue
        name = f"features.{place}"
        x = functional.relu(conv(f"{name}.squeeze", x))
        points = functional.relu(conv(f"{name}.expand1x1", x))
        x = torch.cat([points, functional.relu(conv(f"{name}.expand3x3", x, padding=1))], 1)
    return x


def test_features_are_those_of_the_published_network():
    torch.manual_seed(0)
    network, images = SqueezeNet(2, 3, 5).eval(), torch.rand(2, 3, 65, 90)
    with torch.no_grad():
        expected = forward_plainly(network.state_dict(), images)
        assert torch.allclose(network.features(images), expected, atol=1e-6)
        logits = functional.conv2d(expected, *(p for p in network.classifier[1].parameters()))
        assert torch.allclose(network(images), logits.mean((2, 3)), atol=1e-5)


def test_parameters_are_as_many_as_published():
    network = SqueezeNet(2, 3, 1000)
    assert sum(p.numel() for p in network.parameters()) == 1_235_496


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2"])
def test_no_activation_works_in_place_or_is_used_twice(name):
    network = build_backbone(name, spatial_dims=2, channels=1, n_classes=2).eval()
    calls = []
    activations = [m for m in network.modules() if isinstance(m, nn.ReLU | nn.ReLU6)]
    for module in activations:
        module.register_forward_hook(lambda module, *_: calls.append(id(module)))
    with torch.no_grad():
        network(torch.rand(1, 1, 64, 64))
    assert len(calls) == len(set(calls)) == len(activations)
    assert not any(module.inplace for module in activations)


def test_it_has_no_batchnorm():
    kinds = {type(m) for m in SqueezeNet(3, 1, 2).modules()}
    assert not any(issubclass(kind, nn.modules.batchnorm._BatchNorm) for kind in kinds)


def test_grey_through_the_entrance_is_its_copies_through_the_original():
    torch.manual_seed(0)
    original = SqueezeNet(2, 3, 4).eval()
    adapted = build_backbone(
        "squeezenet1_1", spatial_dims=2, channels=1, n_classes=4, form=IMAGENET
    ).eval()
    adapted.load_state_dict(original.state_dict())
    grey = torch.rand(2, 1, 64, 64)
    mean, sd = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (IMAGENET.mean, IMAGENET.sd))
    with torch.no_grad():
        expected = original((grey.expand(-1, 3, -1, -1) - mean) / sd)
        assert torch.equal(adapted(grey), expected)
