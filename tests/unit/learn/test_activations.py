"""Pooled activations of blocks, against a network walked through by hand."""

import numpy as np
import pytest
import torch
from fits import examples
from torch import nn
from toy_study import make_images

from medvision.domain.scorecard.similarity import compute_similarity
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


def test_activations_are_taken_at_even_places_before_what_follows_in_place():
    images, labels = make_images(11, seed=1, spatial_dims=2)
    model = InPlace()
    found = compute_activations(
        model, examples(images, labels), blocks=(("a",), ("act", "b")), device=CPU
    )
    with torch.no_grad():
        first = model.a(torch.from_numpy(images))
        second = model.b(first.clamp(min=0))
    # The middles of four stretches of 14 and of 12 voxels.
    places = {14: [1, 5, 8, 12], 12: [1, 4, 7, 10]}
    for held, whole in zip(found, (first, second), strict=True):
        at = places[whole.shape[-1]]
        wanted = whole[:, :, at][:, :, :, at].flatten(1)
        assert held == pytest.approx(wanted.numpy(), abs=1e-6)
    assert (found[0] < 0).any()


def test_a_grid_smaller_than_the_sample_is_taken_whole():
    images, labels = make_images(3, seed=1, spatial_dims=3)
    model = nn.Sequential(nn.Conv3d(1, 2, 3, stride=7), nn.Flatten(), nn.LazyLinear(2))
    model(torch.from_numpy(images))
    (found,) = compute_activations(model, examples(images, labels), blocks=(("0",),), device=CPU)
    with torch.no_grad():
        assert found == pytest.approx(model[0](torch.from_numpy(images)).flatten(1).numpy())


def test_two_random_first_layers_are_told_apart():
    """Means over the grid would call any two of them equal: they are the image's own mean."""
    images, labels = make_images(40, seed=1, spatial_dims=2)
    held = examples(images, labels)
    plain, pooled = [], []
    for seed in (0, 1):
        seed_everything(seed)
        layer = nn.Conv2d(1, 8, 3)
        model = nn.Sequential(layer, nn.Flatten(), nn.Linear(8 * 14 * 14, 2))
        plain += compute_activations(model, held, blocks=(("0",),), device=CPU)
        with torch.no_grad():
            pooled.append(layer(torch.from_numpy(images)).mean((2, 3)).numpy())
    assert compute_similarity(*pooled).plain > 0.99
    assert compute_similarity(*plain).plain < 0.95


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
