"""A training of the small network on toy images, of which each test changes what it is about."""

from dataclasses import replace

import numpy as np
import torch

from medvision.learn.backbones import blocks, build_backbone
from medvision.learn.dataset import Examples
from medvision.learn.freezing import Freezing
from medvision.learn.settings import TrainSettings
from medvision.learn.train import Fit, fit_network
from medvision.runtime.seeds import seed_everything


def examples(images, labels) -> Examples:
    names = tuple(f"sub-{row}" for row in range(len(labels)))
    return Examples(images, np.arange(len(labels)), labels, names)


SETTINGS = TrainSettings(
    epochs=4,
    batch_size=8,
    learning_rate=0.005,
    weight_decay=0.01,
    imbalance="none",
    monitor="loss",
    patience=10,
    amp="auto",
)
FULL = Freezing(blocks("small"), "full")


def fit(training, validation, *, model=None, **changes) -> Fit:
    if model is None:
        seed_everything(0)
        model = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
    own = {"freezing", "device", "transform", "state", "seed", "on_epoch"}
    own |= {"should_stop", "section", "team", "keep_epochs"}
    given = {
        "freezing": FULL,
        "device": torch.device("cpu"),
        "transform": None,
        "state": None,
        "seed": 0,
        **{name: value for name, value in changes.items() if name in own},
    }
    settings = {name: value for name, value in changes.items() if name not in own}
    return fit_network(
        model,
        training,
        validation=validation,
        n_classes=2,
        settings=replace(SETTINGS, **settings),
        **given,
    )
