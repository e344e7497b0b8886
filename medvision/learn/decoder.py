"""A light decoder from a network's last grid back to its images; dropped after pretraining."""

import copy
import math
from collections.abc import Sequence

import torch
from monai.networks.blocks.convolutions import Convolution
from torch import Tensor, nn
from torch.nn import functional

_WIDEST = 64
_NARROWEST = 8


class Decoder(nn.Module):
    """Enlarges a grid step by step to the images' size, a convolution after each step.

    Enlarging copies the nearest cell, whose gradient is exact to the bit on every device, which
    that of linear interpolation is not.

    Args:
        n_features: Channels of the grid.
        grid: Its cells along each axis.
        shape: One image's array (C, I, J[, K]).
    """

    def __init__(self, n_features: int, *, grid: Sequence[int], shape: Sequence[int]) -> None:
        super().__init__()
        self._sizes = list_sizes(grid, shape[1:])
        width = _WIDEST
        steps: list[nn.Module] = [_convolve(len(grid), n_features, width=width, kernel=1)]
        for _ in self._sizes:
            steps.append(_convolve(len(grid), width, width=max(width // 2, _NARROWEST), kernel=3))
            width = max(width // 2, _NARROWEST)
        self.steps = nn.ModuleList(steps)
        self.last = Convolution(len(grid), width, shape[0], kernel_size=1, conv_only=True)

    def forward(self, features: Tensor) -> Tensor:
        """Return images (B, C, I, J[, K]) of features (B, n_features, grid...)."""
        held = self.steps[0](features)
        for size, step in zip(self._sizes, list(self.steps)[1:], strict=True):
            held = step(functional.interpolate(held, size=size, mode="nearest"))
        images: Tensor = self.last(held)
        return images


def list_sizes(grid: Sequence[int], size: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the sizes between a grid and an image, each at most about twice the one before.

    Args:
        grid: Cells along each axis.
        size: Voxels along each axis; also the last entry.
    """
    ratios = [whole / cells for whole, cells in zip(size, grid, strict=True)]
    n_steps = max(1, math.ceil(math.log2(max(ratios))))
    between = [
        tuple(
            round(cells * ratio ** (n / n_steps)) for cells, ratio in zip(grid, ratios, strict=True)
        )
        for n in range(1, n_steps)
    ]
    return [*between, tuple(size)]


def find_grid(network: nn.Module, layer: str, *, shape: Sequence[int]) -> tuple[int, ...]:
    """Return (channels, cells along each axis) of a module's output for one image.

    The forward pass is made on torch's meta device: shapes alone, no numbers and no time.

    Args:
        network: Network, not changed.
        layer: Dotted name of the module.
        shape: One image's array (C, I, J[, K]).
    """
    twin = copy.deepcopy(network).to("meta").eval()
    found: list[torch.Size] = []
    twin.get_submodule(layer).register_forward_hook(lambda _m, _i, out: found.append(out.shape))
    with torch.no_grad():
        twin(torch.zeros((2, *shape), device="meta"))
    return tuple(found[-1][1:])


def _convolve(spatial_dims: int, n_given: int, *, width: int, kernel: int) -> nn.Module:
    """A convolution with BatchNorm and ReLU."""
    block: nn.Module = Convolution(
        spatial_dims,
        n_given,
        width,
        kernel_size=kernel,
        norm="BATCH",
        act="RELU",
        adn_ordering="NA",
    )
    return block
