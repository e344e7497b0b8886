"""Integrated gradients in panels: where steps go, and that they add up to the plain sum."""

import numpy as np
import pytest
import torch
from explain_nets import Tiny, make_settings
from torch import nn

from medvision.explain.methods import attribute
from medvision.explain.methods.paths import STEP_LIMIT
from medvision.explain.network import canonicalise

CPU = torch.device("cpu")


class Bend(nn.Module):
    """The mean of the image through a sigmoid, steep at one place of the way from 0 to 1."""

    def __init__(self, place, slope):
        super().__init__()
        self.place, self.slope = place, nn.Parameter(torch.tensor(slope))

    def forward(self, x):
        score = 10 * torch.sigmoid(self.slope * (x.flatten(1).mean(1) - self.place))
        return torch.stack([-score, score], dim=1)


def integrate(network, image, **changes):
    twin = canonicalise(network, device=CPU).network
    return attribute(
        twin,
        image,
        method="integrated_gradients",
        target=1,
        layer="second",
        settings=make_settings(**changes),
        seed=1,
    )


def slow_integral(network, image, *, n):
    """Midpoints of n equal parts, one image a pass."""
    total = torch.zeros_like(image, dtype=torch.float64)
    for place in (np.arange(n) + 0.5) / n:
        point = (place * image.double()).requires_grad_()
        (gradient,) = torch.autograd.grad(network(point)[0, 1], point)
        total += gradient
    return (total / n * image.double())[0].sum(0)


def test_the_map_is_the_plain_integral_of_the_gradient():
    torch.manual_seed(0)
    network, image = Tiny().eval(), torch.rand(1, 1, 16, 16, 16)
    found = integrate(network, image, steps=64, completeness=1e-6)
    wanted = slow_integral(network.double(), image, n=512).numpy()
    assert np.linalg.norm(found.grid - wanted) < 0.02 * np.linalg.norm(wanted)


@pytest.mark.parametrize("place", [0.1, 0.45, 0.8])
def test_steps_are_added_where_the_network_bends(place):
    image = torch.ones(1, 1, 4, 4, 4)
    found = integrate(Bend(place, 400.0), image)
    assert found.completeness_error <= found.parameters["completeness_gate"]
    # Equal steps as fine as the finest here would be many times as many.
    assert found.parameters["steps"] <= 40
    plain = integrate(Bend(place, 400.0), image, steps=40, batch_size=40, completeness=float("inf"))
    assert plain.completeness_error > found.completeness_error


def test_a_network_without_bends_gets_the_steps_asked_for_and_no_more():
    found = integrate(Bend(0.5, 0.1), torch.ones(1, 1, 4, 4, 4), completeness=1e-4)
    assert found.parameters["steps"] == 8


def test_steps_end_at_the_limit_when_batches_do_not_divide_it():
    found = integrate(Bend(0.37, 1e9), torch.ones(1, 1, 4, 4, 4), steps=10, batch_size=4)
    assert 10 * STEP_LIMIT - 4 < found.parameters["steps"] <= 10 * STEP_LIMIT
    assert found.completeness_error > found.parameters["completeness_gate"]
