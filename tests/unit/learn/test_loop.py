"""Mixed precision only where it pays, and random changes where the batch is."""

import numpy as np
import pytest
import torch

from medvision.learn.dataset import Examples
from medvision.learn.loop import Position, build_engine, choose_amp_dtype, run_epoch
from medvision.learn.settings import TrainSettings


def test_cpu_never_computes_in_mixed_precision():
    assert choose_amp_dtype(torch.device("cpu"), "auto") is None
    assert choose_amp_dtype(torch.device("cuda"), "off") is None


class _SeenError(Exception):
    """What ends the epoch once the batch was seen."""


def test_random_changes_are_given_the_batch_on_the_device():
    model = torch.nn.Linear(2, 2)
    engine = build_engine(
        model,
        torch.device("meta"),
        settings=TrainSettings(
            epochs=1,
            batch_size=2,
            learning_rate=1.0,
            weight_decay=0.0,
            imbalance="none",
            monitor="loss",
            patience=1,
            amp="off",
        ),
        class_weights=np.ones(2),
        blocks=(),
    )
    examples = Examples(np.zeros((2, 1, 2, 2), np.float32), np.arange(2), np.arange(2), ("a", "b"))
    devices = []

    def transform(images, generator):
        devices.append(images.device.type)
        raise _SeenError

    with pytest.raises(_SeenError):
        run_epoch(
            engine,
            examples,
            position=Position(np.arange(2)),
            frozen=(),
            transform=transform,
            generator=torch.Generator(),
            rate=lambda _: 1.0,
            should_stop=lambda: False,
        )
    assert devices == ["meta"]
