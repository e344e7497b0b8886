"""Weights files of every accepted kind, read as plain tensors and never as code."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from medvision.errors import WeightsError
from medvision.learn.weights_path import SAFE_SUFFIX, check_kind
from medvision.runtime.checkpoint import read_tensors

_NESTS = ("state_dict", "model", "model_state_dict")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors`, `.pt` or `.pth` file.

    Pickled files are read with torch's restricted unpickler, which runs no code; what it does
    not take is refused. A state dict may lie below `state_dict` or `model`.

    Returns:
        Tensor names to tensors, on the CPU.

    Raises:
        WeightsError: The file is missing, unsafe, of an unknown kind, or holds no tensors.
    """
    if check_kind(path) == SAFE_SUFFIX:
        return read_tensors(path)[0]
    return _pick_tensors(_unpickle(path), where=path.name)


def _unpickle(path: Path) -> object:
    """Read a pickled file without running any code of it."""
    try:
        with warnings.catch_warnings():
            # Of torch's on files of other writers; what they hold is judged all the same.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path.name}: weights must hold tensors only, got code or unknown objects.",
            "convert the file to safetensors on a machine where you trust it.",
        ) from error
    except (OSError, RuntimeError, EOFError) as error:
        raise WeightsError(
            f"{path.name}: weights must be a whole file, got one that is cut short or damaged.",
            "copy or download the file again.",
        ) from error


def _pick_tensors(content: object, *, where: str) -> dict[str, Tensor]:
    """Return the state dict of a file's content."""
    if isinstance(content, Mapping):
        for nest in _NESTS:
            if isinstance(content.get(nest), Mapping):
                return _pick_tensors(content[nest], where=where)
        tensors = {str(name): value for name, value in content.items() if torch.is_tensor(value)}
        if tensors:
            return tensors
    raise WeightsError(f"{where}: weights must hold named tensors, got none.")
