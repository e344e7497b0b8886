"""The order of a batch in memory is a fixed rule, and changes no result but its last digits."""

import copy
import itertools

import numpy as np
import pytest
import torch
from fits import examples, fit
from toy_study import make_images

from medvision.errors import StoppedError
from medvision.learn.backbones import BACKBONES, blocks, build_backbone
from medvision.learn.epochs import State
from medvision.learn.freezing import Freezing
from medvision.learn.placement import choose_layout, place_batch, place_network
from medvision.runtime.checkpoint import ModelMeta, load_model, save_model

CPU = torch.device("cpu")


def test_images_have_their_channels_last_and_all_else_lies_plain():
    layouts = {n: choose_layout(n) for n in (2, 4, 5)}
    assert layouts.pop(4) is torch.channels_last
    assert set(layouts.values()) == {torch.contiguous_format}


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_gradients_are_those_of_the_plain_layout_but_for_rounding(name, spatial_dims):
    torch.manual_seed(0)
    # In evaluation mode: a BatchNorm over few cells in train mode magnifies every last digit.
    plain = build_backbone(name, spatial_dims=spatial_dims, channels=1, n_classes=2).eval()
    side = 64 if name == "squeezenet1_1" else 32
    images = torch.randn(2, 1, *[side] * spatial_dims)
    placed = place_network(copy.deepcopy(plain), CPU, n_axes=images.ndim)
    given = place_batch(images, CPU)
    assert given.is_contiguous(memory_format=choose_layout(images.ndim))
    for network, batch in ((plain, images), (placed, given)):
        network(batch).square().sum().backward()
    for (key, a), (other, b) in zip(
        plain.named_parameters(), placed.named_parameters(), strict=True
    ):
        assert key == other
        scale = float(a.grad.abs().max()) + 1e-6
        assert float((a.grad - b.grad).abs().max()) < 1e-3 * scale, key


def test_a_training_in_this_layout_stopped_anywhere_ends_bit_equal(tmp_path):
    images = examples(*make_images(21, seed=0, spatial_dims=2))
    state = State(tmp_path / "state.pt", "digest")

    def train(**changes):
        torch.manual_seed(0)
        model = build_backbone("small", spatial_dims=2, channels=1, n_classes=2)
        return fit(images, images, model=model, epochs=3, ema=0.9, **changes)

    whole, asked = train(), itertools.count()
    with pytest.raises(StoppedError):
        train(state=state, should_stop=lambda: next(asked) >= 4)
    resumed = train(state=state)
    assert resumed.history == whole.history
    assert all(torch.equal(whole.tensors[n], resumed.tensors[n]) for n in whole.tensors)


def test_a_checkpoint_holds_plain_tensors_of_the_same_names(tmp_path):
    images = examples(*make_images(8, seed=0, spatial_dims=2))
    torch.manual_seed(0)
    model = build_backbone("resnet18", spatial_dims=2, channels=1, n_classes=2)
    names = list(model.state_dict())
    freezing = Freezing(blocks("resnet18"), "full")
    result = fit(images, images, model=model, freezing=freezing, epochs=1)
    assert list(result.tensors) == names
    assert not result.tensors["layer1.0.conv1.weight"].is_contiguous()
    meta = ModelMeta("resnet18", 2, 1, ("a", "b"), "0")
    save_model(tmp_path / "model.safetensors", result.tensors, meta=meta)
    loaded, _ = load_model(tmp_path / "model.safetensors", build=build_backbone)
    held = loaded.state_dict()
    assert all(torch.equal(held[n], result.tensors[n]) for n in names)
    assert held["layer1.0.conv1.weight"].is_contiguous()


def test_a_network_predicts_afterwards_what_it_was_validated_by():
    from medvision.learn.predict import predict_logits
    from medvision.learn.scores import compute_scores

    images = examples(*make_images(11, seed=0, spatial_dims=2))
    torch.manual_seed(0)
    model = build_backbone("small", spatial_dims=2, channels=1, n_classes=2)
    result = fit(images, images, model=model, epochs=1)
    fresh = build_backbone("small", spatial_dims=2, channels=1, n_classes=2)
    fresh.load_state_dict(result.tensors)
    scores = compute_scores(
        predict_logits(fresh, images, device=CPU), images.labels, class_weights=np.ones(2)
    )
    assert scores.loss == result.history[0]["validation_loss"]


@pytest.mark.gpu
def test_a_batch_comes_to_a_gpu_whole_by_way_of_page_locked_memory():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    batches = [torch.randn(4, 1, 64, 64) for _ in range(20)]
    there = [place_batch(batch, torch.device("cuda")) for batch in batches]
    assert all(torch.equal(a.cpu(), b) for a, b in zip(there, batches, strict=True))
