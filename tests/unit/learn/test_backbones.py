"""Every network by name: logits, the names of its parts, and a layer to explain."""

import pytest
import torch

from medvision.errors import ConfigError
from medvision.learn.backbones import (
    BACKBONES,
    blocks,
    build_backbone,
    gradcam_layer,
    head_names,
)


def build(name, spatial_dims, *, n_classes=3):
    torch.manual_seed(0)
    return build_backbone(name, spatial_dims=spatial_dims, channels=2, n_classes=n_classes)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_network_gives_one_logit_per_class(name, spatial_dims):
    network = build(name, spatial_dims).eval()
    size = (33, 32, 24)[:spatial_dims]
    with torch.no_grad():
        assert network(torch.rand(1, 2, *size)).shape == (1, 3)


@pytest.mark.parametrize("name", BACKBONES)
def test_head_and_blocks_hold_every_tensor_once(name):
    tensors = set(build(name, 2).state_dict())
    parts = [part for block in (*blocks(name), head_names(name)) for part in block]
    owners = [[part for part in parts if tensor.startswith(f"{part}.")] for tensor in tensors]
    assert all(len(owner) == 1 for owner in owners)


@pytest.mark.parametrize("name", BACKBONES)
def test_blocks_come_in_the_order_of_the_forward_pass(name):
    network, called = build(name, 2).eval(), []
    firsts = [block[0] for block in blocks(name)]
    for part in firsts:
        module = network.get_submodule(part)
        module.register_forward_hook(lambda *_, part=part: called.append(part))
    with torch.no_grad():
        network(torch.rand(1, 2, 32, 32))
    assert called == firsts


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("name", BACKBONES)
def test_gradcam_layer_is_the_last_with_a_grid_and_is_called_once(name, spatial_dims):
    network, shapes = build(name, spatial_dims).eval(), []
    layer = network.get_submodule(gradcam_layer(name))
    layer.register_forward_hook(lambda _module, _input, output: shapes.append(output.shape))
    with torch.no_grad():
        network(torch.rand(1, 2, *[64] * spatial_dims))
    (shape,) = shapes
    assert len(shape) == spatial_dims + 2
    assert min(shape[2:]) > 1


def test_small_network_keeps_a_grid_fine_enough_to_point_with():
    network, shapes = build("small", 3).eval(), []
    layer = network.get_submodule(gradcam_layer("small"))
    layer.register_forward_hook(lambda _module, _input, output: shapes.append(output.shape))
    with torch.no_grad():
        network(torch.rand(1, 2, 64, 64, 24))
    assert tuple(shapes[0][2:]) == (8, 8, 6)


def test_resnet_stem_halves_the_image():
    assert build("resnet18", 3).conv1.stride == (2, 2, 2)


def test_efficientnet_has_no_activation_that_hides_its_gradient():
    names = {type(module).__name__ for module in build("efficientnet_b0", 2).modules()}
    assert "MemoryEfficientSwish" not in names


def test_efficientnet_pads_as_published_at_its_published_size():
    from monai.networks.nets.efficientnet import EfficientNetBN

    ours = build("efficientnet_b0", 2).eval()
    theirs = EfficientNetBN("efficientnet-b0", pretrained=False, in_channels=2, num_classes=3)
    theirs.eval().load_state_dict(ours.state_dict())
    images = torch.rand(1, 2, 224, 224)
    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), atol=1e-6)


def test_densenet_121_is_the_published_one_on_even_grids():
    from monai.networks.nets.densenet import DenseNet121

    ours = build("densenet121", 2).eval()
    theirs = DenseNet121(spatial_dims=2, in_channels=2, out_channels=3).eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(1, 2, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))


def test_configuration_and_doctor_know_every_network():
    from typing import get_args

    from medvision.cli._doctor.disk import _WEIGHT_BYTES
    from medvision.config.sections import ModelSection

    named = get_args(ModelSection.model_fields["backbone"].annotation)
    assert set(named) == set(BACKBONES) == set(_WEIGHT_BYTES)


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"must be one of densenet121, .* got vgg"):
        build("vgg", 2)


@pytest.mark.parametrize(("spatial_dims", "n_classes"), [(4, 2), (2, 0)])
def test_impossible_numbers_are_refused(spatial_dims, n_classes):
    with pytest.raises(ConfigError, match="must be"):
        build("small", spatial_dims, n_classes=n_classes)
