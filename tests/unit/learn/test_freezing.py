"""Which blocks each policy freezes."""

import pytest
import torch

from medvision.errors import TrainingError
from medvision.learn.backbones import blocks, build_backbone
from medvision.learn.freezing import Freezing, count_trainable, freeze, set_train_mode


def build():
    torch.manual_seed(0)
    return build_backbone("small", spatial_dims=2, channels=1, n_classes=2)


def test_full_freezes_nothing():
    model = build()
    assert freeze(model, Freezing(blocks("small"), "full", frozen_blocks=2), epoch=0) == ()
    assert count_trainable(model)[0] == count_trainable(model)[1]


def test_partial_freezes_the_first_blocks():
    frozen = freeze(build(), Freezing(blocks("small"), "partial", frozen_blocks=1), epoch=0)
    assert frozen == ("features.conv0", "features.norm0")


def test_linear_trains_the_head_alone():
    model = build()
    freeze(model, Freezing(blocks("small"), "linear", frozen_blocks=1), epoch=0)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"class_layers.out.weight", "class_layers.out.bias"}


def test_frozen_modules_alone_are_in_evaluation_mode():
    model = build()
    frozen = freeze(model, Freezing(blocks("small"), "partial", frozen_blocks=1), epoch=0)
    set_train_mode(model, frozen)
    assert not model.features.norm0.training
    assert model.features.norm5.training


def test_more_blocks_than_there_are_is_an_error():
    with pytest.raises(TrainingError, match="must be at most 3, got 4"):
        freeze(build(), Freezing(blocks("small"), "partial", frozen_blocks=4), epoch=0)
