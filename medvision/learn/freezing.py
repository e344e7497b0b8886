"""Which part of a network is trained, and how the rest is kept as it is."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from medvision.errors import TrainingError

Policy = Literal["full", "partial", "linear"]


def freeze(
    model: nn.Module,
    blocks: Sequence[Sequence[str]],
    *,
    policy: Policy,
    frozen_blocks: int,
) -> tuple[str, ...]:
    """Switch off the gradients of the blocks that a policy keeps frozen.

    Args:
        model: Network to be changed.
        blocks: Dotted module names by block, from the input on, without the head.
        policy: full trains all; partial all but the first `frozen_blocks`; linear the head only.
        frozen_blocks: Number of blocks that partial freezes.

    Returns:
        Dotted names of the frozen modules, for `set_train_mode`.

    Raises:
        TrainingError: More blocks are to be frozen than the network has.
    """
    n_frozen = {"full": 0, "partial": frozen_blocks, "linear": len(blocks)}[policy]
    if n_frozen > len(blocks):
        raise TrainingError(
            f"model.frozen_blocks: number must be at most {len(blocks)}, got {n_frozen}.",
            "lower model.frozen_blocks, or set model.policy to linear.",
        )
    names = tuple(name for block in blocks[:n_frozen] for name in block)
    for name in names:
        model.get_submodule(name).requires_grad_(requires_grad=False)
    return names


def set_train_mode(model: nn.Module, frozen: Sequence[str]) -> None:
    """Put the network in train mode, its frozen modules in evaluation mode.

    A frozen BatchNorm in train mode would still move its running statistics, so that "frozen"
    layers change from batch to batch. Dropout inside frozen modules is off as well.

    Args:
        model: Network to be changed.
        frozen: What `freeze` returned.
    """
    model.train()
    for name in frozen:
        model.get_submodule(name).eval()


def count_trainable(model: nn.Module) -> tuple[int, int]:
    """Return (trainable parameters, all parameters)."""
    parameters = list(model.parameters())
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    return trainable, sum(p.numel() for p in parameters)
