"""What each block of a network makes of images, pooled over the grid."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medvision.learn.dataset import Examples, iterate_batches
from medvision.learn.predict import BATCH_SIZE, fill_up


@torch.no_grad()
def compute_activations(
    model: nn.Module,
    examples: Examples,
    *,
    blocks: Sequence[Sequence[str]],
    device: torch.device,
) -> list[NDArray[np.float64]]:
    """Return the output of each block's last module, as the mean of each channel over the grid.

    In evaluation mode and float32. Pooled, a representation says what is in an image and not where,
    and two networks with grids of other sizes can be compared.

    Args:
        model: Network on `device`; left in evaluation mode.
        examples: Images (B, C, I, J[, K]).
        blocks: Dotted module names by block, from the input on.
        device: Where the network is.

    Returns:
        For each block (N, channels), images in the order of `examples`.
    """
    model.eval()
    order = np.arange(len(examples))
    seen: list[list[Tensor]] = [[] for _ in blocks]
    with _watching(model, blocks, seen=seen):
        filled = fill_up(order, BATCH_SIZE)
        for batch in iterate_batches(examples, filled, batch_size=BATCH_SIZE):
            model(batch.images.to(device))
    return [torch.cat(each)[: len(order)].double().numpy() for each in seen]


@contextmanager
def _watching(
    model: nn.Module, blocks: Sequence[Sequence[str]], *, seen: list[list[Tensor]]
) -> Iterator[None]:
    """Have each block add its pooled output to its list."""
    handles = []
    for block, held in zip(blocks, seen, strict=True):

        def note(_: nn.Module, __: object, output: Tensor, held: list[Tensor] = held) -> None:
            # Pooled at once: an activation in place would change the output after it was seen.
            held.append(output.float().flatten(2).mean(2).cpu())

        handles.append(model.get_submodule(block[-1]).register_forward_hook(note))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
