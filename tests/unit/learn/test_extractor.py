"""A fixed network as a source of features: the same each time, and known by its digest."""

import pytest
import torch

from medvision.domain.network_form import PLAIN
from medvision.errors import WeightsError
from medvision.learn.backbones import build_backbone
from medvision.learn.extractor import build_pretrained, build_random, hash_network


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_random_network_is_the_same_each_time_and_another_of_another_seed(spatial_dims) -> None:
    made = [build_random(spatial_dims=spatial_dims, channels=1, seed=seed) for seed in (1, 1, 2)]
    assert made[0].digest == made[1].digest != made[2].digest
    assert not made[0].model.training


def test_one_changed_weight_changes_the_digest() -> None:
    network = build_random(spatial_dims=2, channels=1, seed=1)
    with torch.no_grad():
        next(network.model.parameters()).view(-1)[0] += 1
    assert hash_network(network.model) != network.digest


def test_pretrained_weights_must_fit_in_full() -> None:
    tensors = build_backbone("small", spatial_dims=2, channels=1, n_classes=3).state_dict()
    values = {"form": PLAIN, "channels": 1, "name": "small with weights"}
    made = [build_pretrained("small", tensors, **values) for _ in range(2)]
    assert made[0].digest == made[1].digest
    held = made[0].model.state_dict()
    assert all(
        torch.equal(held[name], value)
        for name, value in tensors.items()
        if not name.startswith("class_layers.out")
    )
    name = next(name for name in tensors if "conv" in name)
    del tensors[name]
    with pytest.raises(WeightsError):
        build_pretrained("small", tensors, **values)
