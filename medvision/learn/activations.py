"""What each block of a network makes of images, at some places of its grid."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from medvision.learn.dataset import Examples, iterate_batches
from medvision.learn.predict import BATCH_SIZE, fill_up

_PLACES = {2: 4, 3: 3}
"""Places along each axis by the number of axes: 16 of an image, 27 of a volume."""


@torch.no_grad()
def compute_activations(
    model: nn.Module,
    examples: Examples,
    *,
    blocks: Sequence[Sequence[str]],
    device: torch.device,
) -> list[NDArray[np.float32]]:
    """Return the output of each block's last module, at evenly spaced places of its grid.

    In evaluation mode and float32. All places would be a gigabyte for volumes; these are a sample.
    Means over the grid would not do: of a convolution they say little but the image's own mean, so
    that any two first layers would look alike.

    Args:
        model: Network on `device`; left in evaluation mode.
        examples: Images (B, C, I, J[, K]).
        blocks: Dotted module names by block, from the input on.
        device: Where the network is.

    Returns:
        For each block (N, channels × places), images in the order of `examples`.
    """
    model.eval()
    order = np.arange(len(examples))
    seen: list[list[Tensor]] = [[] for _ in blocks]
    with _watching(model, blocks, seen=seen):
        filled = fill_up(order, BATCH_SIZE)
        for batch in iterate_batches(examples, filled, batch_size=BATCH_SIZE):
            model(batch.images.to(device))
    return [torch.cat(each)[: len(order)].numpy() for each in seen]


def _sample(output: Tensor) -> Tensor:
    """Return (B, channels × places) of a block's output (B, C, I, J[, K])."""
    n_places = _PLACES[output.ndim - 2]
    size = [min(side, n_places) for side in output.shape[2:]]
    places = functional.interpolate(output.float(), size=size, mode="nearest-exact")
    # A copy: an activation in place would change the output after it was seen.
    return places.flatten(1).cpu().clone()


@contextmanager
def _watching(
    model: nn.Module, blocks: Sequence[Sequence[str]], *, seen: list[list[Tensor]]
) -> Iterator[None]:
    """Have each block add its sampled output to its list."""
    handles = []
    for block, held in zip(blocks, seen, strict=True):

        def note(_: nn.Module, __: object, output: Tensor, held: list[Tensor] = held) -> None:
            held.append(_sample(output))

        handles.append(model.get_submodule(block[-1]).register_forward_hook(note))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
