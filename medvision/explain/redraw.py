"""Weights drawn anew, as the layers themselves draw them."""

from collections.abc import Iterable

import torch
from torch import nn


def list_layers(network: nn.Module) -> list[str]:
    """Return the dotted names of the modules with parameters of their own, from the input on.

    The order is that in which the network registered them; the network itself is "".
    """
    return [
        name
        for name, module in network.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ]


def redraw(layers: Iterable[nn.Module], *, seed: int) -> None:
    """Draw the parameters of layers anew, in place, and put torch's generator back.

    A layer that can reset itself does, its running statistics included; of another each parameter
    is drawn from a normal distribution of mean 0 and the parameter's own standard deviation.

    Args:
        layers: Modules on the CPU, in the order of the draw.
        seed: Seed of the draw.
    """
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed every GPU too, and leave it so.
        torch.default_generator.manual_seed(seed)
        for layer in layers:
            _reset(layer)


def _reset(layer: nn.Module) -> None:
    """Draw a layer's parameters anew."""
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    with torch.no_grad():
        for parameter in layer.parameters(recurse=False):
            parameter.normal_(std=float(parameter.std(correction=0)) or 1.0)
