"""Tensors made for another input: other channels, two dimensions for three, other shortcuts."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Adapt3d = Literal["inflate", "acs", "none"]

_NORM_EPS = 1e-5


def adapt_tensor(
    weight: Tensor, shape: torch.Size, *, is_first: bool, adapt_3d: Adapt3d
) -> tuple[Tensor | None, str]:
    """Fit a convolution's weight to the shape that the network wants.

    Args:
        weight: Of the file, (out, in, i, j[, k]).
        shape: Of the network's tensor.
        is_first: Whether it meets the image, so that its channels may be changed.
        adapt_3d: inflate to make volumes' kernels of those for images.

    Returns:
        (adapted weight, what was done), or (None, "") where it cannot be made to fit.
    """
    done: list[str] = []
    if len(weight.shape) == 4 and len(shape) == 5 and adapt_3d == "inflate":
        weight = inflate(weight, depth=shape[-1])
        done.append(f"inflated over {shape[-1]} slices")
    if is_first and len(weight.shape) == len(shape) and weight.shape[1] != shape[1]:
        done.append(f"{weight.shape[1]} to {shape[1]} channels")
        weight = adapt_channels(weight, channels=shape[1])
    return (weight, ", ".join(done)) if weight.shape == shape and done else (None, "")


def inflate(weight: Tensor, *, depth: int) -> Tensor:
    """Make a 3D kernel of a 2D one, so that equal slices give the response of one.

    The kernel is repeated along K and divided by its depth. A volume that does not change along K
    then gives at each slice what the 2D network gives, except within reach of the first and last
    slice, where the zeros around take part.

    Args:
        weight: (out, in, i, j).
        depth: Slices of the new kernel.

    Returns:
        (out, in, i, j, depth).

    Source:
        Carreira and Zisserman 2017, doi:10.1109/CVPR.2017.502.
    """
    return weight.unsqueeze(-1).expand(*weight.shape, depth) / depth


def adapt_channels(weight: Tensor, *, channels: int) -> Tensor:
    """Fit a first convolution to other channels, so that equal ones give the same response.

    The kernels' mean over their channels is given to each new channel, times old over new: one
    channel gets the sum, several share it evenly.

    Args:
        weight: (out, in, ...).
        channels: Channels of the new input.

    Returns:
        (out, channels, ...).
    """
    total = weight.sum(1, keepdim=True) / channels
    return total.expand(weight.shape[0], channels, *weight.shape[2:])


def build_identity_shortcut(name: str, like: Tensor) -> tuple[Tensor | None, str]:
    """Make a shortcut of kind B do in evaluation mode what one of kind A does.

    Kind A (He 2016) has no weights: it drops cells by its stride and fills new channels with zeros.
    A point-wise convolution with ones on its diagonal, followed by a BatchNorm of mean zero and
    variance one, is the same. While it trains, BatchNorm takes the batch's statistics instead.

    Args:
        name: Tensor of the network.
        like: What the network holds there.

    Returns:
        (tensor, what was done), or (None, "") where the tensor is no shortcut's.

    Source:
        He 2016, doi:10.1109/CVPR.2016.90, section 4.1.
    """
    part = name.rpartition(".downsample.")[2] if ".downsample." in name else ""
    made = {
        "0.weight": lambda: _eye(like),
        "1.weight": lambda: torch.ones_like(like),
        "1.bias": lambda: torch.zeros_like(like),
        "1.running_mean": lambda: torch.zeros_like(like),
        "1.running_var": lambda: torch.full_like(like, 1 - _NORM_EPS),
    }.get(part)
    return (made(), "shortcut A as identity") if made else (None, "")


def _eye(like: Tensor) -> Tensor:
    """Return a point-wise kernel (out, in, 1, ...) that hands channels on."""
    eye = torch.eye(*like.shape[:2], dtype=like.dtype)
    return eye.reshape(like.shape)


def is_folded(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether all BatchNorm statistics are those of a folded network: mean 0, variance 1.

    A network that was never trained has these too, but also scales of one and shifts of zero.

    Args:
        tensors: Names to tensors of a weights file.
    """
    stems = [name.removesuffix("running_mean") for name in tensors if name.endswith("running_mean")]
    return (
        bool(stems)
        and all(_is_standard(tensors, stem) for stem in stems)
        and any(bool(tensors[f"{stem}bias"].any()) for stem in stems if f"{stem}bias" in tensors)
    )


def _is_standard(tensors: Mapping[str, Tensor], stem: str) -> bool:
    """Tell whether a BatchNorm's mean is 0 and its variance 1."""
    variance = tensors[f"{stem}running_var"]
    is_one = torch.allclose(variance, torch.ones_like(variance), atol=1e-2)
    return is_one and not bool(tensors[f"{stem}running_mean"].any())


def is_flat(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether a weights file is of a network for images: kernels of two dimensions."""
    n_dims = [len(tensor.shape) for tensor in tensors.values()]
    return 4 in n_dims and 5 not in n_dims
