"""Losses by name: one value per image, and the weight that it counts with."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LossName = Literal["cross_entropy", "focal"]

_LEAST = 1e-8


@dataclass(frozen=True)
class Loss:
    """A loss and its settings.

    Args:
        name: cross_entropy or focal.
        class_weights: Weight of each class, (classes,) float32 on the network's device.
        focal_gamma: Exponent of the focal loss, at least 0; 0 makes it cross-entropy.
        label_smoothing: Share of each label that is spread evenly over all classes, in [0, 1).
    """

    name: LossName
    class_weights: Tensor
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0


def compute_losses(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Return each image's loss, in nats, times the weight of its class.

    A batch's loss is their sum over the sum of the images' weights, so that a batch that is
    divided among several passes has the gradient of the whole one.

    Args:
        logits: (B, classes) float32.
        labels: Class indices, (B,) int64.
        loss: What to compute.

    Returns:
        (B,) float32.

    Source:
        Focal loss: Lin et al. 2017, doi:10.1109/ICCV.2017.324. Label smoothing: Szegedy et al.
        2016, doi:10.1109/CVPR.2016.308.
    """
    logs = functional.log_softmax(logits, dim=1)
    own = logs.gather(1, labels[:, None])[:, 0]
    losses = -own
    if loss.label_smoothing:
        spread = -logs.mean(dim=1)
        losses = (1 - loss.label_smoothing) * losses + loss.label_smoothing * spread
    if loss.name == "focal":
        # Not 1 - exp, which is exactly 0, without a gradient, where the image is quite right.
        wrong = (-torch.expm1(own)).clamp(min=_LEAST)
        losses = wrong**loss.focal_gamma * losses
    return losses * loss.class_weights[labels]
