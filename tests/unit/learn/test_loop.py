"""The schedule against torch's own, and mixed precision only where it pays."""

import numpy as np
import pytest
import torch

from medvision.learn.dataset import Examples
from medvision.learn.loop import (
    build_engine,
    choose_amp_dtype,
    compute_learning_rate,
    run_epoch,
)


@pytest.mark.parametrize("n_steps", [10, 30, 117])
def test_learning_rate_is_torch_s_one_cycle(n_steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=n_steps)
    for step in range(n_steps):
        expected = optimizer.param_groups[0]["lr"]
        ours = compute_learning_rate(step, n_steps=n_steps, peak=0.01)
        assert ours == pytest.approx(expected, rel=1e-9), step
        optimizer.step()
        if step < n_steps - 1:
            schedule.step()


@pytest.mark.parametrize("n_steps", [1, 2, 3, 4])
def test_shortest_trainings_have_a_learning_rate_too(n_steps):
    rates = [compute_learning_rate(s, n_steps=n_steps, peak=1.0) for s in range(n_steps)]
    assert max(rates) > 0.5
    assert min(rates) >= 0


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
        learning_rate=1.0,
        weight_decay=0.0,
        class_weights=np.ones(2),
        frozen=(),
        amp="off",
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
            order=np.arange(2),
            batch_size=2,
            transform=transform,
            generator=torch.Generator(),
            rate=lambda _: 1.0,
        )
    assert devices == ["meta"]
