"""Giving a network its form: the entrance for its images, kernels in planes, folded BatchNorm."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.domain.network_form import NetworkForm
from medvision.errors import ConfigError

Chooser = Callable[[nn.Module], nn.Module | None]
"""Returns what is to take a module's place, or None."""


class Entrance(nn.Module):
    """Brings a study's images to the range that starting weights were made for.

    One channel becomes as many as the weights want, each (x - mean) / sd of its own: a grey image
    then meets the weights exactly as its copies in red, green and blue would, also at the border,
    where the zeros around stand for the mean. The constants are part of the form, not of the
    state: no training moves them and no file of weights replaces them.

    Args:
        form: Mean and deviation per inner channel.
        spatial_dims: 2 or 3.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, form: NetworkForm, *, spatial_dims: int) -> None:
        super().__init__()
        shape = (1, -1, *[1] * spatial_dims)
        self.register_buffer("mean", torch.tensor(form.mean).reshape(shape), persistent=False)
        self.register_buffer("sd", torch.tensor(form.sd).reshape(shape), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, inner channels, ...) of images (B, C, ...), C one or the inner channels."""
        return (images - self.mean) / self.sd


class FoldedNorm2d(nn.BatchNorm2d):
    """BatchNorm whose statistics were folded into its scale: it stays in evaluation mode."""

    def train(self, mode: bool = True) -> "FoldedNorm2d":  # noqa: ARG002 - torch's signature
        """Stay in evaluation mode."""
        super().train(mode=False)
        return self


class FoldedNorm3d(nn.BatchNorm3d):
    """The same for volumes."""

    def train(self, mode: bool = True) -> "FoldedNorm3d":  # noqa: ARG002 - torch's signature
        """Stay in evaluation mode."""
        super().train(mode=False)
        return self


class AcsConv3d(nn.Module):
    """A 2D convolution laid in the planes of a volume: a third of its kernels in each of three.

    The first third of the output channels looks along (I, J), the second along (I, K), the last
    along (J, K); where they do not divide by three the earlier ones get one more. The kernels are
    embedded in cubes of zeros, so that padding, stride and groups stay as they were; this costs the
    work of the full cube, and saves its parameters.

    Args:
        like: The 3D convolution whose place it takes; its kernel is a cube.

    Source:
        Yang 2021, doi:10.1109/JBHI.2021.3049452.
    """

    def __init__(self, like: nn.Conv3d) -> None:
        super().__init__()
        self.stride, self.padding = like.stride, cast(tuple[int, ...], like.padding)
        self.dilation, self.groups = like.dilation, like.groups
        side = like.kernel_size[0]
        self.weight = nn.Parameter(like.weight.new_empty((*like.weight.shape[:2], side, side)))
        self.bias = None if like.bias is None else nn.Parameter(torch.empty_like(like.bias))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights by He's rule."""
        nn.init.kaiming_normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def build_cubes(self) -> Tensor:
        """Return the kernels (out, in, k, k, k) with zeros outside of their planes."""
        middle = self.weight.shape[-1] // 2
        before, after = middle, self.weight.shape[-1] - 1 - middle
        thirds = torch.tensor_split(self.weight, 3)
        planes = [
            functional.pad(third.unsqueeze(axis), _pads(axis, before, after=after))
            for third, axis in zip(thirds, (4, 3, 2), strict=True)
        ]
        return torch.cat(planes)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, out, ...) of volumes (B, in, I, J, K)."""
        return functional.conv3d(
            images,
            self.build_cubes(),
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


def _pads(axis: int, before: int, *, after: int) -> tuple[int, ...]:
    """Return torch's padding, last axis first, of one axis of (out, in, i, j, k)."""
    pads = [0] * 6
    pads[2 * (4 - axis) : 2 * (4 - axis) + 2] = before, after
    return tuple(pads)


def apply_form(
    network: nn.Module, form: NetworkForm, *, spatial_dims: int, channels: int
) -> nn.Module:
    """Give a network its form, in place.

    Args:
        network: Built with the form's inner channels.
        form: What it is to have.
        spatial_dims: 2 or 3.
        channels: C, channels of the images.

    Returns:
        The network itself.

    Raises:
        ConfigError: The form is for another number of channels, or for volumes alone.
    """
    if form.mean and channels not in (1, len(form.mean)):
        raise ConfigError(
            f"model.weights: input must be of 1 or {len(form.mean)} channels, got {channels}."
        )
    if form.convolution == "acs":
        if spatial_dims != 3:
            raise ConfigError(f"model.adapt_3d: acs must be for volumes, got {spatial_dims}D.")
        _replace(network, _lay_in_planes)
    if form.norm == "folded":
        _replace(network, _fold)
    if form.mean:
        network.entrance = Entrance(form, spatial_dims=spatial_dims)
        network.register_forward_pre_hook(_enter)
    return network


def _enter(network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """Send the images through the entrance first; a hook, so that no module changes its name."""
    images: Tensor = cast(Entrance, network.entrance)(inputs[0])
    return images


def _lay_in_planes(module: nn.Module) -> nn.Module | None:
    """Return what takes the place of a convolution with a cube, else nothing."""
    if not isinstance(module, nn.Conv3d):
        return None
    sides = set(module.kernel_size)
    return AcsConv3d(module) if len(sides) == 1 and sides != {1} else None


def _fold(module: nn.Module) -> nn.Module | None:
    """Return what takes the place of a BatchNorm, else nothing."""
    if isinstance(module, nn.BatchNorm2d):
        return FoldedNorm2d(module.num_features, eps=module.eps)
    if isinstance(module, nn.BatchNorm3d):
        return FoldedNorm3d(module.num_features, eps=module.eps)
    return None


def _replace(network: nn.Module, choose: Chooser) -> None:
    """Put other modules in the place of those that are chosen."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if (other := choose(child)) is not None:
                setattr(module, name, other)
