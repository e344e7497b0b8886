"""BatchNorm's running statistics, computed anew for the weights as they are."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from medvision.learn.dataset import Examples, iterate_batches
from medvision.learn.norms import apart
from medvision.learn.placement import place_batch
from medvision.runtime.team import ALONE, Team

N_IMAGES = 1024
"""Images that the statistics are computed from, at most."""


@torch.no_grad()
def refresh_statistics(
    model: nn.Module,
    examples: Examples,
    *,
    batch_size: int,
    device: torch.device,
    team: Team = ALONE,
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
        team: Processes that divide the batches among them; the figures are those of all batches.

    Raises:
        TrainingError: Another process has ended.

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
    with apart(model):
        for batch in iterate_batches(
            examples, order, batch_size=batch_size, first=team.rank, every=team.size
        ):
            model(place_batch(batch.images, device))
    _unite(norms, team)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def _unite(norms: list[_BatchNorm], team: Team) -> None:
    """Replace each process's mean over its batches by the mean over all batches."""
    if team.size == 1:
        return
    for norm in norms:
        counted = cast(Tensor, norm.num_batches_tracked)
        n_own = float(counted)
        n_all = team.add(n_own)
        for held in (norm.running_mean, norm.running_var):
            if held is not None:
                held.mul_(n_own / n_all)
                team.add_tensor(held)
        counted.fill_(int(n_all))


def _is_trained(norm: _BatchNorm) -> bool:
    """Tell whether a BatchNorm is part of what is trained."""
    return norm.weight is not None and norm.weight.requires_grad
