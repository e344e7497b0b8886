"""Where tensors lie: on which device, and in which order in its memory."""

import torch
from torch import Tensor, nn

_IMAGE_AXES = 4


def choose_layout(n_axes: int) -> torch.memory_format:
    """Return the memory layout of batches with so many axes, by a fixed rule.

    Images (B, C, I, J) lie with their channels last, which every network here gains from; volumes
    and features lie in the plain order. The layout decides which kernels run and so the last bits
    of a result: it is never chosen by timing, which would choose differently from run to run.

    Args:
        n_axes: Axes of a batch, those of images and channels counted.
    """
    return torch.channels_last if n_axes == _IMAGE_AXES else torch.contiguous_format


def place_network(model: nn.Module, device: torch.device, *, n_axes: int) -> nn.Module:
    """Move a network to a device, its kernels in the layout of what it will be given.

    Args:
        model: Network; it is changed and returned. The names and values of its tensors stay.
        device: Where to compute.
        n_axes: Axes of its batches: 4 for (B, C, I, J), 5 for (B, C, I, J, K).
    """
    model.to(device)
    # torch refuses the layout of images for kernels of five axes, of which images have none.
    if choose_layout(n_axes) is torch.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    return model


def place_batch(batch: Tensor, device: torch.device) -> Tensor:
    """Return a batch on a device, in the layout of its axes.

    To a GPU it goes by way of page-locked memory, from where it is copied while the CPU goes on.

    Args:
        batch: (B, ...) on the CPU.
        device: Where to compute.
    """
    is_gpu = device.type == "cuda"
    held = batch.pin_memory() if is_gpu else batch
    return held.to(device, non_blocking=is_gpu, memory_format=choose_layout(batch.ndim))
