"""Running statistics are those of the training images under the weights as they are."""

import numpy as np
import torch
from torch import nn

from medvision.learn.dataset import Examples
from medvision.learn.freezing import Freezing, freeze
from medvision.learn.statistics import refresh_statistics


def make_examples(n_images: int) -> Examples:
    images = np.random.default_rng(0).normal(3, 2, (n_images, 1, 4, 4)).astype(np.float32)
    labels = np.zeros(n_images, dtype=np.int64)
    return Examples(images, np.arange(n_images), labels, ("s",) * n_images)


def refresh(model, examples):
    refresh_statistics(model, examples, batch_size=4, device=torch.device("cpu"))


def test_statistics_become_the_means_over_the_batches():
    examples = make_examples(16)
    norm = nn.BatchNorm2d(1)
    norm.running_mean.fill_(100)
    refresh(norm, examples)
    batches = examples.arrays.reshape(4, -1)
    assert np.isclose(norm.running_mean.item(), batches.mean(1).mean(), rtol=1e-5)
    assert np.isclose(norm.running_var.item(), batches.var(1, ddof=1).mean(), rtol=1e-5)
    assert norm.momentum == 0.1
    assert not norm.training


def test_statistics_do_not_remember_earlier_ones():
    norm, other = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
    norm.running_var.fill_(50)
    refresh(norm, make_examples(9))
    refresh(other, make_examples(9))
    assert torch.equal(norm.running_var, other.running_var)


def test_frozen_statistics_and_dropout_are_left_alone():
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), nn.BatchNorm2d(1))
    freeze(model, Freezing((("0",),), "partial"), epoch=0)
    state = torch.get_rng_state()
    refresh(model, make_examples(8))
    assert model[0].running_mean.item() == 0
    assert model[2].running_mean.item() != 0
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in model)
