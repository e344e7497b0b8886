"""Temperature scaling: one number per network, or finding, that makes probabilities less sure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medvision.domain.labels.findings import parse_findings
from medvision.domain.labels.rows import Task
from medvision.domain.metrics.pooling import Logits
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


@dataclass(frozen=True)
class Question:
    """What one temperature is fitted on.

    Args:
        logits: (N, C); of a finding (N, 2), absent and there, the first 0.
        labels: (N,) index of the true class.
        subjects: (N,) pseudonyms.
    """

    logits: Logits
    labels: Indices
    subjects: tuple[str, ...]


def part_questions(
    logits: Logits,
    labels: Sequence[str],
    *,
    subjects: Sequence[str],
    names: Sequence[str],
    task: Task,
) -> dict[str, Question]:
    """Return what has a temperature of its own: all classes together, or each finding.

    Args:
        logits: (N, C) of the validation images.
        labels: (N,) as the folds hold them.
        subjects: (N,) pseudonyms.
        names: C classes, or findings.
        task: classification or multilabel.

    Returns:
        Finding to the images of which it is known; of classes everything under the empty name.
    """
    if task != "multilabel":
        held = np.array([list(names).index(label) for label in labels], dtype=np.intp)
        return {"": Question(logits, held, tuple(subjects))}
    truth = parse_findings(labels, names)
    found = {}
    for n, name in enumerate(names):
        known = np.flatnonzero(~np.isnan(truth[:, n]))
        pairs = np.stack([np.zeros(len(known)), logits[known, n]], axis=1)
        own = tuple(subjects[place] for place in known.tolist())
        found[name] = Question(pairs, truth[known, n].astype(np.intp), own)
    return found


def fit_temperatures(questions: Mapping[str, Question], *, least: int) -> dict[str, Temperature]:
    """Fit the temperature of each question, where there are subjects enough.

    Args:
        questions: As `part_questions` gives them.
        least: Validation subjects below which the temperature is 1, with the rule saying so.

    Returns:
        Finding to its temperature; of classes the one under the empty name.
    """
    found = {}
    for name, each in questions.items():
        fitted = fit_temperature(each.logits, each.labels)
        n_subjects = len(set(each.subjects))
        if 0 < n_subjects < least:
            rule = f"1, {n_subjects} validation subjects, fewer than {least}"
            fitted = replace(fitted, value=1.0, rule=rule, nll_after=fitted.nll_before)
        found[name] = fitted
    return found


def list_divisors(temperatures: Mapping[str, float], names: Sequence[str]) -> NDArray[np.float64]:
    """Return what logits are divided by: (1,) of classes, (C,) of findings in their order.

    Args:
        temperatures: Finding to its temperature; of classes the one under the empty name.
        names: Findings in their order.
    """
    own = [""] if "" in temperatures else names
    return np.array([temperatures[name] for name in own], dtype=np.float64)


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
