"""The device that the work runs on, and how many CPU threads it takes."""

from typing import TYPE_CHECKING

from medvision.errors import ConfigError

if TYPE_CHECKING:
    import torch


def choose_device(device: str) -> "torch.device":
    """Return the torch device for `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: A GPU was asked for and none is visible.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "compute.device: a CUDA GPU must be visible, got none.",
            "set compute.device to auto or cpu, or install the CUDA build of torch.",
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def describe_device(device: "torch.device") -> str:
    """Return `cpu`, or the name of the GPU."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def limit_threads(n_threads: int) -> None:
    """Fix torch's CPU threads: sums depend on how they are split among threads."""
    import torch

    torch.set_num_threads(n_threads)
