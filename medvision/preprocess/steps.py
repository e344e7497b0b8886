"""One step of the pipeline: a transform with the name and parameters its record shows."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from medvision.domain.record import JsonValue

Transform = Callable[[torch.Tensor], torch.Tensor]
"""MetaTensor (C, I, J, K) float32 with its affine to the same; a 2D image has K = 1."""


@dataclass(frozen=True)
class PipelineStep:
    """One transform, with the name and parameters that its record shows."""

    name: str
    parameters: dict[str, JsonValue]
    transform: Transform

    def as_dict(self) -> dict[str, JsonValue]:
        """Return name and parameters as plain JSON types."""
        return {"name": self.name, "parameters": self.parameters}
