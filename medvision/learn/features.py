"""What a network's head is given: the features of images, kept while it predicts them."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@contextmanager
def keep_features(model: nn.Module, head: str, *, n_views: int) -> Iterator[list[Tensor]]:
    """Keep what the head is given of each batch while `predict_views` runs, of the first view.

    Nothing is computed twice, and the logits are those without it.

    Args:
        model: Network.
        head: Dotted name of the module that belongs to the labels.
        n_views: Views of each batch, the image itself first.

    Yields:
        A list that grows by (B, P) for each batch; features on a grid are averaged over it.
    """
    seen: list[Tensor] = []
    n_calls = 0

    def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        nonlocal n_calls
        if n_calls % n_views == 0:
            grid = given[0].flatten(2) if given[0].ndim > 2 else given[0][..., None]
            seen.append(grid.float().mean(dim=2).cpu())
        n_calls += 1

    handle = model.get_submodule(head).register_forward_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def join_features(seen: list[Tensor], n_images: int) -> NDArray[np.float32]:
    """Return the features of batches as one array, without what filled up the last.

    Args:
        seen: What `keep_features` kept, at least one batch.
        n_images: Images that were predicted.

    Returns:
        (n, P) float32, in their order.
    """
    features: NDArray[np.float32] = torch.cat(seen)[:n_images].numpy()
    return features
