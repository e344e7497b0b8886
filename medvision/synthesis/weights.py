"""A generator on disk: tensors, and in the header what is needed to build it again."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from medvision.errors import WeightsError
from medvision.runtime.checkpoint import read_tensors, save_tensors
from medvision.synthesis.grids import plan_grids
from medvision.synthesis.images import Scale
from medvision.synthesis.networks import Generator

KIND = "gan-generator"


@dataclass(frozen=True)
class GeneratorMeta:
    """What a file says of its generator.

    Args:
        shape: (C, I, J[, K]) of what it draws.
        classes: Labels in the order of the class indices.
        latent: Length of the normal vector.
        width: Channels on the finest grid.
        fold: Whose train images it has seen.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    latent: int
    width: int
    fold: int

    def build(self) -> Generator:
        """Build the network with random weights."""
        return Generator(
            plan_grids(self.shape[1:]),
            channels=self.shape[0],
            n_classes=len(self.classes),
            latent=self.latent,
            width=self.width,
        )


def save_generator(
    path: Path, generator: Generator, *, meta: GeneratorMeta, scale: Scale, note: dict[str, str]
) -> None:
    """Write a generator as safetensors; equal tensors and header give equal bytes.

    Args:
        path: `.safetensors` file.
        generator: Its averaged weights.
        meta: What `load_generator` needs to build it again.
        scale: Intensities that it draws in.
        note: What else the header says, such as the version.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    metadata = {
        "kind": KIND,
        "shape": json.dumps(meta.shape),
        "classes": json.dumps(meta.classes, ensure_ascii=False),
        "latent": str(meta.latent),
        "width": str(meta.width),
        "fold": str(meta.fold),
        "scale": json.dumps(scale.as_dict()),
        **note,
    }
    save_tensors(path, generator.state_dict(), metadata=metadata)


def load_generator(path: Path) -> tuple[Generator, Scale, GeneratorMeta]:
    """Build a file's generator and give it all of its tensors.

    Args:
        path: A file that `save_generator` wrote.

    Returns:
        (generator in evaluation mode on the CPU, its scale, what the file says of it).

    Raises:
        WeightsError: The file cannot be read, or is none of a generator.
    """
    tensors, text = read_tensors(path)
    try:
        meta = GeneratorMeta(
            shape=tuple(json.loads(text["shape"])),
            classes=tuple(json.loads(text["classes"])),
            latent=int(text["latent"]),
            width=int(text["width"]),
            fold=int(text["fold"]),
        )
        held = json.loads(text["scale"])
        scale = Scale(**{name: torch.tensor(values) for name, values in held.items()})
        generator = meta.build()
        generator.load_state_dict(tensors, strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"{path.name}: file must be of a generator, whole, got {reason}."
        ) from error
    return generator.eval(), scale, meta
