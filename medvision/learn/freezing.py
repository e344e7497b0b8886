"""Which part of a network is trained, and how the rest is kept as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from medvision.errors import TrainingError

Policy = Literal["full", "partial", "linear", "gradual"]


@dataclass(frozen=True)
class Freezing:
    """Which blocks are kept as they are, epoch by epoch.

    Args:
        blocks: Dotted module names by block, from the input on, without the head.
        policy: full trains all; partial all but the first `frozen_blocks`; linear the head only;
            gradual the head first, then one further block, from the head down, each time
            `unfreeze_epochs` have passed.
        frozen_blocks: Number of blocks that partial freezes.
        unfreeze_epochs: Epochs from one release to the next.

    Source:
        Gradual unfreezing: Howard and Ruder 2018, doi:10.18653/v1/P18-1031.
    """

    blocks: tuple[tuple[str, ...], ...]
    policy: Policy
    frozen_blocks: int = 1
    unfreeze_epochs: int = 1

    def list_frozen(self, epoch: int) -> tuple[str, ...]:
        """Return the dotted names of the modules that are frozen in an epoch, counted from 0.

        Raises:
            TrainingError: More blocks are to be frozen than the network has.
        """
        n_blocks = len(self.blocks)
        n_frozen = {
            "full": 0,
            "partial": self.frozen_blocks,
            "linear": n_blocks,
            "gradual": max(0, n_blocks - epoch // self.unfreeze_epochs),
        }[self.policy]
        if n_frozen > n_blocks:
            raise TrainingError(
                f"model.frozen_blocks: number must be at most {n_blocks}, got {n_frozen}.",
                "lower model.frozen_blocks, or set model.policy to linear.",
            )
        return tuple(name for block in self.blocks[:n_frozen] for name in block)


def freeze(model: nn.Module, freezing: Freezing, *, epoch: int) -> tuple[str, ...]:
    """Switch gradients off in the blocks that are frozen in an epoch, and on in the others.

    Args:
        model: Network to be changed.
        freezing: Which blocks are frozen when.
        epoch: Epoch, counted from 0.

    Returns:
        Dotted names of the frozen modules, for `set_train_mode`.

    Raises:
        TrainingError: More blocks are to be frozen than the network has.
    """
    names = freezing.list_frozen(epoch)
    for block in freezing.blocks:
        for name in block:
            model.get_submodule(name).requires_grad_(requires_grad=name not in names)
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
