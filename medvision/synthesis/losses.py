"""What the two networks are trained on: the non-saturating loss, and the penalty on gradients."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def compute_generator_loss(drawn: Tensor) -> Tensor:
    """Return how far the drawn images are from being taken for real, in nats.

    Args:
        drawn: The discriminator's logits of drawn images, (B,).

    Source:
        The non-saturating loss: Goodfellow 2014, arXiv:1406.2661.
    """
    return functional.softplus(-drawn).mean()


def compute_discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Return the cross-entropy of telling real from drawn, summed over both, in nats.

    Args:
        real: Logits of real images, (B,).
        drawn: Logits of drawn images, (B,).

    Source:
        Goodfellow 2014, arXiv:1406.2661.
    """
    return functional.softplus(-real).mean() + functional.softplus(drawn).mean()


def compute_r1(discriminate: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the mean squared length of the logit's gradient at real images.

    It can be differentiated again, with respect to the discriminator's weights.

    Args:
        discriminate: Images to their logits, (B,).
        images: Real images, (B, C, I, J[, K]).

    Source:
        Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406, equation 9.
    """
    places = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminate(places).sum(), places, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean()
