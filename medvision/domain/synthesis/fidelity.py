"""Class fidelity: a network that saw real images alone finds the class that was asked for."""

import math
from dataclasses import dataclass

import numpy as np

from medvision.domain.metrics.calibration import compute_wilson
from medvision.domain.metrics.weighted import Flags
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
    is not surely better than chance on real images can tell nothing, and neither can one of a
    class where swapped labels would not be refused: images of other classes, which it calls this
    one as often as it does real ones. A class of which nothing was drawn is not judged.

    Args:
        agreement: Predictions.
        classes: Class names in order.
        rules: How to judge.

    Returns:
        One row a class.

    Source:
        none: own definition; what a comparison can tell: ICH E10 2000; the interval of a mean of
        shares from theirs: Zou and Donner 2008, doi:10.1002/sim.3095.
    """
    found, low, chance = _find_skill(agreement, rules.confidence)
    unable = ""
    if not low > chance:
        unable = (
            f"the classifier is not surely better than chance on validation images: it finds "
            f"{found:.0%} of a class, at least {low:.0%}, and chance is {chance:.0%}"
        )
    return [
        _judge_class(agreement, index, name, unable=unable, rules=rules)
        for index, name in enumerate(classes)
    ]


def _find_skill(agreement: Agreement, confidence: float) -> tuple[float, float, float]:
    """Return the mean share found over the classes of real images, its lower end, and chance."""
    shares, gaps = [], []
    for label in np.unique(agreement.real_labels):
        own = agreement.real_labels == label
        is_right = agreement.real[own] == label
        n = count_effective(is_right, agreement.clusters[own])
        shares.append(float(is_right.mean()))
        gaps.append(shares[-1] - _wilson(shares[-1], n, confidence=confidence)[0])
    if not shares:
        return float("nan"), float("nan"), 1.0
    found = float(np.mean(shares))
    return found, found - math.hypot(*gaps) / len(gaps), 1 / len(shares)


def _find_others(agreement: Agreement, index: int) -> float:
    """Return how often real images of other classes are called this one, classes alike."""
    others = [n for n in np.unique(agreement.real_labels) if n != index]
    shares = [float((agreement.real[agreement.real_labels == n] == index).mean()) for n in others]
    return float(np.mean(shares)) if shares else 1.0


def _judge_class(
    agreement: Agreement, index: int, name: str, *, unable: str, rules: Rules
) -> Criterion:
    """Judge one class."""
    own = agreement.real_labels == index
    made = agreement.synthetic[agreement.synthetic_labels == index] == index
    real, whose = agreement.real[own] == index, agreement.clusters[own]
    value = low = high = comparator = float("nan")
    if len(made) and len(real):
        value, comparator = float(made.mean()), float(real.mean())
        low, high = compare_shares(made, real, clusters=whose, confidence=rules.confidence)
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
    elif unable:
        verdict, reason = UNDECIDED, unable
    elif verdict == PASSED:
        verdict, reason = _ask_swapped(
            (_find_others(agreement, index), len(made)),
            (comparator, count_effective(real, whose)),
            reason=reason,
            rules=rules,
        )
    return Criterion(
        criterion="fidelity",
        space="classifier",
        statistic=f"difference of agreement: {name}",
        value=value - comparator,
        low=low,
        high=high,
        n=len(made),
        comparator=comparator,
        threshold=0.0,
        source=f"agreement on validation images of {agreement.source}",
        verdict=verdict,
        reason=reason,
    )


def _ask_swapped(
    others: tuple[float, int], real: tuple[float, float], *, reason: str, rules: Rules
) -> tuple[str, str]:
    """Leave a class undecided where swapped labels would have passed just as well."""
    if _compare(others, real, confidence=rules.confidence)[1] < 0:
        return PASSED, reason
    return UNDECIDED, (
        f"the classifier finds this class in {real[0]:.0%} of its validation images and in "
        f"{others[0]:.0%} of the others', too little apart for swapped labels to be refused"
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
    return _compare(
        (float(made.mean()), len(made)),
        (float(real.mean()), count_effective(real, clusters)),
        confidence=confidence,
    )


def _compare(
    made: tuple[float, float], real: tuple[float, float], *, confidence: float
) -> tuple[float, float]:
    """Return the interval of the difference of two shares, each with its count."""
    first, second = made[0], real[0]
    low_1, high_1 = _wilson(first, made[1], confidence=confidence)
    low_2, high_2 = _wilson(second, real[1], confidence=confidence)
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
