"""Captum's DeepLift with a rule for pooling windows that overlap."""

from collections.abc import Callable
from typing import Protocol, cast

import torch
from captum.attr import DeepLift
from torch import Tensor, nn
from torch.nn import functional

_POOLS: dict[type, Callable[..., tuple[Tensor, Tensor]]] = {
    nn.MaxPool1d: functional.max_pool1d_with_indices,
    nn.MaxPool2d: functional.max_pool2d_with_indices,
    nn.MaxPool3d: functional.max_pool3d_with_indices,
}


class _Pool(Protocol):
    """Max pooling, with the tensors that Captum's hooks keep on it."""

    input: Tensor
    output: Tensor
    kernel_size: int
    stride: int
    padding: int
    dilation: int
    ceil_mode: bool


def build_deeplift(network: nn.Module) -> DeepLift:
    """Return Captum's DeepLift of a network, its rule for max pooling replaced.

    A voxel may be the largest of several windows that overlap. Captum's rule then keeps what one of
    them hands back and loses the others, so that the map no longer adds up.

    Args:
        network: Canonical network.
    """
    lift = DeepLift(network)
    captums = lift._backward_hook

    def hook(module: nn.Module, grad_input: Tensor, grad_output: Tensor) -> Tensor:
        if type(module) not in _POOLS or not lift.satisfies_attribute_criteria(module):
            multipliers: Tensor = captums(module, grad_input, grad_output)
            return multipliers
        return share_windows(
            cast(_Pool, module), grad_input, grad_output=grad_output, least=lift.eps
        )

    lift._backward_hook = hook
    return lift


def share_windows(
    module: "_Pool", grad_input: Tensor, *, grad_output: Tensor, least: float
) -> Tensor:
    """Hand the change of each window's maximum back to the voxels that are the maxima.

    What rises above the baseline's maximum goes to the image's largest voxel, what falls below it
    to the baseline's; of a voxel in several windows all parts are added up.

    Args:
        module: Max pooling with attributes `input` and `output`: image and baseline (2, C, ...).
        grad_input: Plain gradient at the input, for voxels that do not change.
        grad_output: Multipliers at the output.
        least: Change below which a voxel counts as unchanged.

    Returns:
        Multipliers at the input, like `grad_input`.

    Source:
        Shrikumar 2017, arXiv:1704.02685 (multipliers add up over paths); shares between image and
        baseline as in Captum 0.8 (Kokhlikyan 2020, arXiv:2009.07896).
    """
    inputs, outputs = module.input, module.output
    del module.input, module.output
    _, places = _POOLS[type(module)](
        inputs,
        module.kernel_size,
        module.stride,
        module.padding,
        module.dilation,
        module.ceil_mode,
    )
    (image, baseline), (here, there) = inputs.chunk(2), outputs.chunk(2)
    top = torch.maximum(here, there)
    shares = grad_output * torch.cat([top - there, here - top])
    added = torch.zeros_like(inputs).flatten(2)
    added.scatter_add_(2, places.flatten(2), shares.flatten(2))
    change = image - baseline
    mine, theirs = added.view_as(inputs).chunk(2)
    multiplier = (mine + theirs) / change
    both = torch.cat([multiplier, multiplier])
    return torch.where(torch.cat([change, change]).abs() < least, grad_input, both)
