"""Losses by name and task: one value per image, and the weight that it counts with."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from medvision.domain.labels.rows import Task

LossName = Literal["cross_entropy", "focal", "mse", "huber"]

_LEAST = 1e-8


@dataclass(frozen=True)
class Loss:
    """A loss and its settings.

    Args:
        name: cross_entropy or focal; mse or huber of a value.
        class_weights: Weight of each class, (classes,) float32 on the network's device; of each
            finding absent and there, (findings, 2); of a value it is not looked at.
        focal_gamma: Exponent of the focal loss, at least 0; 0 makes it cross-entropy.
        label_smoothing: Share of each label that is spread evenly over all classes, in [0, 1).
    """

    name: LossName
    class_weights: Tensor
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    task: Task = "classification"


def weigh_images(labels: Tensor, loss: Loss) -> Tensor:
    """Return the weight that each image counts with, (B,) float32.

    Args:
        labels: As `compute_losses` takes them.
        loss: What is computed.
    """
    if loss.task == "classification":
        return loss.class_weights[labels]
    if loss.task == "regression":
        return torch.ones(len(labels), device=labels.device)
    return _weigh_findings(labels, loss.class_weights).sum(dim=1)


def compute_losses(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Return each image's loss, in nats, times the weight of its class.

    A batch's loss is their sum over the sum of the images' weights (`weigh_images`), so that a
    batch that is divided among several passes has the gradient of the whole one. Of findings the
    losses of all that are known are summed, each with its own weight. Of a value, in standard
    deviations, it is the squared error, or Huber's loss with its bend at 1.

    Args:
        logits: (B, classes) float32; (B, findings), or (B, 1) of a value.
        labels: Class indices, (B,) int64; findings (B, findings) float32, NaN where not known;
            values (B,) float32.
        loss: What to compute.

    Returns:
        (B,) float32.

    Source:
        Focal loss: Lin et al. 2017, doi:10.1109/ICCV.2017.324. Label smoothing: Szegedy et al.
        2016, doi:10.1109/CVPR.2016.308. Huber 1964, doi:10.1214/aoms/1177703732.
    """
    if loss.task == "multilabel":
        return _compute_finding_losses(logits, labels, loss)
    if loss.task == "regression":
        measure = functional.mse_loss if loss.name == "mse" else functional.huber_loss
        return measure(logits[:, 0], labels, reduction="none")
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


def _compute_finding_losses(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Return each image's weighted sum of its findings' cross-entropies; unknown ones count 0."""
    there = labels.nan_to_num(0.0)
    signs = 2 * there - 1
    own = functional.logsigmoid(signs * logits)
    losses = -own
    if loss.label_smoothing:
        spread = -(own + functional.logsigmoid(-signs * logits)) / 2
        losses = (1 - loss.label_smoothing) * losses + loss.label_smoothing * spread
    if loss.name == "focal":
        wrong = (-torch.expm1(own)).clamp(min=_LEAST)
        losses = wrong**loss.focal_gamma * losses
    return (losses * _weigh_findings(labels, loss.class_weights)).sum(dim=1)


def _weigh_findings(labels: Tensor, weights: Tensor) -> Tensor:
    """Return the weight of each finding of each image, (B, findings); 0 where it is not known."""
    there = labels.nan_to_num(0.0)
    return (weights[:, 0] + there * (weights[:, 1] - weights[:, 0])) * ~labels.isnan()
