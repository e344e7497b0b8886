"""Claims on the losses, against closed forms."""

import numpy as np
import pytest
import torch

from medvision.synthesis.losses import (
    compute_discriminator_loss,
    compute_generator_loss,
    compute_r1,
)


def test_losses_are_the_logarithms_of_the_probabilities():
    real, drawn = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0])
    p_real, p_drawn = (1 / (1 + np.exp(-each.numpy())) for each in (real, drawn))
    expected = -np.log(p_real).mean() - np.log(1 - p_drawn).mean()
    assert float(compute_discriminator_loss(real, drawn)) == pytest.approx(expected, rel=1e-6)
    assert float(compute_generator_loss(drawn)) == pytest.approx(-np.log(p_drawn).mean(), rel=1e-6)


def test_the_penalty_of_a_quadratic_logit_is_its_squared_slope_and_moves_the_weights():
    weight = torch.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
    images = torch.randn(3, 1, 2, 2)
    penalty = compute_r1(lambda x: (weight * x.square()).sum(dim=(1, 2, 3)), images)
    slopes = 2 * weight.detach() * images
    expected = float(slopes.square().sum(dim=(1, 2, 3)).mean())
    assert float(penalty.detach()) == pytest.approx(expected)
    (gradient,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(gradient, (8 * weight.detach() * images.square()).mean(dim=(0, 1)))
