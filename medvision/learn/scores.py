"""Figures that training watches on the validation images; no statistics for a report."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch.nn import functional

from medvision.domain.labels.rows import Task
from medvision.learn.dataset import Labels
from medvision.learn.losses import Loss, compute_losses, weigh_images


@dataclass(frozen=True)
class Scores:
    """How well the validation images are predicted.

    Args:
        loss: Mean loss: weighted cross-entropy in nats, or of a value the mean squared error in
            squared standard deviations.
        accuracy: Share of right labels; of findings the share of those that are known; None of a
            value.
        auc: None where a class is absent; of findings the mean over those that have both.
        mae: Mean absolute error of a value, in its own unit; None otherwise.
    """

    loss: float
    accuracy: float | None = None
    auc: float | None = None
    mae: float | None = None

    @property
    def figures(self) -> dict[str, float | None]:
        """Return what the history holds besides the loss, by column."""
        if self.mae is not None:
            return {"validation_mae": self.mae}
        return {"validation_accuracy": self.accuracy, "validation_auc": self.auc}


def score(
    logits: NDArray[np.float32],
    labels: Labels,
    *,
    task: Task,
    class_weights: NDArray[np.float64],
    unit: float,
) -> Scores:
    """Score predictions of known labels, whatever they are of.

    Args:
        logits: (n, outputs).
        labels: As `Examples` holds them.
        task: What the outputs are.
        class_weights: Weight of each class, (classes,), or of each finding, (findings, 2).
        unit: Standard deviation of a value, in its own unit.
    """
    if task == "classification":
        return compute_scores(logits, labels.astype(np.int64), class_weights=class_weights)
    if task == "regression":
        errors = logits[:, 0].astype(np.float64) - labels
        return Scores(float((errors**2).mean()), mae=float(np.abs(errors).mean() * unit))
    return _score_findings(logits, labels.astype(np.float32), class_weights=class_weights)


def _score_findings(
    logits: NDArray[np.float32],
    labels: NDArray[np.float32],
    *,
    class_weights: NDArray[np.float64],
) -> Scores:
    """Score each finding where it is known."""
    loss = Loss("cross_entropy", torch.from_numpy(class_weights), task="multilabel")
    truth = torch.from_numpy(labels).double()
    total = compute_losses(torch.from_numpy(logits).double(), truth, loss).sum()
    known = ~np.isnan(labels)
    right = (logits > 0) == (labels > 0)
    areas = [
        _compute_area(logits[known[:, n], n], labels[known[:, n], n] > 0)
        for n in range(labels.shape[1])
    ]
    found = [area for area in areas if area is not None]
    return Scores(
        float(total / weigh_images(truth, loss).sum()),
        float(right[known].mean()),
        float(np.mean(found)) if found else None,
    )


def compute_scores(
    logits: NDArray[np.float32], labels: NDArray[np.int64], *, class_weights: NDArray[np.float64]
) -> Scores:
    """Score predictions of known labels.

    Args:
        logits: (n, classes).
        labels: Class indices, (n,).
        class_weights: Weight of each class in the loss, (classes,).

    Returns:
        Weighted cross-entropy (in nats), accuracy and AUC; for more than two classes the mean
        AUC of each class against the rest.
    """
    scored, truth = torch.from_numpy(logits).double(), torch.from_numpy(labels)
    loss = functional.cross_entropy(scored, truth, weight=torch.from_numpy(class_weights))
    accuracy = float((logits.argmax(1) == labels).mean())
    return Scores(float(loss), accuracy, _compute_auc(scored.softmax(1).numpy(), labels))


def compute_class_weights(labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Return weights inverse to the class counts, of mean one over the images.

    Args:
        labels: Class indices, (n,); each class must occur.
        n_classes: Number of classes.

    Source:
        King and Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868 (the "balanced" rule).
    """
    counts = np.bincount(labels, minlength=n_classes)
    weights: NDArray[np.float64] = len(labels) / (n_classes * counts.astype(np.float64))
    return weights


def compute_finding_weights(labels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the weight of each finding absent and there, of mean one over the images that know it.

    So every finding weighs as much in all, and what is there as much as what is absent.

    Args:
        labels: (n, findings), NaN where not known; each finding must be there and absent.

    Returns:
        (findings, 2).

    Source:
        As `compute_class_weights`, finding by finding.
    """
    counts = np.stack([(labels == value).sum(axis=0) for value in (0, 1)], axis=1)
    weights: NDArray[np.float64] = counts.sum(axis=1, keepdims=True) / (2 * counts)
    return weights


def _compute_auc(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """Return the (mean one-against-rest) AUC by ranks, ties counting half."""
    n_classes = probabilities.shape[1]
    if len(np.unique(labels)) < n_classes:
        return None
    classes = [1] if n_classes == 2 else range(n_classes)
    areas = []
    for index in classes:
        areas.append(_compute_area(probabilities[:, index], labels == index))
    return float(np.mean([area for area in areas if area is not None]))


def _compute_area(
    values: NDArray[np.float64] | NDArray[np.float32], positive: NDArray[np.bool_]
) -> float | None:
    """Return the AUC of one class by ranks, ties counting half; None where one is absent."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return None
    ranks = rankdata(values)[positive].sum()
    above = ranks - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))
