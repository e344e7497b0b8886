"""Pooled activations of blocks, against a network walked through by hand."""

import numpy as np
import pytest
import torch
from fits import examples
from torch import nn
from toy_study import make_images

from medvision.learn.activations import compute_activations
from medvision.learn.backbones import BACKBONES, blocks, build_backbone
from medvision.runtime.seeds import seed_everything

CPU = torch.device("cpu")


class InPlace(nn.Module):
    """Two blocks, the first followed by an activation in place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.act, self.b = nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3)
        nn.init.constant_(self.a.bias, -1)

    def forward(self, images):
        return self.b(self.act(self.a(images))).mean((2, 3))


def test_activations_are_channel_means_before_what_follows_in_place():
    images, labels = make_images(11, seed=1, spatial_dims=2)
    model = InPlace()
    found = compute_activations(
        model, examples(images, labels), blocks=(("a",), ("act", "b")), device=CPU
    )
    with torch.no_grad():
        first = model.a(torch.from_numpy(images))
        second = model.b(first.clamp(min=0))
    assert [each.shape for each in found] == [(11, 3), (11, 2)]
    assert found[0] == pytest.approx(first.mean((2, 3)).numpy(), abs=1e-6)
    assert found[1] == pytest.approx(second.mean((2, 3)).numpy(), abs=1e-6)
    assert (found[0] < 0).any()


@pytest.mark.parametrize("name", ["small", "squeezenet1_1", "resnet18"])
def test_every_block_of_a_network_has_an_output_per_image(name):
    seed_everything(0)
    model = build_backbone(name, spatial_dims=2, channels=1, n_classes=2)
    images = np.random.default_rng(0).normal(size=(5, 1, 32, 32)).astype(np.float32)
    held = examples(images, np.zeros(5, dtype=np.int64))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = compute_activations(model, held, blocks=blocks(name), device=CPU)
    assert [len(each) for each in found] == [5] * len(BACKBONES[name].blocks)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
