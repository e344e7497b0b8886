"""The device that the work runs on, and how many CPU threads it takes."""

from typing import TYPE_CHECKING

from medvision.errors import ConfigError
from medvision.runtime.team import ALONE, Team

if TYPE_CHECKING:
    import torch


def choose_device(device: str, *, team: Team = ALONE) -> "torch.device":
    """Return the torch device for `auto`, `cpu` or `cuda`.

    Args:
        device: One of these words.
        team: Several processes of a training, each of which has the GPU of its own number.

    Raises:
        ConfigError: A GPU was asked for and none is visible, or not one for each process.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "compute.device: a CUDA GPU must be visible, got none.",
            "set compute.device to auto or cpu, or install the CUDA build of torch.",
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" or team.size == 1:
        return torch.device(device)
    n_gpus = torch.cuda.device_count()
    if team.local_rank >= n_gpus:
        raise ConfigError(
            f"compute.device: each process of a machine must have its own GPU, got {n_gpus} for "
            f"process {team.local_rank}.",
            "start as many processes a machine as it has GPUs, or set compute.device to cpu.",
        )
    torch.cuda.set_device(team.local_rank)
    return torch.device(device, team.local_rank)


def describe_device(device: "torch.device") -> str:
    """Return `cpu`, or the name of the GPU."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def limit_threads(n_threads: int) -> None:
    """Fix torch's CPU threads: sums depend on how they are split among threads."""
    import torch

    torch.set_num_threads(n_threads)
