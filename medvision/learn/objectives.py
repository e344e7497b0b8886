"""What a network can learn from images without labels: telling views apart, filling gaps."""

from collections.abc import Sequence
from typing import Literal, cast

import torch
from monai.losses.contrastive import ContrastiveLoss
from torch import Tensor, nn
from torch.nn import functional

from medvision.learn.backbones import get_backbone
from medvision.learn.dataset import Transform
from medvision.learn.decoder import Decoder, find_grid

SelfTask = Literal["contrastive", "masked"]

_N_PROJECTED = 128
"""Length of the projections that are compared, as published."""


class Contrastive(nn.Module):
    """NT-Xent between two random views of each image of a batch.

    Args:
        network: A backbone whose head was taken off: (B, C, ...) to features (B, width).
        width: Length of the features.
        view: Makes one random view of a batch.
        temperature: What similarities are divided by, above 0.

    Source:
        Chen 2020 (SimCLR), arXiv:2002.05709; the loss is MONAI's ContrastiveLoss.
    """

    def __init__(
        self, network: nn.Module, *, width: int, view: Transform, temperature: float
    ) -> None:
        super().__init__()
        self.network = network
        self.projection = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, _N_PROJECTED)
        )
        self._view = view
        self._loss = ContrastiveLoss(temperature)

    def forward(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch (B, C, I, J[, K]), B at least 2; in nats."""
        views = torch.cat([self._view(images, generator), self._view(images, generator)])
        first, second = self.projection(self.network(views)).float().chunk(2)
        loss: Tensor = self._loss(first, second)
        return loss


class Masked(nn.Module):
    """Mean squared error of what a light decoder fills into the blocks that were hidden.

    Hidden voxels hold their channel's mean, so that BatchNorm meets the level it will see later.

    Args:
        network: A backbone whose head was taken off.
        layer: Dotted name of the module whose output still has a grid.
        decoder: Maps that output to images (B, C, I, J[, K]).
        mask_share: Share of the blocks that is hidden, in (0, 1).
        mask_block: Voxels of a block along each spatial axis.

    Source:
        He 2022 (MAE), doi:10.1109/CVPR52688.2022.01553, and Xie 2022 (SimMIM),
        doi:10.1109/CVPR52688.2022.00943, on a convolutional network; the loss counts hidden
        voxels alone.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        layer: str,
        decoder: nn.Module,
        mask_share: float,
        mask_block: Sequence[int],
    ) -> None:
        super().__init__()
        self.network, self.decoder = network, decoder
        self._share, self._block = mask_share, tuple(mask_block)
        self._grid: list[Tensor] = []
        self.network.get_submodule(layer).register_forward_hook(self._keep_grid)

    def forward(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch (B, C, I, J[, K])."""
        hidden = draw_mask(
            generator, images.shape, mask_share=self._share, mask_block=self._block
        ).to(images.device)
        means = images.mean(dim=tuple(range(2, images.ndim)), keepdim=True)
        self.network(torch.where(hidden, means, images))
        filled = self.decoder(self._grid.pop()).float()
        return compute_masked_error(filled, images, hidden=hidden)

    def _keep_grid(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        """Remember the last grid of a forward pass."""
        self._grid = [output]


def draw_mask(
    generator: torch.Generator,
    shape: Sequence[int],
    *,
    mask_share: float,
    mask_block: Sequence[int],
) -> Tensor:
    """Draw which blocks of each image are hidden: the same number in every image.

    Args:
        generator: CPU generator; advanced.
        shape: (B, C, I, J[, K]).
        mask_share: Share of the blocks; at least one is hidden and one is left.
        mask_block: Voxels of a block along each axis; blocks at the far ends are cut. Images
            with fewer axes use the first ones.

    Returns:
        (B, 1, I, J[, K]) bool, True where hidden.
    """
    n_images, size = shape[0], tuple(shape[2:])
    block = tuple(mask_block)[: len(size)]
    cells = [-(-length // side) for length, side in zip(size, block, strict=True)]
    n_cells = torch.Size(cells).numel()
    n_hidden = min(max(1, round(mask_share * n_cells)), max(n_cells - 1, 1))
    order = torch.rand((n_images, n_cells), generator=generator).argsort(dim=1)
    mask = (order < n_hidden).reshape(n_images, 1, *cells)
    for axis, (length, side) in enumerate(zip(size, block, strict=True), start=2):
        mask = mask.repeat_interleave(side, dim=axis).narrow(axis, 0, length)
    return mask


def compute_masked_error(filled: Tensor, images: Tensor, *, hidden: Tensor) -> Tensor:
    """Return the mean squared error over the hidden voxels of all channels.

    Args:
        filled: What the decoder made, (B, C, I, J[, K]).
        images: What was there, the same shape.
        hidden: (B, 1, I, J[, K]) bool; at least one is True.
    """
    wrong = functional.mse_loss(filled, images, reduction="none") * hidden
    return wrong.sum() / (hidden.sum() * images.shape[1])


def build_objective(
    task: SelfTask,
    network: nn.Module,
    *,
    backbone: str,
    shape: Sequence[int],
    view: Transform,
    temperature: float,
    mask_share: float,
    mask_block: Sequence[int],
) -> Contrastive | Masked:
    """Take a network's head off and give it a task that needs no labels.

    Args:
        task: contrastive or masked.
        network: A backbone of `build_backbone`; changed.
        backbone: Its name.
        shape: One image's array (C, I, J[, K]).
        view: Makes one random view of a batch; contrastive alone uses it.
        temperature: Of contrastive.
        mask_share: Of masked.
        mask_block: Of masked.

    Returns:
        A module: (images, generator) to loss; the bare network is its `network`.

    Raises:
        ConfigError: The backbone is unknown.
    """
    width = _take_off_head(network, get_backbone(backbone).head)
    if task == "contrastive":
        return Contrastive(network, width=width, view=view, temperature=temperature)
    layer = get_backbone(backbone).gradcam_layer
    n_features, *grid = find_grid(network, layer, shape=shape)
    decoder = Decoder(n_features, grid=grid, shape=shape)
    return Masked(
        network, layer=layer, decoder=decoder, mask_share=mask_share, mask_block=mask_block
    )


def _take_off_head(network: nn.Module, head: Sequence[str]) -> int:
    """Put nothing in the head's place, and return the length of what it was given."""
    (name,) = head
    width = cast(Tensor, network.get_submodule(name).weight).shape[1]
    above, _, last = name.rpartition(".")
    setattr(network.get_submodule(above), last, nn.Identity())
    return width
