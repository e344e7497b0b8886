"""Giving each activation an input of its own, so that hooks change its gradient and no other."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from medvision.explain.rewrite import BENDS


@contextmanager
def own_inputs(network: nn.Module) -> Iterator[None]:
    """Have each activation and max pooling work on a copy of what it is given.

    Captum overrides the gradient of an activation by a hook on the tensor that enters it. Where
    that tensor also goes elsewhere, such as round a block, the other way's gradient is overridden
    too; where it is itself what an activation gave, such as a ReLU before a pooling, that one has
    already taken note of the gradient and misses the override. A copy in between has one origin
    and one use.

    Args:
        network: Hooks are set on it, and removed at the end; Captum's come after them.
    """
    handles = [
        module.register_forward_pre_hook(_copy_input)
        for module in network.modules()
        if isinstance(module, BENDS)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _copy_input(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return copies of the tensors, of which a gradient can be asked even where nobody needs it."""
    copies = tuple(value.clone() for value in inputs)
    if torch.is_grad_enabled():
        for value in copies:
            value.requires_grad_()
    return copies
