"""Class fidelity: a network that saw real images alone finds the class that was asked for."""

import math
from dataclasses import dataclass

import numpy as np

from medvision.domain.calibration import compute_wilson
from medvision.domain.metrics import Flags
from medvision.domain.prediction import Indices
from medvision.domain.synthesis.criterion import DESCRIBED, PASSED, REFUSED, UNDECIDED, Criterion
from medvision.domain.synthesis.sample import Rules


@dataclass(frozen=True)
class Agreement:
    """A classifier's predictions of real and of synthetic images.

    Args:
        source: Which classifier, in words, with its digest: trained on the train images of the
            fold alone, its epoch chosen on the validation images.
        real: (N,) predicted class of each validation image.
        real_labels: (N,) true class.
        clusters: (N,) whom each is of.
        synthetic: (M,) predicted class of each synthetic image.
        synthetic_labels: (M,) class that was asked for.
    """

    source: str
    real: Indices
    real_labels: Indices
    clusters: Indices
    synthetic: Indices
    synthetic_labels: Indices


def judge_fidelity(
    agreement: Agreement, *, classes: tuple[str, ...], rules: Rules
) -> list[Criterion]:
    """Ask whether a classifier agrees with synthetic labels as often as with real ones.

    Class by class, the share of synthetic images that it finds right minus that of validation
    images. A class is refused where the interval of the difference lies below 0. A classifier that
    is no better than chance on real images can tell nothing; a class of which nothing was drawn is
    not judged.

    Args:
        agreement: Predictions.
        classes: Class names in order.
        rules: How to judge.

    Returns:
        One row a class.
    """
    is_right = agreement.real == agreement.real_labels
    shares = [
        float(is_right[agreement.real_labels == n].mean())
        for n in range(len(classes))
        if (agreement.real_labels == n).any()
    ]
    is_able = bool(shares) and float(np.mean(shares)) > 1 / len(classes)
    return [
        _judge_class(agreement, index, name, is_able=is_able, rules=rules)
        for index, name in enumerate(classes)
    ]


def _judge_class(
    agreement: Agreement, index: int, name: str, *, is_able: bool, rules: Rules
) -> Criterion:
    """Judge one class."""
    own = agreement.real_labels == index
    made = agreement.synthetic[agreement.synthetic_labels == index] == index
    real, whose = agreement.real[own] == index, agreement.clusters[own]
    value = low = high = comparator = float("nan")
    if len(made) and len(real):
        value, comparator = float(made.mean()), float(real.mean())
        low, high = compare_shares(made, real, clusters=whose, confidence=rules.confidence)
    difference = value - comparator
    verdict = REFUSED if high < 0 else PASSED
    said = "less often than" if verdict == REFUSED else "about as often as"
    reason = (
        f"the classifier agrees with {value:.0%} of the labels of synthetic images, {said} with "
        f"those of validation images ({comparator:.0%})"
    )
    if not len(made):
        verdict, reason = DESCRIBED, "no images of this class were drawn"
    elif not len(real):
        verdict, reason = UNDECIDED, "no validation images of this class"
    elif not is_able:
        verdict = UNDECIDED
        reason = "the classifier is no better than chance on validation images"
    return Criterion(
        criterion="fidelity",
        space="classifier",
        statistic=f"difference of agreement: {name}",
        value=difference,
        low=low,
        high=high,
        n=len(made),
        comparator=comparator,
        threshold=0.0,
        source=f"agreement on validation images of {agreement.source}",
        verdict=verdict,
        reason=reason,
    )


def compare_shares(
    made: Flags, real: Flags, *, clusters: Indices, confidence: float
) -> tuple[float, float]:
    """Compute the interval of a share of synthetic minus a share of real images.

    Args:
        made: (M,) flags of synthetic images, each independent.
        real: (N,) flags of real images.
        clusters: (N,) whom each real image is of.
        confidence: Level, such as 0.95.

    Returns:
        (low, high).

    Source:
        Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method
        10; images of one subject count as many as they are worth: `count_effective`.
    """
    first, second = float(made.mean()), float(real.mean())
    n_real = count_effective(real, clusters)
    low_1, high_1 = compute_wilson(first, len(made), confidence=confidence)
    low_2, high_2 = _wilson(second, n_real, confidence=confidence)
    gap = first - second
    low = gap - math.hypot(first - low_1, high_2 - second)
    high = gap + math.hypot(high_1 - first, second - low_2)
    return max(-1.0, low), min(1.0, high)


def _wilson(share: float, n: float, *, confidence: float) -> tuple[float, float]:
    """Return Wilson's interval of a whole number of observations, rounded down."""
    return compute_wilson(share, max(1, math.floor(n + 1e-9)), confidence=confidence)


def count_effective(flags: Flags, clusters: Indices) -> float:
    """Count how many independent images so many of a few subjects are worth.

    Args:
        flags: (N,) one flag per image.
        clusters: (N,) whom each is of.

    Returns:
        N divided by the design effect, at most N; the number of subjects where all flags agree, as
        the effect is then unknown.

    Source:
        Rao and Scott 1992, doi:10.2307/2532311.
    """
    _, index = np.unique(clusters, return_inverse=True)
    flat = index.reshape(-1)
    n, k = len(flags), int(flat.max()) + 1
    share = float(flags.mean())
    if share in (0.0, 1.0) or k < 2:
        return float(k)
    sizes = np.bincount(flat)
    gaps = np.bincount(flat, weights=flags) - share * sizes
    variance = k / (k - 1) * float((gaps**2).sum()) / n**2
    # Held against the same estimate of independent images, so that one a subject count in full.
    effect = variance / (share * (1 - share) / (n - 1))
    return n / max(1.0, effect)
