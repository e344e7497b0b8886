"""The forward pass compiled by torch, and as it is where that fails."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from medvision.learn.placement import place_batch

Forward = Callable[[Tensor], Tensor]
"""Images (B, C, I, J[, K]) -> logits (B, classes)."""

Compiler = Callable[[nn.Module], Forward]

_FAULTS = (RuntimeError, ImportError, OSError)
"""What torch's compiler raises: its own errors are the first, a missing C++ compiler the last."""

_log = logging.getLogger(__name__)


def compile_forward(
    model: nn.Module,
    *,
    shape: Sequence[int],
    device: torch.device,
    compiler: Compiler = torch.compile,
) -> Forward:
    """Compile a network's forward pass, and try it forwards and backwards once.

    The network itself stays as it is, its tensors and their names with it. The trial costs what
    compiling costs, minutes on a CPU, and changes no tensor and no generator.

    Args:
        model: Network on `device`, in the mode that it is trained in.
        shape: A step's images (B, C, I, J[, K]).
        device: Where to train.
        compiler: torch.compile, or what stands for it.

    Returns:
        The compiled pass; the network's own, after one warning, where it cannot be compiled.
    """
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    gpus = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=gpus):
            compiled = compiler(model)
            images = place_batch(torch.zeros(tuple(shape)), device)
            compiled(images).sum().backward()  # type: ignore[no-untyped-call]  # torch's own gap
    except _FAULTS as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        _log.warning("the network is not compiled (%s): it is trained as it is", reason)
        return model
    finally:
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(kept[name])
    return compiled
