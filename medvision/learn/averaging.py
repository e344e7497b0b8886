"""A moving average of the weights, which is what is validated and kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class Average:
    """The average of a network's parameters over the steps.

    Buffers are not averaged: BatchNorm's statistics are computed anew for the averaged weights.
    Parameters that are not trained are equal to their average to the last bit.

    Args:
        decay: Share of the old average in the new one, in (0, 1).
        n_steps: Steps averaged.
        tensors: Name of each parameter to its average, on the network's device.

    Source:
        Polyak and Juditsky 1992, doi:10.1137/0330046; the smaller decay of the first steps, so
        that the random start is forgotten, as tf.train.ExponentialMovingAverage.
    """

    decay: float
    n_steps: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the weights after a step into the average."""
        if not self.tensors:
            self.tensors = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.n_steps += 1
        share = 1 - min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        moving = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        torch._foreach_lerp_(
            [self.tensors[name] for name, _ in moving], [p.detach() for _, p in moving], share
        )

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Put the average into the network for a while; the weights come back as they were."""
        own = {name: p.detach().clone() for name, p in model.named_parameters()}
        _fill(model, self.tensors)
        try:
            yield
        finally:
            _fill(model, own)


@torch.no_grad()
def _fill(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy tensors into the parameters of the same names."""
    for name, parameter in model.named_parameters():
        if name in tensors:
            parameter.copy_(tensors[name])
