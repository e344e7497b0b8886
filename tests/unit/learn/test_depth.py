"""A network too deep for its images is refused before any time is spent."""

import pytest
import torch

from medvision.cli._doctor.study import SMALLEST_SIDE
from medvision.errors import ConfigError
from medvision.learn.backbones import BACKBONES, build_backbone
from medvision.learn.depth import check_depth


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("side", [8, 16, 32])
def test_the_check_says_what_a_real_forward_pass_would(
    name: str, spatial_dims: int, side: int
) -> None:
    network = build_backbone(name, spatial_dims=spatial_dims, channels=1, n_classes=2).eval()
    shape = (1, *[side] * spatial_dims)
    try:
        with torch.no_grad():
            network(torch.zeros(2, *shape))
    except RuntimeError:
        with pytest.raises(ConfigError, match="shallow enough for arrays of "):
            check_depth(network, shape)
    else:
        check_depth(network, shape)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_doctor_knows_the_smallest_images_of_each_network(name: str, spatial_dims: int) -> None:
    network = build_backbone(name, spatial_dims=spatial_dims, channels=1, n_classes=2)
    least = SMALLEST_SIDE.get((name, spatial_dims), 8)
    check_depth(network, (1, *[least] * spatial_dims))
    if least > 8:
        with pytest.raises(ConfigError):
            check_depth(network, (1, *[least - 1] * spatial_dims))


def test_the_check_leaves_the_network_and_the_random_numbers_alone() -> None:
    network = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
    state = torch.get_rng_state()
    check_depth(network, (1, 16, 16, 16))
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
