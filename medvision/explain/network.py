"""The network as it is explained: a canonical copy, its certificate, and its logits."""

import copy
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medvision.errors import ExplanationError

Forward = Callable[[Tensor], Tensor]
"""Batch (B, C, I, J[, K]) float32 to logits (B, n_classes)."""


@dataclass(frozen=True)
class Canonical:
    """A copy of a network that attribution methods may be applied to.

    Args:
        network: The copy: eval mode, float32, frozen, no activation works in place.
        rewritten: Dotted names of the modules that worked in place.
        state_hash: sha256 of the parameters and buffers.
    """

    network: nn.Module
    rewritten: tuple[str, ...]
    state_hash: str


def canonicalise(network: nn.Module, *, device: torch.device) -> Canonical:
    """Copy a network and rewrite what attribution methods cannot bear.

    An activation that works in place changes the output of the layer before it, which is what
    LayerGradCam looks at. The original is not changed.

    Args:
        network: Any module that maps a batch to logits.
        device: Where the copy works.

    Returns:
        The copy with the names of what was rewritten.
    """
    twin = copy.deepcopy(network).float().eval().to(device).requires_grad_(requires_grad=False)
    rewritten = []
    for name, module in twin.named_modules():
        if getattr(module, "inplace", None) is True:
            module.inplace = False
            rewritten.append(name)
    return Canonical(twin, tuple(rewritten), hash_state(twin))


def compute_certificate(network: nn.Module, twin: nn.Module, *, batch: Tensor) -> float:
    """Return the largest absolute difference of logits between a network and its copy.

    Args:
        network: The original; it is copied, so that its mode is not changed.
        twin: Its canonical copy.
        batch: Images (B, C, ...) to compare on.
    """
    original = copy.deepcopy(network).float().eval().to(batch.device)
    with torch.no_grad():
        return float((original(batch) - twin(batch)).abs().max())


def hash_state(network: nn.Module) -> str:
    """Return the sha256 over names, types, shapes and bytes of the parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def find_layer(network: nn.Module, name: str) -> nn.Module:
    """Return the module of a dotted name.

    Raises:
        ExplanationError: The network has no such module.
    """
    try:
        return network.get_submodule(name)
    except AttributeError as error:
        raise ExplanationError(
            f"layer_gradcam: layer must be a module of the network, got {name}."
        ) from error


def pad_batches(network: nn.Module, *, batch_size: int) -> Forward:
    """Make a forward pass that only ever shows the network whole batches.

    Convolution kernels are chosen by the size of the batch and differ in their last digits; at
    one fixed size a result does not depend on how many others are computed with it.

    Args:
        network: Module that maps (B, C, ...) to logits (B, n_classes).
        batch_size: B at every call; the last batch is filled with copies of its last row.

    Returns:
        A function of any number of rows, differentiable as the network is.
    """

    def forward(rows: Tensor) -> Tensor:
        outputs = []
        for part in torch.split(rows, batch_size):
            missing = batch_size - len(part)
            filler = part[-1:].detach().expand(missing, *part.shape[1:])
            outputs.append(network(torch.cat([part, filler]))[: len(part)])
        return torch.cat(outputs)

    return forward


@contextmanager
def reference_precision() -> Iterator[None]:
    """Compute in full float32 with deterministic convolutions, and restore what was set before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
