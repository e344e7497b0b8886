"""BatchNorm over the images of all processes that train one network."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.modules.batchnorm import _BatchNorm

from medvision.runtime.team import Team


@dataclass
class Exchange:
    """What all norms of a network share while it is trained.

    Args:
        team: The processes.
        is_idle: Whether this process passes an image that counts for nothing, since the step has
            fewer images than there are processes.
        is_on: Whether statistics are those of all processes; of this one's images otherwise.
    """

    team: Team
    is_idle: bool = False
    is_on: bool = True


class SharedNorm(_BatchNorm):
    """BatchNorm whose mean and variance, in train mode, are those of all processes' images.

    torch's own exists on CUDA alone. Names and values of the tensors are BatchNorm's.

    Args:
        norm: The BatchNorm that this one stands for; its tensors are taken over.
        exchange: What all norms of the network share.

    Source:
        Ioffe and Szegedy 2015, arXiv:1502.03167, over the whole step's images.
    """

    def __init__(self, norm: _BatchNorm, exchange: Exchange) -> None:
        super().__init__(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        self._parameters = norm._parameters
        self._buffers = norm._buffers
        self.exchange = exchange
        self.train(norm.training)

    def forward(self, images: Tensor) -> Tensor:
        """Return images (B, C, ...) normalised, scaled and shifted by channel."""
        if not (self.training and self.exchange.is_on):
            return super().forward(images)
        given = images.float()
        mean, variance, count = self._measure(given)
        self._follow(mean.detach(), variance.detach(), count=count)
        shape = (1, -1, *[1] * (images.ndim - 2))
        normal = (given - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(images.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of axes."""

    def _measure(self, images: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return mean (C,), biased variance (C,) and number of values over all processes."""
        team = self.exchange.team
        share = 0.0 if self.exchange.is_idle else 1.0
        axes = [axis for axis in range(images.ndim) if axis != 1]
        held = images.new_full((1,), share * images.numel() / images.shape[1])
        # The number goes with the sums: each message costs its way.
        summed = _add(torch.cat([share * images.sum(axes), held]), team)
        count = float(summed[-1].detach())
        mean = summed[:-1] / count
        distances = images - mean.view(1, -1, *[1] * (images.ndim - 2))
        return mean, _add(share * distances.square().sum(axes), team) / count, count

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, *, count: float) -> None:
        """Move the running statistics, as BatchNorm does."""
        if self.running_mean is None or self.running_var is None:
            return
        seen = cast(Tensor, self.num_batches_tracked).add_(1)
        share = 1.0 / float(seen) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / max(count - 1, 1), share)


def _add(tensor: Tensor, team: Team) -> Tensor:
    """Return the sum over all processes, which gradients flow back through."""
    return cast(Tensor, _Sum.apply(tensor, team))  # type: ignore[no-untyped-call]  # torch's own gap


class _Sum(torch.autograd.Function):
    """A sum over processes; its gradient is the sum of theirs, as each has a part of the loss."""

    @staticmethod
    def forward(ctx: FunctionCtx, tensor: Tensor, team: Team) -> Tensor:
        """Return the sum, to each process."""
        ctx.team = team  # type: ignore[attr-defined]  # torch's way of remembering
        summed = tensor.clone()
        team.add_tensor(summed)
        return summed

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the sum of the gradients, and none for the team."""
        summed = gradients[0].clone()
        ctx.team.add_tensor(summed)  # type: ignore[attr-defined]
        return summed, None


def share_norms(model: nn.Module, team: Team) -> Exchange:
    """Replace every BatchNorm of a network by one over all processes, where there are several.

    Args:
        model: Network to be changed; names and values of its tensors stay.
        team: The processes.

    Returns:
        What the norms share.
    """
    exchange = Exchange(team)
    if team.size == 1:
        return exchange
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, _BatchNorm) and not isinstance(child, SharedNorm):
                setattr(module, name, SharedNorm(child, exchange))
    return exchange


@contextmanager
def apart(model: nn.Module) -> Iterator[None]:
    """Let a network's norms look at this process's images alone, for a while."""
    exchanges = [m.exchange for m in model.modules() if isinstance(m, SharedNorm)]
    for exchange in exchanges:
        exchange.is_on = False
    try:
        yield
    finally:
        for exchange in exchanges:
            exchange.is_on = True
