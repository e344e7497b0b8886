"""Pretraining without labels: any backbone, 2D and 3D, repeated and resumed to the bit."""

import itertools

import numpy as np
import pytest
import torch
from toy_study import make_images

from medvision.augment.views import apply_view, draw_view
from medvision.errors import StoppedError, TrainingError
from medvision.learn.backbones import BACKBONES, build_backbone, head_names
from medvision.learn.dataset import Examples
from medvision.learn.epochs import State
from medvision.learn.selfsup import pretrain_unlabelled
from medvision.learn.transfer import load_weights

TASKS = ("contrastive", "masked")


def view(images, generator):
    parameters = draw_view(
        generator,
        n_images=len(images),
        spatial_dims=images.ndim - 2,
        crop=0.6,
        blur_voxels=1.0,
        flip_axes=(),
        noise_sd=0.05,
        gain=0.2,
    )
    return apply_view(images, parameters)


def make_examples(n_images=16, *, spatial_dims=2, side=None):
    images, labels = make_images(n_images, seed=0, spatial_dims=spatial_dims)
    if side is not None:
        for axis in range(2, images.ndim):
            images = np.repeat(images, side // 16, axis=axis)
    subjects = tuple(f"sub-{row}" for row in range(n_images))
    return Examples(images, np.arange(n_images), labels, subjects)


def pretrain(examples, task, *, backbone="small", epochs=2, seed=0, state=None, batch_size=8):
    return pretrain_unlabelled(
        examples,
        task=task,
        backbone=backbone,
        view=view,
        temperature=0.5,
        mask_share=0.6,
        mask_block=(4, 4, 4),
        seed=seed,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=0.003,
        amp="off",
        device=torch.device("cpu"),
        state=state,
    )


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("task", TASKS)
def test_same_seed_gives_the_same_weights_and_another_does_not(task, spatial_dims):
    examples = make_examples(spatial_dims=spatial_dims)
    first, again, other = (pretrain(examples, task, seed=seed, epochs=1) for seed in (0, 0, 1))
    assert all(torch.equal(first.tensors[name], again.tensors[name]) for name in first.tensors)
    name = "features.conv0.weight"
    assert not torch.equal(first.tensors[name], other.tensors[name])


@pytest.mark.parametrize("task", TASKS)
def test_an_interrupted_training_ends_bit_equal(task, tmp_path):
    examples = make_examples()
    whole = pretrain(examples, task, epochs=3)
    state = State(tmp_path / "state.pt", "settings")

    class KilledError(Exception):
        """The plug was pulled."""

    def stop(row):
        if row["epoch"] == 2:
            raise KilledError

    with pytest.raises(KilledError):
        pretrain_and_tell(examples, task, state=state, on_epoch=stop)
    resumed = pretrain_and_tell(examples, task, state=state, on_epoch=None)
    assert resumed.history == whole.history
    assert all(torch.equal(whole.tensors[n], resumed.tensors[n]) for n in whole.tensors)


@pytest.mark.parametrize("n_steps", [0, 1, 2, 5])
@pytest.mark.parametrize("task", TASKS)
def test_stopped_between_any_two_steps_it_ends_bit_equal(task, n_steps, tmp_path):
    examples = make_examples()
    whole, asked = pretrain(examples, task, epochs=3), itertools.count()
    state = State(tmp_path / "state.pt", "settings")
    with pytest.raises(StoppedError, match=r"pretraining: .* asked to stop in epoch") as caught:
        pretrain_and_tell(examples, task, state=state, should_stop=lambda: next(asked) >= n_steps)
    assert caught.value.exit_code == 75
    resumed = pretrain_and_tell(examples, task, state=state)
    assert resumed.history == whole.history
    assert all(torch.equal(whole.tensors[n], resumed.tensors[n]) for n in whole.tensors)


def pretrain_and_tell(examples, task, *, state, on_epoch=None, should_stop=lambda: False):
    return pretrain_unlabelled(
        examples,
        task=task,
        backbone="small",
        view=view,
        temperature=0.5,
        mask_share=0.6,
        mask_block=(4, 4, 4),
        seed=0,
        epochs=3,
        batch_size=8,
        learning_rate=0.003,
        amp="off",
        device=torch.device("cpu"),
        state=state,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )


@pytest.mark.parametrize("task", TASKS)
def test_labels_are_never_looked_at(task):
    examples = make_examples()
    blind = Examples(examples.arrays, examples.rows, 1 - examples.labels, examples.subjects)
    first, second = pretrain(examples, task, epochs=1), pretrain(blind, task, epochs=1)
    assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_falls(task):
    history = pretrain(make_examples(32), task, epochs=8).history
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("backbone", sorted(BACKBONES))
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.slow
def test_every_backbone_takes_its_weights_over_whole_but_for_the_head(task, backbone, spatial_dims):
    side = 48 if backbone == "squeezenet1_1" else 32
    examples = make_examples(4, spatial_dims=spatial_dims, side=side)
    result = pretrain(examples, task, backbone=backbone, epochs=1, batch_size=4)
    network = build_backbone(backbone, spatial_dims=spatial_dims, channels=1, n_classes=3)
    report = load_weights(network, result.tensors, head=head_names(backbone), minimum_match=1.0)
    assert {row.status for row in report.rows} == {"loaded", "missing-head"}


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(TrainingError, match="at least one whole batch of 8"):
        pretrain(make_examples(6), "contrastive")


def test_a_loss_that_is_not_finite_names_the_subjects():
    examples = make_examples()
    examples.arrays[3] = np.nan
    with pytest.raises(TrainingError, match=r"pretraining: loss must be finite.*sub-3") as caught:
        pretrain(examples, "masked", batch_size=16)
    assert "pretrain.learning_rate" in caught.value.hint
