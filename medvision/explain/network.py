"""The network as it is explained: a canonical copy, its certificate, and its logits."""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medvision.errors import ExplanationError
from medvision.explain.rewrite import Rewrite, rewrite, rewrite_places
from medvision.explain.witness import Hidden, find_hidden

Forward = Callable[[Tensor], Tensor]
"""Batch (B, C, I, J[, K]) float32 to logits (B, n_classes)."""

Change = Callable[[nn.Module], tuple[list[Rewrite], dict[str, str]]]
"""Changes a network in place; returns the changes, and what could not be followed."""


CERTIFICATE_LIMIT = 1e-4
"""Largest difference of a copy's logits from the original's; above it, no rewrite and no map."""


@dataclass(frozen=True)
class Canonical:
    """A copy of a network that attribution methods may be applied to.

    Args:
        network: The copy: eval mode, float32, frozen; each activation a module of its own, out of
            place, as far as the network's code can be followed.
        rewrites: What was changed.
        untraced: Dotted name of each module whose code cannot be followed, to the reason.
        state_hash: sha256 of the parameters and buffers.
    """

    network: nn.Module
    rewrites: tuple[Rewrite, ...]
    untraced: Mapping[str, str]
    state_hash: str


@dataclass(frozen=True)
class Proof:
    """What was seen of a canonical copy at work.

    Args:
        certificate: Largest absolute difference of its logits from the original's; 0 expected.
        hidden: Activations that are still no module of their own, each with the reason.
    """

    certificate: float
    hidden: tuple[tuple[Hidden, str], ...]

    def explain_hidden(self) -> str | None:
        """Return in words what is hidden, or None where nothing is."""
        if not self.hidden:
            return None
        (first, reason), more = self.hidden[0], len(self.hidden) - 1
        others = f" and {more} more" if more else ""
        return f"{first.module or 'the network'}: {first.call}{others} ({reason})"


def canonicalise(
    network: nn.Module, *, device: torch.device, change: Change = rewrite
) -> Canonical:
    """Copy a network and rewrite what attribution methods cannot bear.

    Several methods hook on the modules of activations: they miss a function, and mistake the
    second call of a module for the first. An activation that works in place changes the output of
    the layer before it, which is what LayerGradCam looks at. The original is not changed.

    Args:
        network: Any module that maps a batch to logits.
        device: Where the copy works.
        change: What is done to the copy; less than the whole rewrite where that is taken back.

    Returns:
        The copy with the changes, frozen, in eval mode and float32.
    """
    twin = copy.deepcopy(network).float().eval().to(device)
    twin.requires_grad_(requires_grad=False)
    changes, untraced = change(twin)
    return Canonical(twin, tuple(changes), untraced, hash_state(twin))


def prove_canonical(
    network: nn.Module, *, device: torch.device, batch: Tensor
) -> tuple[Canonical, Proof]:
    """Make the canonical copy and hold it against the original on images.

    A rewrite that changes the logits is taken back, first all but what works in place, then that
    too; every activation that methods would then miss is named.

    Args:
        network: The original.
        device: Where the copy works.
        batch: Images (B, C, ...) on that device.

    Returns:
        (canonical, proof): the copy, and what was seen of it.

    Raises:
        ExplanationError: Even an unchanged copy has other logits.
    """
    reason = "no module stands for it"
    for change in (rewrite, rewrite_places, _change_nothing):
        canonical = canonicalise(network, device=device, change=change)
        certificate, fault = _try_certificate(network, canonical.network, batch=batch)
        if fault is None:
            break
        reason = f"the rewrite {fault} and was taken back"
    check_certificate(certificate)
    hidden = find_hidden(canonical.network, batch)
    reasons = [canonical.untraced.get(found.module, reason) for found in hidden]
    return canonical, Proof(certificate, tuple(zip(hidden, reasons, strict=True)))


def _try_certificate(
    network: nn.Module, twin: nn.Module, *, batch: Tensor
) -> tuple[float, str | None]:
    """Return the certificate of a copy, and what speaks against it."""
    try:
        certificate = compute_certificate(network, twin, batch=batch)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
        return float("inf"), f"failed with {type(error).__name__}"
    if not certificate <= CERTIFICATE_LIMIT:
        return certificate, f"changed a logit by {certificate:.3g}"
    return certificate, None


def check_certificate(certificate: float) -> None:
    """Refuse a copy that is not the network: a map of it would explain something else.

    Args:
        certificate: Largest absolute difference of logits; NaN counts as too large.

    Raises:
        ExplanationError: It is above `CERTIFICATE_LIMIT`.
    """
    if not certificate <= CERTIFICATE_LIMIT:
        raise ExplanationError(
            f"explain: logits of the copy that is explained must be within {CERTIFICATE_LIMIT:g} "
            f"of the network's on every image, got a difference of {certificate:.3g}.",
            "the network answers the same image differently (a random layer that stays on), or "
            "changes in place what it still needs: change its code, or leave it unexplained.",
        )


def _change_nothing(_: nn.Module) -> tuple[list[Rewrite], dict[str, str]]:
    """Leave a network as it is."""
    return [], {}


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
