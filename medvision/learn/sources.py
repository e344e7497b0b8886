"""Weights files of every accepted kind, read as plain tensors and never as code."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from medvision.errors import WeightsError
from medvision.runtime.checkpoint import read_tensors

_PICKLED = (".pt", ".pth", ".tar")
_STUDY_PATTERNS = (
    "train/transfer/fold-0/seed-*/model.safetensors",
    "train/scratch/fold-0/seed-*/model.safetensors",
    "pretrain/model.safetensors",
)
_NESTS = ("state_dict", "model", "model_state_dict")


def find_weights(source: Path) -> Path:
    """Return the file that a `model.weights` path means.

    Args:
        source: A file, or another study's output folder: of that, the first seed of fold 0 of
            the transfer arm, else of the scratch arm, else its source task's weights.

    Raises:
        WeightsError: There is no such file, or the folder holds no model.
    """
    if source.is_file():
        return source
    if not source.exists():
        raise WeightsError(
            f"model.weights: path must exist, got {source}.",
            f"correct model.weights; paths are relative to the working directory, {Path.cwd()}.",
        )
    for pattern in _STUDY_PATTERNS:
        found = sorted(source.glob(pattern), key=_order_by_seed)
        if found:
            return found[0]
    raise WeightsError(
        f"model.weights: folder must be a study's output with a trained model, got {source}.",
        "name the folder that holds the other study's train/, or a weights file itself.",
    )


def _order_by_seed(path: Path) -> tuple[int, str]:
    """Order seed-2 before seed-10."""
    return len(path.parent.name), path.parent.name


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors`, `.pt` or `.pth` file.

    Pickled files are read with torch's restricted unpickler, which runs no code; what it does
    not take is refused. A state dict may lie below `state_dict` or `model`.

    Returns:
        Tensor names to tensors, on the CPU.

    Raises:
        WeightsError: The file is missing, unsafe, of an unknown kind, or holds no tensors.
    """
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return read_tensors(path)[0]
    if suffix not in _PICKLED:
        raise WeightsError(
            f"{path.name}: weights must be .safetensors, .pt or .pth, got {suffix or 'no suffix'}.",
            "convert the file to safetensors with the program that wrote it.",
        )
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
