"""Stopped between any two steps, or with a full disk, a training ends bit-equal all the same."""

import errno
import itertools

import numpy as np
import pytest
import torch
from fits import examples, fit
from toy_study import make_images

from medvision.errors import StoppedError, StorageError, TrainingError
from medvision.learn import resume
from medvision.learn.backbones import blocks, build_backbone
from medvision.learn.epochs import State
from medvision.learn.freezing import Freezing

GRADUAL = Freezing(blocks("small"), "gradual", unfreeze_epochs=1)
EVERYTHING = {
    "epochs": 3,
    "freezing": GRADUAL,
    "ema": 0.9,
    "imbalance": "sampling",
    "optimizer": "sgd",
    "schedule": "plateau",
    "plateau_epochs": 0,
    "warm_up_epochs": 0.5,
    "clip_norm": 1.0,
    "accumulation": 2,
    "loss": "focal",
    "depth_decay": 0.5,
    "keep_epochs": (1, 3),
}


def shift(images, generator):
    return images + 0.1 * torch.rand(1, generator=generator)


@pytest.fixture(scope="module")
def images():
    # 21: the last batch is shorter than the others.
    return examples(*make_images(21, seed=0))


@pytest.fixture(scope="module")
def whole(images):
    return fit(images, images, transform=shift, **EVERYTHING)


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("n_steps", [0, 1, 3, 5, 8])
def test_stopped_between_any_two_steps_it_ends_bit_equal(images, whole, tmp_path, n_steps):
    asked = itertools.count()
    state = State(tmp_path / "state.pt", "digest")
    with pytest.raises(StoppedError, match="asked to stop in epoch") as caught:
        fit(
            images,
            images,
            transform=shift,
            state=state,
            should_stop=lambda: next(asked) >= n_steps,
            **EVERYTHING,
        )
    assert caught.value.exit_code == 75
    resumed = fit(images, images, transform=shift, state=state, **EVERYTHING)
    assert resumed.history == whole.history
    assert same(resumed.tensors, whole.tensors)
    assert list(resumed.checkpoints) == [1, 3]
    assert all(same(resumed.checkpoints[n], whole.checkpoints[n]) for n in (1, 3))


@pytest.mark.parametrize("lost", ["average", "position", "optimizer"])
def test_a_state_that_lacked_a_part_would_be_noticed(images, whole, tmp_path, monkeypatch, lost):
    asked = itertools.count()
    state = State(tmp_path / "state.pt", "digest")
    with pytest.raises(StoppedError):
        fit(
            images,
            images,
            transform=shift,
            state=state,
            should_stop=lambda: next(asked) >= 4,
            **EVERYTHING,
        )
    held = torch.load(state.path, weights_only=True)
    if lost == "optimizer":
        for moments in held["optimizer"]["state"].values():
            moments["momentum_buffer"].zero_()
    if lost == "average":
        held["average"] = (1, held["average"][1])
    if lost == "position":
        held["position"] = None
    torch.save(held, state.path)
    resumed = fit(images, images, transform=shift, state=state, **EVERYTHING)
    assert not same(resumed.tensors, whole.tensors)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_full_disk_at_any_epoch_leaves_the_last_state_and_no_trace(
    images, whole, tmp_path, monkeypatch, nth
):
    state = State(tmp_path / "state.pt", "digest")
    calls = itertools.count(1)
    write = resume.save_state

    def fill(path, content, **names):
        if next(calls) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content, **names)

    monkeypatch.setattr(resume, "save_state", fill)
    with pytest.raises((OSError, StorageError)):
        fit(images, images, transform=shift, state=state, **EVERYTHING)
    monkeypatch.undo()
    assert state.path.exists() == (nth > 1)
    resumed = fit(images, images, transform=shift, state=state, **EVERYTHING)
    assert same(resumed.tensors, whole.tensors)


def test_a_gradient_that_is_not_finite_stops_before_a_weight_moves(images, tmp_path):
    torch.manual_seed(0)
    model = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
    model.features.conv0.weight.register_hook(lambda gradient: gradient * float("nan"))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with pytest.raises(TrainingError, match=r"gradient must be finite, got nan.*sub-"):
        fit(images, images, model=model)
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())


def test_only_the_subjects_of_the_pass_with_the_bad_image_are_named(images):
    arrays = images.arrays.copy()
    arrays[5] = np.nan
    spoilt = examples(arrays, images.labels)
    with pytest.raises(TrainingError, match="loss must be finite") as caught:
        fit(spoilt, images, accumulation=4)
    assert "sub-5" in caught.value.message
    assert caught.value.message.count("sub-") == 2


def test_validation_images_that_are_no_numbers_are_named(images):
    arrays = images.arrays.copy()
    arrays[7] = np.nan
    with pytest.raises(TrainingError, match=r"validation loss .* subjects sub-7\."):
        fit(images, examples(arrays, images.labels), epochs=1)


def test_the_advice_names_the_section_of_the_training_at_hand(images):
    arrays = images.arrays.copy()
    arrays[5] = np.nan
    with pytest.raises(TrainingError, match="pretraining: loss must be finite") as caught:
        fit(examples(arrays, images.labels), images, section="pretrain")
    assert "lower pretrain.learning_rate" in caught.value.hint
