"""The two networks: one draws an image of a class, the other tells drawn from real."""

from collections.abc import Sequence

import torch
from monai.networks.layers.factories import Conv
from torch import Tensor, nn
from torch.nn import functional

from medvision.synthesis.grids import Grids
from medvision.synthesis.resize import double, halve

_MOST_DOUBLINGS = 3
_SLOPE = 0.2
_N_GROUPS = 8
_EPSILON = 1e-8
_HALF = 0.5**0.5
"""Keeps the variance of a sum of two branches at that of one."""


def list_widths(grids: Grids, width: int) -> list[int]:
    """Return the channels on each grid: doubled with every halving, at most eightfold.

    Args:
        grids: Finest first.
        width: Channels on the finest.
    """
    return [width * 2 ** min(level, _MOST_DOUBLINGS) for level in range(len(grids.sizes))]


def set_weights(network: nn.Module) -> None:
    """Draw the weights of all convolutions and linear layers so that signals keep their size.

    With torch's own, smaller weights the discriminator's logits vanish with its depth, and it never
    begins to learn against the penalty on its gradients.

    Args:
        network: Changed in place, from torch's own random generator.

    Source:
        He 2015, arXiv:1502.01852.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=_SLOPE, nonlinearity="leaky_relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """From a normal vector and a class to an image.

    A vector is made of both, and scales and shifts every normalised layer; the image grows from
    the coarsest grid by doubling. Every image is drawn for itself: no layer looks at its batch.

    Source:
        Residual blocks and class-conditional normalisation of Miyato and Koyama 2018,
        arXiv:1802.05637; groups instead of the batch after Wu and He 2018, arXiv:1803.08494.
    """

    def __init__(
        self, grids: Grids, *, channels: int, n_classes: int, latent: int, width: int
    ) -> None:
        """Build it with random weights from torch's own generator.

        Args:
            grids: Of the image, finest first.
            channels: C of the image.
            n_classes: Classes that it draws.
            latent: Length of the normal vector.
            width: Channels on the finest grid, a multiple of 8.
        """
        super().__init__()
        widths = list_widths(grids, width)
        self.coarsest = (widths[-1], *grids.sizes[-1])
        self.embedding = nn.Embedding(n_classes, latent)
        self.style = nn.Sequential(
            nn.Linear(2 * latent, latent), nn.SiLU(), nn.Linear(latent, latent), nn.SiLU()
        )
        self.start = nn.Linear(latent, widths[-1] * grids.n_coarsest)
        self.blocks = nn.ModuleList(
            _UpBlock(
                (widths[level + 1], widths[level]),
                axes=grids.list_halved(level),
                size=grids.sizes[level],
                latent=latent,
            )
            for level in reversed(range(len(grids.sizes) - 1))
        )
        self.last = nn.Sequential(
            nn.GroupNorm(_N_GROUPS, width),
            nn.SiLU(),
            Conv[Conv.CONV, grids.n_axes](width, channels, kernel_size=3, padding=1),
        )
        set_weights(self)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return images (B, C, I, J[, K]) in standard deviations.

        Args:
            latents: (B, latent), standard normal.
            labels: Class of each, (B,) int64.
        """
        length = latents.square().mean(dim=1, keepdim=True).add(_EPSILON).sqrt()
        own = torch.cat([latents / length, self.embedding(labels)], dim=1)
        style = self.style(own)
        images: Tensor = self.start(style).unflatten(1, self.coarsest)
        for block in self.blocks:
            images = block(images, style)
        drawn: Tensor = self.last(images)
        return drawn


