"""Networks that are a chain of modules, cut where what is frozen ends."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from medvision.learn.dataset import Examples, iterate_batches
from medvision.learn.freezing import Freezing, freeze, set_train_mode
from medvision.learn.placement import place_batch
from medvision.learn.predict import fill_up

LARGEST_BYTES = 2**30
"""Features that are held in memory instead of being computed anew, of one split."""


class Tail(nn.Module):
    """What comes after the frozen modules of a chain; its tensors are those of the whole network.

    Args:
        model: The whole network.
        names: Dotted names of the modules that features pass through, in order.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(names)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (B, classes) of the frozen modules' output."""
        return run_chain(self.model, self.names, features)


def run_chain(model: nn.Module, names: Sequence[str], batch: Tensor) -> Tensor:
    """Pass a batch through modules, one after the other.

    Args:
        model: Network that holds them.
        names: Their dotted names.
        batch: (B, ...).
    """
    for name in names:
        batch = model.get_submodule(name)(batch)
    return batch


def list_chain(model: nn.Module) -> tuple[str, ...]:
    """Return the dotted names of a network's parts in order, sequences taken apart.

    Whether the network is no more than their chain is for `cut_chain` to try.

    Args:
        model: Network.
    """
    names: list[str] = []
    for name, child in model.named_children():
        if isinstance(child, nn.Sequential):
            names += [f"{name}.{inner}" for inner, _ in child.named_children()]
        else:
            names.append(name)
    return tuple(names)


def find_chain_cut(model: nn.Module, freezing: Freezing) -> int:
    """Return how many parts of the chain come before the first that is trained; 0 for none.

    Parts without parameters that follow the frozen ones, such as pooling, count as frozen.

    Args:
        model: Network.
        freezing: Which blocks are frozen; of policies only partial freezes a prefix for all epochs.
    """
    if freezing.policy != "partial":
        return 0
    held = {
        id(parameter)
        for name in freezing.list_frozen(0)
        for parameter in model.get_submodule(name).parameters()
    }
    parts = [model.get_submodule(name) for name in list_chain(model)]
    for index, part in enumerate(parts):
        if any(id(parameter) not in held for parameter in part.parameters()):
            spared = [p for before in parts[:index] for p in before.parameters()]
            return index if spared else 0
    return 0


@torch.no_grad()
def compute_chain_features(
    model: nn.Module,
    examples: Examples,
    *,
    n_parts: int,
    freezing: Freezing,
    batch_size: int,
    device: torch.device,
) -> Examples | None:
    """Compute what the trained parts are given, for each image, in training's own batches.

    Args:
        model: Network on `device`.
        examples: Images.
        n_parts: What `find_chain_cut` returned.
        freezing: Which blocks are frozen.
        batch_size: Images of a pass; a last one is filled up.
        device: Where the network is.

    Returns:
        The same examples with arrays (n, ...) float32 in memory; None where they would be too
        large, or where the network is not the chain of its parts.
    """
    set_train_mode(model, freeze(model, freezing, epoch=0))
    names = list_chain(model)
    found: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
    order = fill_up(np.arange(len(examples)), batch_size)
    for batch in iterate_batches(examples, order, batch_size=batch_size):
        images = place_batch(batch.images, device)
        if not found and not _is_chain(model, names, images[:2]):
            return None
        features = run_chain(model, names[:n_parts], images).cpu()
        if features[0].numel() * features.element_size() * len(examples) > LARGEST_BYTES:
            return None
        found.append(features.numpy())
    rows = np.arange(len(examples))
    arrays = np.concatenate(found)[: len(examples)]
    return Examples(arrays, rows, examples.labels, examples.subjects)


def _is_chain(model: nn.Module, names: Sequence[str], images: Tensor) -> bool:
    """Tell whether a network does no more than its parts one after the other, to the bit."""
    modes = {name: module.training for name, module in model.named_modules()}
    model.eval()
    try:
        return torch.equal(model(images), run_chain(model, names, images))
    except RuntimeError:
        # Parts that do not fit each other: the network does something between them.
        return False
    finally:
        for name, module in model.named_modules():
            module.training = modes[name]
