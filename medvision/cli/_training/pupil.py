"""A training whose checkpoints are all shown the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medvision.cli._novelty import pass_images
from medvision.cli._training.learning import LearningData
from medvision.domain.split import Assignment

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from medvision.explain.influence import LastLayer

Features = NDArray[np.float32]
"""(n, P): what a network's last layer is given."""

Scale = tuple[float, float]
"""Mean and standard deviation of the values that a network was trained on."""


@dataclass(frozen=True)
class Fold:
    """A fold's explained images and the train images that they are held against."""

    train: Sequence[Assignment]
    cases: Sequence[Assignment]
    n_train: int


@dataclass(frozen=True)
class Pupil:
    """A training whose checkpoints are all shown the same images."""

    data: LearningData
    fold: Fold
    device: "torch.device"

    def read(self, path: "Path", *, rate: float) -> "tuple[LastLayer, Scale | None, float]":
        """Return a checkpoint's last layer, the scale of its values, and how far off linear it is.

        The last is the largest difference of its logits from those of the last layer on its
        features, as a share of the largest logit.

        Args:
            path: The checkpoint.
            rate: Learning rate of its last step.

        Raises:
            WeightsError: The file is no safetensors, or its tensors do not fit.
        """
        from medvision.explain.influence import LastLayer
        from medvision.learn.backbones import build_backbone, head_names
        from medvision.runtime.checkpoint import load_model

        model, meta = load_model(path, build=build_backbone)
        head = head_names(meta.backbone)[0]
        weight, bias = read_head(model, head)
        logits, train = self._show(model, self.fold.train, head=head)
        _, cases = self._show(model, self.fold.cases, head=head)
        linear = train.astype(np.float64) @ weight.T + bias
        error = np.abs(logits - linear).max() / max(1.0, float(np.abs(logits).max()))
        return LastLayer(weight, bias, rate, train, cases), meta.scale, float(error)

    def _show(
        self, model: "nn.Module", chosen: Sequence[Assignment], *, head: str
    ) -> tuple[Features, Features]:
        """Return logits (n, C) and features (n, P) of some images."""
        logits, features = pass_images(
            model,
            self.data,
            chosen,
            device=self.device,
            views=[lambda batch: batch],
            head=head,
        )
        return logits[0], np.empty((len(chosen), 0), np.float32) if features is None else features

    def encode(self, chosen: Sequence[Assignment], scale: Scale | None) -> "Tensor":
        """Return labels as the loss takes them.

        Args:
            chosen: Images.
            scale: Of values.
        """
        import torch

        from medvision.learn.tasks import standardise

        labels = torch.from_numpy(standardise(self.data.examples(chosen), scale).labels)
        return labels.double() if labels.is_floating_point() else labels


def read_head(model: "nn.Module", head: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read weight (C, P) and bias (C,) of the last layer, a convolution of one voxel too.

    Args:
        model: Network.
        head: Dotted name of the layer.
    """
    tensors = model.get_submodule(head).state_dict()
    weight = tensors["weight"].double().cpu().flatten(1).numpy()
    bias = tensors["bias"].double().cpu().numpy() if "bias" in tensors else np.zeros(len(weight))
    return weight, bias
