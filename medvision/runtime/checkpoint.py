"""Networks and training states on disk: tensors and text only, never code."""

import io
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.labels.rows import Task
from medvision.domain.network_form import PLAIN, NetworkForm
from medvision.errors import WeightsError
from medvision.runtime.files import writing

if TYPE_CHECKING:
    import torch
    from torch import nn

_DIGEST_KEY = "settings_digest"


@dataclass(frozen=True)
class ModelMeta:
    """What a checkpoint says of its network.

    Args:
        backbone: Name of the network.
        spatial_dims: 2 or 3.
        channels: C, number of input channels.
        classes: Labels in the order of the logits.
        medvision_version: Version that wrote the file.
        form: How images enter, and which layers are not as in the paper.
        task: What the outputs are: logits of classes, a logit per finding, or one value.
        scale: (mean, standard deviation) of the values of the training images, in their unit: the
            output times the second, plus the first, is the value. None of other tasks.
    """

    backbone: str
    spatial_dims: int
    channels: int
    classes: tuple[str, ...]
    medvision_version: str
    form: NetworkForm = PLAIN
    task: Task = "classification"
    scale: tuple[float, float] | None = None

    def as_text(self) -> dict[str, str]:
        """Return the metadata as safetensors holds it: text to text."""
        form = {} if self.form == PLAIN else {"form": json.dumps(asdict(self.form))}
        task = {} if self.task == "classification" else {"task": self.task}
        scale = {} if self.scale is None else {"scale": json.dumps(self.scale)}
        return {
            **form,
            **task,
            **scale,
            "backbone": self.backbone,
            "spatial_dims": str(self.spatial_dims),
            "channels": str(self.channels),
            "classes": json.dumps(list(self.classes), ensure_ascii=False),
            "medvision_version": self.medvision_version,
            INTENDED_USE: RESEARCH_USE,
        }


def save_model(path: Path, tensors: Mapping[str, "torch.Tensor"], *, meta: ModelMeta) -> None:
    """Write a network's tensors as safetensors; equal tensors and meta give equal bytes.

    Args:
        path: `.safetensors` file.
        tensors: State dict of the network.
        meta: What `load_model` needs to build it again.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    save_tensors(path, tensors, metadata=meta.as_text())


def save_tensors(
    path: Path, tensors: Mapping[str, "torch.Tensor"], *, metadata: Mapping[str, str]
) -> None:
    """Write tensors as safetensors; equal tensors and metadata give equal bytes.

    Args:
        path: `.safetensors` file.
        tensors: Name to tensor, on any device.
        metadata: Text of the header.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    import safetensors.torch

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = _set_metadata(safetensors.torch.save(plain), metadata)
    with writing(path) as temporary:
        temporary.write_bytes(content)


def _set_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Put sorted metadata in the header, which the library writes in random order."""
    size = struct.unpack("<Q", content[:8])[0]
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(content[8 : 8 + size])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def read_tensors(path: Path) -> tuple[dict[str, "torch.Tensor"], dict[str, str]]:
    """Read a safetensors file.

    Returns:
        (tensors, metadata): name to tensor on the CPU; the header's text, maybe empty.

    Raises:
        WeightsError: The file is missing, cut short, or of another format.
    """
    import safetensors
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            return tensors, dict(file.metadata() or {})
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path.name}: weights must be a whole safetensors file, got {_first_line(error)}.",
            "copy or download the file again; a step's own output comes back by running the step.",
        ) from error


def read_header(path: Path) -> dict[str, str]:
    """Read the text in a safetensors file's header, without torch and without the tensors.

    Args:
        path: `.safetensors` file.

    Raises:
        WeightsError: The file is missing, cut short, or of another format.
    """
    try:
        with path.open("rb") as stream:
            size = struct.unpack("<Q", stream.read(8))[0]
            held = json.loads(stream.read(min(size, path.stat().st_size)))
        return {str(key): str(value) for key, value in held.get("__metadata__", {}).items()}
    except (OSError, struct.error, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{path.name}: weights must be a whole safetensors file, got {_first_line(error)}."
        ) from error


def _first_line(error: Exception) -> str:
    """Return what a library says, without its full stop and further advice."""
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__


def parse_meta(text: Mapping[str, str], *, where: str) -> ModelMeta:
    """Turn a header's text into a ModelMeta.

    Args:
        text: Metadata of a safetensors file.
        where: Name of the file, for the message.

    Raises:
        WeightsError: It is not one that `save_model` wrote.
    """
    try:
        return ModelMeta(
            backbone=text["backbone"],
            spatial_dims=int(text["spatial_dims"]),
            channels=int(text["channels"]),
            classes=tuple(json.loads(text["classes"])),
            medvision_version=text["medvision_version"],
            form=_parse_form(text.get("form")),
            task=_parse_task(text.get("task", "classification")),
            scale=_parse_scale(text.get("scale")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{where}: checkpoint must name its backbone, dimensions and classes, got {error}."
        ) from error


def _parse_form(text: str | None) -> NetworkForm:
    """Turn a header's JSON into a form; files without one are of the plain form."""
    if text is None:
        return PLAIN
    held = json.loads(text)
    return NetworkForm(**{**held, "mean": tuple(held["mean"]), "sd": tuple(held["sd"])})


def _parse_task(text: str) -> Task:
    """Return the task of a header; files without one are of classes."""
    if text not in get_args(Task):
        raise ValueError(f"task {text}")
    return cast(Task, text)


def _parse_scale(text: str | None) -> tuple[float, float] | None:
    """Turn a header's JSON into mean and standard deviation."""
    if text is None:
        return None
    mean, sd = json.loads(text)
    return float(mean), float(sd)


def load_model(path: Path, *, build: Callable[..., "nn.Module"]) -> tuple["nn.Module", ModelMeta]:
    """Build a checkpoint's network and give it all of its tensors.

    Args:
        path: A file that `save_model` wrote.
        build: `medvision.learn.backbones.build_backbone`, or its like.

    Returns:
        (network in evaluation mode on the CPU, what the file says of it).

    Raises:
        WeightsError: The file cannot be read, or its tensors do not fit, each and all.
    """
    tensors, text = read_tensors(path)
    meta = parse_meta(text, where=path.name)
    network = build(
        meta.backbone,
        spatial_dims=meta.spatial_dims,
        channels=meta.channels,
        n_classes=len(meta.classes),
        form=meta.form,
    )
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        fault = " ".join(str(error).split())
        raise WeightsError(
            f"{path.name}: tensors must be those of {meta.backbone}, got {fault}"
        ) from error
    return network.eval(), meta


def save_state(path: Path, state: Mapping[str, object], *, settings_digest: str) -> None:
    """Write an unfinished training's state, replacing the earlier one at once.

    Args:
        path: File of the state.
        state: Tensors and plain values, nested in dicts and lists.
        settings_digest: Digest of all that the training depends on.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    import torch

    # In memory first: on a full disk torch's own writer raises an error that tells nothing of it.
    content = io.BytesIO()
    torch.save({**state, _DIGEST_KEY: settings_digest}, content)
    with writing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_state(path: Path, *, settings_digest: str) -> dict[str, object] | None:
    """Read the state of an unfinished training.

    Returns:
        The state, or None where there is none, or none of these settings, or none that can be
        read: the training then starts anew, which costs time and never correctness.
    """
    import pickle

    import torch

    if not path.is_file():
        return None
    try:
        state = cast(dict[str, object], torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        return None
    return state if state.pop(_DIGEST_KEY, None) == settings_digest else None
