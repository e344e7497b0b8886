"""Temperature scaling: one number per network that makes its probabilities less or more sure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.pooling import Logits
from medvision.domain.prediction import Indices

LEAST, LARGEST = 0.1, 10.0
"""Bounds of a fitted temperature: beyond them a handful of images would decide."""

FITTED = "least validation loss"
"""The rule of a fitted temperature that no bound held."""

_STEPS = 100


@dataclass(frozen=True)
class Temperature:
    """Logits are divided by `value`, and what that does to the validation images.

    Args:
        value: Above 1 makes probabilities less sure, below 1 surer; 1 changes nothing.
        rule: How it was found, or why it is 1 or a bound.
        nll_before: Mean negative log-likelihood (nats) of the validation images at 1; None where
            there are none.
        nll_after: The same at `value`; never above `nll_before`.
        n: Validation images.
    """

    value: float
    rule: str
    nll_before: float | None
    nll_after: float | None
    n: int


def fit_temperature(logits: Logits, labels: Indices) -> Temperature:
    """Fit one temperature on validation images, by their log loss.

    The loss is convex in the inverse of the temperature, so its slope is bisected. Where no
    temperature is best (every image is predicted right, and the loss falls without end towards 0;
    or the logits are no better than none, and it falls towards infinity), or one class alone is
    there, the temperature is 1 and the rule says why. Softmax only.

    Args:
        logits: (N, C) of the validation images.
        labels: (N,) index of the true class.

    Returns:
        The temperature with nine significant digits, so that a table reproduces it.

    Source:
        Guo et al. 2017, arXiv:1706.04599.
    """
    if not len(labels):
        return Temperature(1.0, "1, no validation images", None, None, 0)
    before = compute_nll(logits, labels)
    value, rule = _find(logits, labels)
    after = compute_nll(logits / value, labels)
    return Temperature(value, rule, before, after, len(labels))


def compute_nll(logits: Logits, labels: Indices) -> float:
    """Return the mean negative log-likelihood, in nats, of true classes under softmax.

    Args:
        logits: (N, C), N >= 1.
        labels: (N,) index of the true class.
    """
    own = logits[np.arange(len(labels)), labels]
    return float(np.mean(np.logaddexp.reduce(logits, axis=1) - own))


def _find(logits: Logits, labels: Indices) -> tuple[float, str]:
    """Return the best temperature and its rule, or why there is none."""
    if len(np.unique(labels)) < 2:
        return 1.0, "1, validation images hold one class"
    own = logits[np.arange(len(labels)), labels]
    if (own == logits.max(axis=1)).all():
        return 1.0, "1, every validation image is predicted right: no temperature is best"
    if np.mean(logits.mean(axis=1) - own) >= 0:
        return 1.0, "1, validation images are predicted no better than evenly"
    if _slope(logits, own, inverse=1 / LEAST) < 0:
        return LEAST, f"{LEAST:g}, the least allowed"
    if _slope(logits, own, inverse=1 / LARGEST) > 0:
        return LARGEST, f"{LARGEST:g}, the largest allowed"
    low, high = 1 / LARGEST, 1 / LEAST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _slope(logits, own, inverse=middle) > 0:
            high = middle
        else:
            low = middle
    return float(f"{2 / (low + high):.9g}"), FITTED


def _slope(logits: Logits, own: NDArray[np.float64], *, inverse: float) -> float:
    """Return the derivative of the mean log loss by the inverse of the temperature."""
    scaled = inverse * logits
    shares = np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True))
    return float(np.mean((shares * logits).sum(axis=1) - own))
