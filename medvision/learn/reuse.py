"""Features of a frozen backbone, computed once instead of in every epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from medvision.learn.dataset import Examples, iterate_batches
from medvision.learn.freezing import Freezing, freeze, set_train_mode
from medvision.learn.placement import place_batch
from medvision.learn.predict import fill_up


@dataclass(frozen=True)
class Cut:
    """Where a network falls into what is frozen and what is trained.

    Args:
        name: Dotted name of the trained module, which the network ends with.
        head: That module.
    """

    name: str
    head: nn.Module

    def complete(self, tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        """Return the whole network's state dict, on the CPU, with the head's given tensors."""
        whole = {name: t.detach().cpu().clone() for name, t in model.state_dict().items()}
        return whole | {f"{self.name}.{name}": tensor for name, tensor in tensors.items()}


def find_cut(model: nn.Module, freezing: Freezing) -> Cut | None:
    """Find the one module that is trained, where all before it is frozen and nothing is random.

    Args:
        model: Network.
        freezing: Which blocks are frozen.

    Returns:
        The cut; None where more than one module is trained, where it is not so from first to last
        epoch, or where dropout lies outside what is frozen.
    """
    if freezing.policy != "linear":
        return None
    frozen = [model.get_submodule(name) for name in freezing.list_frozen(0)]
    held = {id(parameter) for module in frozen for parameter in module.parameters()}
    inside = {id(module) for part in frozen for module in part.modules()}
    trained = [
        name
        for name, module in model.named_modules()
        if any(id(p) not in held for p in module.parameters(recurse=False))
    ]
    is_random = any(
        isinstance(m, _DropoutNd) and m.p > 0 and id(m) not in inside for m in model.modules()
    )
    if len(trained) != 1 or is_random:
        return None
    return Cut(trained[0], model.get_submodule(trained[0]))


@torch.no_grad()
def compute_features(
    model: nn.Module,
    examples: Examples,
    *,
    cut: Cut,
    freezing: Freezing,
    batch_size: int,
    device: torch.device,
    amp_dtype: torch.dtype | None,
) -> Examples | None:
    """Compute what the trained module is given, for each image.

    In the modes, the precision and the batch size of training; a last batch is filled up, since
    kernels are chosen by a batch's shape.

    Args:
        model: Network on `device`; in evaluation mode where it is frozen.
        examples: Images.
        cut: What `find_cut` returned.
        freezing: Which blocks are frozen.
        batch_size: Images of a pass.
        device: Where the network is.
        amp_dtype: Type of mixed precision, or None.

    Returns:
        The same examples with arrays (n, ...) float32 in memory; None where the network does more
        after the trained module than to return what it returned.
    """
    set_train_mode(model, freeze(model, freezing, epoch=0))
    order = fill_up(np.arange(len(examples)), batch_size)
    found: list[NDArray[np.float32]] = []
    with _watching(cut.head) as seen:
        for batch in iterate_batches(examples, order, batch_size=batch_size):
            seen.clear()
            with torch.autocast(device.type, dtype=amp_dtype, enabled=amp_dtype is not None):
                logits = model(place_batch(batch.images, device))
            if len(seen) != 1 or seen[0][1] is not logits:
                return None
            found.append(seen[0][0].float().cpu().numpy())
    features = np.concatenate(found)[: len(examples)]
    return Examples(features, np.arange(len(examples)), examples.labels, examples.subjects)


@contextmanager
def _watching(module: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Yield a list that each call of a module adds its input and output to."""
    seen: list[tuple[Tensor, Tensor]] = []

    def note(_: nn.Module, given: tuple[Tensor, ...], returned: Tensor) -> None:
        seen.append((given[0], returned))

    handle = module.register_forward_hook(note)
    try:
        yield seen
    finally:
        handle.remove()
