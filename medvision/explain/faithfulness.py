"""Deletion curves: how fast the logit falls when what a map marks is removed, and by chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from medvision.domain.volume import FloatGrid
from medvision.explain.network import pad_batches

Ranks = NDArray[np.int64]
"""(n_blocks,) int64: at which place each block is deleted, 0 first."""

_SMOOTHING_BLOCKS = 1.0


@dataclass(frozen=True)
class Blocks:
    """The image cut into boxes, which are deleted whole.

    Args:
        labels: (I, J, K) int64, the box of each voxel.
        shape: Number of boxes along i, j, k.
    """

    labels: NDArray[np.int64]
    shape: tuple[int, int, int]


def cut_blocks(shape: tuple[int, int, int], size: tuple[int, int, int]) -> Blocks:
    """Cut a grid into boxes of the given size; the last along an axis may be smaller."""
    along = [np.arange(n) // step for n, step in zip(shape, size, strict=True)]
    counts = tuple(int(index[-1]) + 1 for index in along)
    i, j, k = np.meshgrid(*along, indexing="ij")
    labels = (i * counts[1] + j) * counts[2] + k
    return Blocks(labels.astype(np.int64), (counts[0], counts[1], counts[2]))


def rank_blocks(grid: FloatGrid, blocks: Blocks) -> Ranks:
    """Rank the boxes by falling mean of the map; equal boxes in the order of their number."""
    flat = blocks.labels.ravel()
    means = np.bincount(flat, weights=grid.ravel().astype(np.float64)) / np.bincount(flat)
    return _rank_falling(means)


def draw_ranks(blocks: Blocks, *, n: int, rng: np.random.Generator) -> list[Ranks]:
    """Draw random orders of the boxes, as smooth as maps are.

    A map's largest boxes lie side by side; boxes drawn one by one would be scattered, and the
    holes they leave are a change of texture that says nothing about the map.

    Args:
        blocks: The boxes.
        n: Number of orders.
        rng: Source of randomness.

    Source:
        none: own definition (ranks of Gaussian noise smoothed by one box, on a torus).
    """
    fields = rng.standard_normal((n, *blocks.shape))
    smooth = [gaussian_filter(field, _SMOOTHING_BLOCKS, mode="wrap") for field in fields]
    return [_rank_falling(field.ravel()) for field in smooth]


def _rank_falling(values: NDArray[np.float64]) -> Ranks:
    """Return each value's place in falling order."""
    order = np.argsort(-values, kind="stable")
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.arange(len(values))
    return ranks


def compute_deletion_curves(
    network: nn.Module,
    image: Tensor,
    *,
    target: int,
    blocks: Blocks,
    orders: Sequence[Ranks],
    steps: int,
    baseline: Tensor | float,
    batch_size: int,
) -> NDArray[np.float64]:
    """Delete boxes in several orders and follow the target's logit.

    Args:
        network: Canonical network.
        image: (1, C, I, J[, K]) float32.
        target: Index of the explained class.
        blocks: Boxes of the image's grid.
        orders: Ranks of the boxes, one per curve.
        steps: Points after the first; the last is the image with all boxes deleted.
        baseline: What replaces deleted voxels: an image like `image`, or one intensity.
        batch_size: Images a forward pass.

    Returns:
        Logits (n_orders, steps + 1) float64, at deleted shares 0, 1/steps, ..., 1.

    Source:
        Petsiuk, Das, Saenko 2018, arXiv:1806.07421 (deletion), on boxes and logits.
    """
    n_blocks = int(np.prod(blocks.shape))
    cuts = [round(n_blocks * step / steps) for step in range(steps + 1)]
    jobs = [(order, cut) for order in orders for cut in cuts[1:-1]]
    ends = [(orders[0], cuts[0]), (orders[0], cuts[-1])]
    forward = pad_batches(network, batch_size=batch_size)
    logits = []
    with torch.no_grad():
        for batch in _delete(
            image, jobs + ends, blocks=blocks, baseline=baseline, batch_size=batch_size
        ):
            logits.append(forward(batch)[:, target].double().cpu().numpy())
    values = np.concatenate(logits)
    inner = values[: len(jobs)].reshape(len(orders), steps - 1)
    first, last = (np.full((len(orders), 1), end) for end in values[len(jobs) :])
    return np.hstack([first, inner, last])


def _delete(
    image: Tensor,
    jobs: Sequence[tuple[Ranks, int]],
    *,
    blocks: Blocks,
    baseline: Tensor | float,
    batch_size: int,
) -> Iterator[Tensor]:
    """Yield batches of images without the first boxes of an order."""
    labels = torch.from_numpy(blocks.labels).to(image.device)
    for start in range(0, len(jobs), batch_size):
        part = jobs[start : start + batch_size]
        gone_blocks = torch.from_numpy(np.stack([ranks < cut for ranks, cut in part]))
        gone = gone_blocks.to(image.device)[:, labels].reshape(len(part), 1, *image.shape[2:])
        yield torch.where(gone, baseline, image)


def compute_area(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under each curve (n, points) over the deleted share 0 to 1."""
    area: NDArray[np.float64] = np.trapezoid(curves, dx=1 / (curves.shape[1] - 1), axis=1)
    return area
