"""BatchNorm's running statistics, computed anew for the weights as they are."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medvision.learn.dataset import Examples, iterate_batches
from medvision.learn.placement import place_batch

N_IMAGES = 1024
"""Images that the statistics are computed from, at most."""


@torch.no_grad()
def refresh_statistics(
    model: nn.Module, examples: Examples, *, batch_size: int, device: torch.device
) -> None:
    """Replace every trained BatchNorm's running statistics by those of the training images.

    Running averages trail the weights by tens of steps. A cohort of a few dozen subjects makes
    that many epochs, in which the network as evaluated is not the network as trained, so that
    validation losses jump and the wrong epoch is kept.

    Args:
        model: Network to be changed, on `device`; left in evaluation mode. Frozen BatchNorm,
            told by parameters without gradients, keeps its statistics.
        examples: Training images.
        batch_size: Images in a forward pass; as in training.
        device: Where the network is.

    Source:
        Wu and Johnson 2021, arXiv:2105.07576, section 3 ("precise BatchNorm").
    """
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and _is_trained(m)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # None makes a plain mean over the batches.
        norm.momentum = None
        norm.train()
    order = torch.linspace(0, len(examples) - 1, min(len(examples), N_IMAGES)).long().numpy()
    for batch in iterate_batches(examples, order, batch_size=batch_size):
        model(place_batch(batch.images, device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def _is_trained(norm: _BatchNorm) -> bool:
    """Tell whether a BatchNorm is part of what is trained."""
    return norm.weight is not None and norm.weight.requires_grad
