"""The source task: learnt, reproducible, its held-back images not trained on."""

import numpy as np
import torch
from toy_study import make_images

from medvision.learn.pretrain import VALIDATION_SHARE, pretrain_backbone


def pretrain(images, labels, *, seed=0, epochs=3):
    return pretrain_backbone(
        images,
        labels,
        class_names=("plain", "cube"),
        backbone="small",
        seed=seed,
        epochs=epochs,
        batch_size=8,
        learning_rate=0.005,
        amp="off",
        device=torch.device("cpu"),
        state=None,
    )


def test_source_task_is_learnt_on_images_held_back():
    result = pretrain(*make_images(80, seed=0))
    assert result.fit.history[result.fit.best_epoch - 1]["validation_accuracy"] > 0.9
    assert result.n_validation == VALIDATION_SHARE * 80
    assert result.n_training + result.n_validation == 80


def test_same_seed_gives_the_same_weights_and_another_does_not():
    images, labels = make_images(32, seed=0, spatial_dims=2)
    first, second, other = (pretrain(images, labels, seed=s, epochs=1) for s in (0, 0, 1))
    name = "features.conv0.weight"
    assert torch.equal(first.fit.tensors[name], second.fit.tensors[name])
    assert not torch.equal(first.fit.tensors[name], other.fit.tensors[name])


def test_every_class_is_held_back():
    images, labels = make_images(30, seed=0, spatial_dims=2, labels=np.repeat([0, 1], [27, 3]))
    assert pretrain(images, labels, epochs=1).n_validation == 4 + 1
