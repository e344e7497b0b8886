"""Tensors made for another input: each adaptation keeps the response that it promises."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from medvision.learn.adapt import adapt_channels, adapt_tensor, inflate, is_flat, is_folded
from medvision.learn.backbones import BACKBONES, build_backbone, head_names
from medvision.learn.transfer import load_weights


def build(name, *, dims, channels=1, n_classes=2, seed=0):
    torch.manual_seed(seed)
    return build_backbone(name, spatial_dims=dims, channels=channels, n_classes=n_classes)


@given(st.integers(1, 5), st.integers(1, 5))
def test_equal_channels_give_the_same_response_whatever_their_number(old, new):
    torch.manual_seed(old)
    weight, grey = torch.rand(4, old, 3, 3), torch.rand(1, 1, 8, 8)
    adapted = adapt_channels(weight, channels=new)
    assert adapted.shape == (4, new, 3, 3)
    expected = functional.conv2d(grey.expand(-1, old, -1, -1), weight)
    response = functional.conv2d(grey.expand(-1, new, -1, -1), adapted)
    assert torch.allclose(response, expected, atol=1e-5)


@given(st.sampled_from([1, 3, 5, 7]))
def test_inflated_kernel_keeps_its_mean_response(depth):
    weight, image = torch.rand(4, 2, 3, 3), torch.rand(1, 2, 8, 8)
    inflated = inflate(weight, depth=depth)
    assert inflated.shape == (4, 2, 3, 3, depth)
    volume = image.unsqueeze(-1).expand(-1, -1, -1, -1, depth + 2)
    expected = functional.conv2d(image, weight).unsqueeze(-1)
    assert torch.allclose(functional.conv3d(volume, inflated), expected, atol=1e-5)


def load_flat(name, *, channels=1):
    """A network for images with lively statistics, and one for volumes made of it."""
    flat, deep = build(name, dims=2, seed=1), build(name, dims=3)
    with torch.no_grad():
        flat.train()
        for _ in range(3):
            flat(torch.rand(4, channels, 64, 64))
    report = load_weights(
        deep, flat.state_dict(), head=head_names(name), minimum_match=1, adapt_3d="inflate"
    )
    return flat.eval(), deep.eval(), report


def test_inflated_squeezenet_gives_in_mid_volume_what_the_2d_network_gives():
    flat, deep, report = load_flat("squeezenet1_1")
    assert report.match == 1
    image = torch.rand(1, 1, 48, 48)
    # Deep enough that the middle lies beyond the reach of the zeros at both ends.
    volume = image.unsqueeze(-1).expand(-1, -1, -1, -1, 255)
    with torch.no_grad():
        expected, found = flat.features(image), deep.features(volume)
    middle = found[..., found.shape[-1] // 2]
    assert torch.allclose(middle, expected, atol=1e-5)
    # At the ends the zeros take part: the claim would be false there, and is not made.
    assert not torch.allclose(found[..., 0], expected, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(BACKBONES) - {"small"}))
def test_inflated_stem_and_norms_match_in_every_network(name):
    _, deep, report = load_flat(name)
    assert report.match == 1
    assert {row.status for row in report.rows} <= {"loaded", "adapted", "skipped-head"}
    n_kernels = sum(len(t.shape) == 5 for t in deep.state_dict().values())
    in_head = sum(len(r.model_shape.split("x")) == 5 for r in report.rows if "head" in r.status)
    assert report.count("adapted") == n_kernels - in_head


def test_weights_for_images_are_refused_by_a_network_for_volumes_where_not_adapted():
    weight = torch.rand(4, 2, 3, 3)
    shape = torch.Size([4, 2, 3, 3, 3])
    assert adapt_tensor(weight, shape, is_first=False, adapt_3d="none") == (None, "")
    adapted, done = adapt_tensor(weight, shape, is_first=False, adapt_3d="inflate")
    assert adapted.shape == shape
    assert done == "inflated over 3 slices"


def test_only_the_first_convolution_changes_its_channels():
    weight, shape = torch.rand(4, 3, 3, 3), torch.Size([4, 1, 3, 3])
    assert adapt_tensor(weight, shape, is_first=False, adapt_3d="none") == (None, "")
    assert adapt_tensor(weight, shape, is_first=True, adapt_3d="none")[1] == "3 to 1 channels"


def test_folded_statistics_are_told_from_learnt_and_from_fresh_ones():
    network = build("mobilenet_v2", dims=2)
    assert not is_folded(network.state_dict())
    torch.nn.init.normal_(network.features[0][1].bias)
    assert is_folded(network.state_dict())
    with torch.no_grad():
        network(torch.rand(2, 1, 32, 32))
    assert not is_folded(network.state_dict())
    assert not is_folded(build("squeezenet1_1", dims=2).state_dict())


def test_networks_for_images_are_told_from_those_for_volumes():
    assert is_flat(build("resnet18", dims=2).state_dict())
    assert not is_flat(build("resnet18", dims=3).state_dict())
