"""Several predictions of the same images made one: the mean of their probabilities."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medvision.domain.labels.rows import Task

Logits = NDArray[np.float64]
"""(N, C) float64: a network's outputs, one row per image, before they are made probabilities."""

Link = Literal["softmax", "sigmoid", "identity"]
"""What makes outputs predictions: probabilities of classes, of findings, or a value itself."""


LINKS: dict[Task, Link] = {
    "classification": "softmax",
    "multilabel": "sigmoid",
    "regression": "identity",
}
"""What makes the outputs of each task predictions."""


def pool_logits(logits: NDArray[np.floating], link: Link) -> Logits:
    """Return logits whose probabilities are the mean of several predictions' probabilities.

    Used for the views of an image and for the networks of several seeds. The mean is computed from
    logarithms, so that nothing saturates. Its log loss and its squared error are never above the
    mean of its members'.

    Args:
        logits: (M, N, C) outputs of M >= 1 members on the same images.
        link: What makes outputs probabilities; of `identity` the outputs themselves are averaged.

    Returns:
        (N, C); of one member its own logits, of several the logarithm (with `sigmoid` the
        log-odds) of the mean probability.

    Source:
        Lakshminarayanan et al. 2017, arXiv:1612.01474 (a mixture with equal weights); the bound is
        Jensen's inequality.
    """
    members = np.asarray(logits, dtype=np.float64)
    if len(members) == 1:
        own: Logits = members[0]
        return own
    if link == "identity":
        mean: Logits = members.mean(axis=0)
        return mean
    if link == "sigmoid":
        shares, others = (-np.logaddexp(0, side * members) for side in (-1, 1))
        pooled: Logits = _average(shares) - _average(others)
        return pooled
    return _average(members - np.logaddexp.reduce(members, axis=-1, keepdims=True))


def _average(logarithms: NDArray[np.float64]) -> Logits:
    """Return the logarithm of the mean over members of what the logarithms (M, N, C) are of."""
    mean: Logits = np.logaddexp.reduce(logarithms, axis=0) - np.log(len(logarithms))
    return mean
