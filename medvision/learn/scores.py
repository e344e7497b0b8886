"""Figures that training watches on the validation images; no statistics for a report."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch.nn import functional


@dataclass(frozen=True)
class Scores:
    """Mean loss, share of right labels, and AUC (None where a class is absent)."""

    loss: float
    accuracy: float
    auc: float | None


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


def _compute_auc(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """Return the (mean one-against-rest) AUC by ranks, ties counting half."""
    n_classes = probabilities.shape[1]
    if len(np.unique(labels)) < n_classes:
        return None
    classes = [1] if n_classes == 2 else range(n_classes)
    areas = []
    for index in classes:
        positive = labels == index
        n_positive = int(positive.sum())
        ranks = rankdata(probabilities[:, index])[positive].sum()
        above = ranks - n_positive * (n_positive + 1) / 2
        areas.append(above / (n_positive * (len(labels) - n_positive)))
    return float(np.mean(areas))
