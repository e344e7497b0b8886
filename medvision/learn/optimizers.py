"""Optimisers by name, with the learning rate of each depth."""

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import nn

from medvision.errors import TrainingError

OptimizerName = Literal["adamw", "sgd"]

Group = dict[str, object]
"""A group of torch's: its `params`, and `scale`, its share of the schedule's learning rate."""


def group_parameters(
    model: nn.Module, blocks: Sequence[Sequence[str]], *, depth_decay: float
) -> list[Group]:
    """Return the parameters by depth, the head's first.

    The head has the whole learning rate, the block below it `depth_decay` of it, the next one
    the square, and so on down: what lies near the image is general and is to move least.

    Args:
        model: Network.
        blocks: Dotted module names by block, from the input on, without the head.
        depth_decay: Factor from a block to the next one below, in (0, 1]; 1 makes all equal.

    Returns:
        One group per depth that has parameters; parameters of no block belong to the head.

    Source:
        Howard and Ruder 2018, doi:10.18653/v1/P18-1031 (discriminative fine-tuning).
    """
    depth_of = {
        id(parameter): len(blocks) - index
        for index, block in enumerate(blocks)
        for name in block
        for parameter in model.get_submodule(name).parameters()
    }
    groups: list[Group] = []
    for depth in range(len(blocks) + 1):
        held = [p for p in model.parameters() if depth_of.get(id(p), 0) == depth]
        if held:
            groups.append({"params": held, "scale": depth_decay**depth})
    return groups


def build_optimizer(
    name: OptimizerName,
    groups: Sequence[Group],
    *,
    learning_rate: float,
    weight_decay: float,
    momentum: float,
) -> torch.optim.Optimizer:
    """Make an optimiser; parameters without a gradient are neither moved nor decayed.

    On a CPU and on a GPU one fused kernel takes the step, whose last bits are not those of
    torch's default; equal settings give equal bits all the same.

    Args:
        name: adamw, or sgd with Nesterov's momentum where there is any.
        groups: What `group_parameters` returned.
        learning_rate: Learning rate before the schedule sets it.
        weight_decay: Decay; AdamW's is decoupled from the gradient, SGD's is added to it.
        momentum: Momentum of sgd.

    Raises:
        TrainingError: Nothing is left to train.

    Source:
        AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101. Nesterov's momentum: Sutskever et
        al. 2013, PMLR 28:1139.
    """
    if not groups:
        raise TrainingError("model.policy: something must be left to train, got nothing.")
    is_fused = _can_fuse(groups)
    makers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adamw": lambda: torch.optim.AdamW(
            list(groups), lr=learning_rate, weight_decay=weight_decay, fused=is_fused
        ),
        "sgd": lambda: torch.optim.SGD(
            list(groups),
            lr=learning_rate,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=momentum > 0,
            fused=is_fused,
        ),
    }
    return makers[name]()


def _can_fuse(groups: Sequence[Group]) -> bool:
    """Tell whether torch has a fused kernel for all parameters: on a CPU and on CUDA alone."""
    held = [p for group in groups for p in cast(Sequence[nn.Parameter], group["params"])]
    return all(parameter.device.type in ("cpu", "cuda") for parameter in held)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * float(group["scale"])
