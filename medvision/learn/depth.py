"""Whether a network still has a grid left for images of a given size."""

import copy
from collections.abc import Sequence

import torch
from torch import nn

from medvision.errors import ConfigError

_TOO_SMALL = ("smaller than kernel size", "output size is too small", "should be at least")
"""What torch says, in several kernels' words, when a grid is halved once too often."""


def check_depth(model: nn.Module, shape: Sequence[int]) -> None:
    """Refuse a network that halves its input until nothing is left.

    The forward pass is made on torch's meta device: shapes alone, no numbers and no time.

    Args:
        model: Network, not changed.
        shape: One image's array (C, I, J[, K]).

    Raises:
        ConfigError: The arrays are too small for the network.
    """
    twin = copy.deepcopy(model).to("meta").eval()
    try:
        with torch.no_grad():
            twin(torch.zeros((2, *shape), device="meta"))
    except RuntimeError as error:
        if not any(words in str(error).lower() for words in _TOO_SMALL):
            raise
        size = "x".join(map(str, shape[1:]))
        raise ConfigError(
            f"model.backbone: network must be shallow enough for arrays of {size} voxels, got one "
            "that halves them until nothing is left.",
            "choose model.backbone small, or enlarge preprocess.size.",
        ) from error
