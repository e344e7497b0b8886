"""The form of a network: its entrance, kernels in planes, BatchNorm that stays as it was folded."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from medvision.domain.network_form import NetworkForm
from medvision.errors import ConfigError
from medvision.learn.backbones import BACKBONES, build_backbone
from medvision.learn.form import AcsConv3d, FoldedNorm2d
from medvision.learn.freezing import set_train_mode


def build(name="squeezenet1_1", *, dims=2, channels=1, **form):
    torch.manual_seed(0)
    return build_backbone(
        name, spatial_dims=dims, channels=channels, n_classes=2, form=NetworkForm(**form)
    )


def convolve_by_view(module, volume):
    """Each third of the kernels on slices of its own view, one 2D convolution after another."""
    thirds = [part.shape[0] for part in torch.tensor_split(module.weight, 3)]
    kernels = torch.split(module.weight, thirds)
    biases = torch.split(module.bias, thirds)
    outputs = []
    for axis, kernel, bias in zip((4, 3, 2), kernels, biases, strict=True):
        slices = volume.unbind(axis)
        padding = module.padding[0]
        views = [functional.conv2d(s, kernel, bias, padding=padding) for s in slices]
        outputs.append(torch.stack(views, axis))
    return torch.cat(outputs, 1)


@pytest.mark.parametrize("n_out", [3, 7, 8])
def test_acs_convolution_is_a_2d_convolution_in_each_view(n_out):
    torch.manual_seed(0)
    module = AcsConv3d(nn.Conv3d(2, n_out, 3, padding=1))
    nn.init.normal_(module.bias)
    volume = torch.rand(2, 2, 6, 7, 5)
    with torch.no_grad():
        assert torch.allclose(module(volume), convolve_by_view(module, volume), atol=1e-6)


def test_acs_network_holds_the_tensors_of_the_network_for_images():
    flat, volumes = build(), build(dims=3, convolution="acs")
    shapes = {name: tensor.shape for name, tensor in flat.state_dict().items()}
    for name, tensor in volumes.state_dict().items():
        assert tensor.shape == shapes[name] or tensor.shape[2:] == (1, 1, 1)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_network_for_volumes_takes_kernels_in_planes(name):
    network = build(name, dims=3, convolution="acs").eval()
    plain = build(name, dims=3).eval()
    volume = torch.rand(1, 1, 40, 33, 24)
    with torch.no_grad():
        assert network(volume).shape == plain(volume).shape == (1, 2)


def test_kernels_in_planes_are_refused_for_images():
    with pytest.raises(ConfigError, match="acs must be for volumes, got 2D"):
        build(convolution="acs")


def test_folded_batchnorm_never_enters_train_mode_and_keeps_its_statistics():
    network = build("mobilenet_v2", norm="folded")
    before = copy.deepcopy(network.state_dict())
    network.train()
    set_train_mode(network, ())
    network(torch.rand(4, 1, 32, 32))
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(m, FoldedNorm2d) and not m.training for m in norms)
    assert all(torch.equal(before[n], t) for n, t in network.state_dict().items())


def test_usual_batchnorm_does_move_its_statistics():
    network = build("mobilenet_v2")
    before = copy.deepcopy(network.state_dict())
    network(torch.rand(4, 1, 32, 32))
    assert not torch.equal(
        before["features.0.1.running_mean"], network.state_dict()["features.0.1.running_mean"]
    )


def test_entrance_is_no_part_of_the_state_and_survives_a_copy_and_a_move():
    plain, network = build(channels=3), build(mean=(0.5, 0.4, 0.3), sd=(1.0, 2.0, 3.0))
    assert network.state_dict().keys() == plain.state_dict().keys()
    images = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        twin = copy.deepcopy(network).double().eval()
        assert torch.allclose(twin(images.double()).float(), network.eval()(images), atol=1e-5)


def test_entrance_of_three_refuses_two_channels():
    with pytest.raises(ConfigError, match="1 or 3 channels, got 2"):
        build(channels=2, mean=(0.0,) * 3, sd=(1.0,) * 3)


def test_random_weights_do_not_depend_on_the_entrance():
    one, other = build(channels=3), build(mean=(0.5,) * 3, sd=(1.0,) * 3)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
