"""The moving average of the weights against a plain loop over numbers."""

import contextlib

import pytest
import torch

from medvision.learn.averaging import Average


def test_average_is_the_recursion_written_out():
    model = torch.nn.Linear(1, 1, bias=False)
    average = Average(0.6)
    values = [1.0, 3.0, -2.0, 5.0, 4.0, 0.5]
    held = None
    for step, value in enumerate(values, start=1):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(model)
        decay = min(0.6, (1 + step) / (10 + step))
        held = value if held is None else decay * held + (1 - decay) * value
        assert average.tensors["weight"].item() == pytest.approx(held, rel=1e-6)


def test_what_is_not_trained_does_not_move_by_a_bit():
    model = torch.nn.Linear(50, 50)
    model.weight.requires_grad_(requires_grad=False)
    average = Average(0.9)
    before = model.weight.clone()
    for _ in range(20):
        with torch.no_grad():
            model.bias.add_(0.1)
        average.update(model)
    assert torch.equal(average.tensors["weight"], before)
    assert not torch.equal(average.tensors["bias"], model.bias)


def test_weights_come_back_bit_equal_even_after_an_error():
    model = torch.nn.Linear(5, 5)
    average = Average(0.9)
    average.update(model)
    with torch.no_grad():
        model.weight.add_(1.0)
    before = model.weight.clone()
    with contextlib.suppress(KeyError), average.in_place(model):
        assert torch.equal(model.weight, average.tensors["weight"])
        raise KeyError
    assert torch.equal(model.weight, before)