class Discriminator(nn.Module):
    """From an image and the class that it is said to be of to a logit: above 0 is real.

    Source:
        The class enters by projection: Miyato and Koyama 2018, arXiv:1802.05637. The spread
        within the batch is shown to the last layers, so that drawing one image again and again
        is told: Karras 2018, arXiv:1710.10196.
    """

    def __init__(self, grids: Grids, *, channels: int, n_classes: int, width: int) -> None:
        """Build it with random weights from torch's own generator.

        Args:
            grids: Of the image, finest first.
            channels: C of the image.
            n_classes: Classes.
            width: Channels on the finest grid.
        """
        super().__init__()
        widths = list_widths(grids, width)
        deepest = widths[-1]
        self.first = Conv[Conv.CONV, grids.n_axes](channels, width, kernel_size=1)
        self.blocks = nn.ModuleList(
            _DownBlock(
                (widths[level], widths[level + 1]),
                axes=grids.list_halved(level),
                n_axes=grids.n_axes,
            )
            for level in range(len(grids.sizes) - 1)
        )
        self.mixed = Conv[Conv.CONV, grids.n_axes](deepest + 1, deepest, kernel_size=3, padding=1)
        self.feature = nn.Linear(deepest * grids.n_coarsest, deepest)
        self.logit = nn.Linear(deepest, 1)
        self.embedding = nn.Embedding(n_classes, deepest)
        set_weights(self)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return a logit for each image, (B,).

        Args:
            images: (B, C, I, J[, K]) in standard deviations.
            labels: Class of each, (B,) int64.
        """
        seen = self.first(images)
        for block in self.blocks:
            seen = block(seen)
        seen = functional.leaky_relu(self.mixed(show_spread(seen)), _SLOPE)
        feature = functional.leaky_relu(self.feature(seen.flatten(1)), _SLOPE)
        agreement = (self.embedding(labels) * feature).sum(dim=1) / feature.shape[1] ** 0.5
        logits: Tensor = self.logit(feature)[:, 0] + agreement
        return logits


def show_spread(seen: Tensor) -> Tensor:
    """Add a channel that holds the mean standard deviation over the batch.

    Args:
        seen: (B, C, I, J[, K]).

    Returns:
        (B, C + 1, I, J[, K]).

    Source:
        Karras 2018, arXiv:1710.10196, section 3.
    """
    spread = (seen.var(dim=0, correction=0) + _EPSILON).sqrt().mean()
    return torch.cat([seen, spread.expand(len(seen), 1, *seen.shape[2:])], dim=1)


class _Modulated(nn.Module):
    """A normalisation that a vector scales and shifts, per channel."""

    def __init__(self, channels: int, *, latent: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_N_GROUPS, channels, affine=False)
        self.style = nn.Linear(latent, 2 * channels)

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.style(style).chunk(2, dim=1)
        once = (*scale.shape, *[1] * (images.ndim - 2))
        changed: Tensor = self.norm(images) * (1 + scale.reshape(once)) + shift.reshape(once)
        return changed


class _UpBlock(nn.Module):
    """Two convolutions beside a plain branch, from a grid to the finer one."""

    def __init__(
        self, widths: tuple[int, int], *, axes: Sequence[int], size: Sequence[int], latent: int
    ) -> None:
        super().__init__()
        coarse, fine = widths
        self.axes, self.size = tuple(axes), tuple(size)
        convolution = Conv[Conv.CONV, len(size)]
        self.norm_1 = _Modulated(coarse, latent=latent)
        self.conv_1 = convolution(coarse, fine, kernel_size=3, padding=1)
        self.norm_2 = _Modulated(fine, latent=latent)
        self.conv_2 = convolution(fine, fine, kernel_size=3, padding=1)
        self.plain = convolution(coarse, fine, kernel_size=1)

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        grown = functional.silu(self.norm_1(images, style))
        grown = self.conv_1(double(grown, self.axes, size=self.size))
        grown = self.conv_2(functional.silu(self.norm_2(grown, style)))
        summed: Tensor = double(self.plain(images), self.axes, size=self.size) + grown
        return summed * _HALF


class _DownBlock(nn.Module):
    """Two convolutions beside a plain branch, from a grid to the coarser one."""

    def __init__(self, widths: tuple[int, int], *, axes: Sequence[int], n_axes: int) -> None:
        super().__init__()
        fine, coarse = widths
        self.axes = tuple(axes)
        convolution = Conv[Conv.CONV, n_axes]
        self.conv_1 = convolution(fine, fine, kernel_size=3, padding=1)
        self.conv_2 = convolution(fine, coarse, kernel_size=3, padding=1)
        self.plain = convolution(fine, coarse, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        seen = self.conv_1(functional.leaky_relu(images, _SLOPE))
        seen = halve(self.conv_2(functional.leaky_relu(seen, _SLOPE)), self.axes)
        summed: Tensor = self.plain(halve(images, self.axes)) + seen
        return summed * _HALF
