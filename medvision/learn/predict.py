"""Logits of images, the same whichever images are asked for together."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medvision.learn.dataset import Examples, iterate_batches
from medvision.learn.placement import choose_layout, place_batch, place_network
from medvision.runtime.team import Team

BATCH_SIZE = 8
"""Images of every forward pass. Kernels are chosen by the batch's shape, and another kernel sums
in another order; a last batch is therefore filled up with copies instead of being shorter."""

View = Callable[[Tensor], Tensor]
"""A batch (B, C, I, J[, K]) to the same batch seen otherwise, of the same shape."""


def predict_logits(
    model: nn.Module, examples: Examples, *, device: torch.device
) -> NDArray[np.float32]:
    """Predict in evaluation mode, in float32.

    The memory layout is that of training, so that a network's validation images have the same
    logits then and afterwards.

    Args:
        model: Network; moved to `device` and left in evaluation mode.
        examples: Images to predict.
        device: Where to compute.

    Returns:
        Logits (n, classes), in the order of `examples`; each row depends on its image alone.
    """
    logits: NDArray[np.float32] = predict_views(
        model, examples, device=device, views=[lambda batch: batch]
    )[0]
    return logits


@torch.no_grad()
def predict_views(
    model: nn.Module, examples: Examples, *, device: torch.device, views: Sequence[View]
) -> NDArray[np.float32]:
    """Predict several views of each image, as `predict_logits` does one.

    Args:
        model: Network; moved to `device` and left in evaluation mode.
        examples: Images to predict.
        device: Where to compute.
        views: What is predicted of each batch; each image is read once for all of them.

    Returns:
        Logits (views, n, classes) for `domain.pooling.pool_logits` to make one of.
    """
    place_network(model, device, n_axes=len(examples.arrays.shape)).eval()
    order = np.arange(len(examples))
    batches = fill_up(order, BATCH_SIZE)
    outputs = [
        torch.stack([model(_lay(view(images))).float().cpu() for view in views])
        for images in (
            place_batch(batch.images, device)
            for batch in iterate_batches(examples, batches, batch_size=BATCH_SIZE)
        )
    ]
    return torch.cat(outputs, dim=1)[:, : len(order)].numpy()


def _lay(images: Tensor) -> Tensor:
    """Return a view in the memory layout of its axes, which a flip or a shift does not keep."""
    return images.contiguous(memory_format=choose_layout(images.ndim))


def predict_in_shares(
    model: nn.Module, examples: Examples, *, device: torch.device, team: Team
) -> NDArray[np.float32]:
    """Predict as `predict_logits`, the images divided among processes; the bits are the same.

    Args:
        model: Network, equal in all processes.
        examples: Images to predict, at least one.
        device: Where to compute.
        team: The processes.

    Returns:
        Logits (n, classes) of all images, to each process.

    Raises:
        TrainingError: Another process has ended.
    """
    own = team.divide(len(examples))
    part = Examples(
        examples.arrays,
        examples.rows[own.start : own.stop],
        examples.labels[own.start : own.stop],
        examples.subjects[own.start : own.stop],
    )
    found = predict_logits(model, part, device=device) if len(part) else None
    return np.concatenate([logits for logits in team.gather(found) if logits is not None])


def fill_up(order: NDArray[np.int64], batch_size: int) -> NDArray[np.int64]:
    """Repeat the last of some positions (n,) until the batches are full."""
    missing = -len(order) % batch_size
    return np.concatenate([order, np.repeat(order[-1:], missing)])


def compute_probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the softmax of logits (n, classes), in float64; rows sum to one."""
    scores: Tensor = torch.from_numpy(logits).double().softmax(1)
    return scores.numpy()
