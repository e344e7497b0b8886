"""What a gate says: criteria with their thresholds and reasons, and images refused one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PASSED, REFUSED, UNDECIDED, DESCRIBED = "passed", "refused", "undecided", "described"
"""Verdicts; a gate that cannot look does not open, so that undecided is as good as refused."""

COLUMNS = (
    *("criterion", "space", "statistic", "value", "low", "high", "n", "comparator", "threshold"),
    *("source", "verdict", "reason"),
)
"""Columns of a table of criteria."""


@dataclass(frozen=True)
class Criterion:
    """One statistic of the synthetic images, held against what real images do.

    Args:
        criterion: What is asked: quality, diversity, memorisation, membership, fidelity or
            saliency.
        space: Features that it is asked in.
        statistic: What was computed.
        value: Of the synthetic images; NaN where it is undefined.
        low: Lower end of its interval; NaN without one.
        high: Upper end.
        n: Images that it is of.
        comparator: The same of real images.
        threshold: Beyond which the generator is refused.
        source: Where comparator and threshold come from, in words.
        verdict: passed, refused, undecided or described.
        reason: In words.
    """

    criterion: str
    space: str
    statistic: str
    value: float
    low: float
    high: float
    n: int
    comparator: float
    threshold: float
    source: str
    verdict: str
    reason: str

    @property
    def is_closed(self) -> bool:
        """Whether this criterion alone keeps the gate shut."""
        return self.verdict in (REFUSED, UNDECIDED)


@dataclass(frozen=True)
class Refusal:
    """One synthetic image that may not be used, by position, and why."""

    image: int
    reason: str


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a generator.

    Args:
        criteria: Everything that was asked.
        refused: Images that may not be used, each once, in order of their positions.
        is_open: Whether the others may be used.
        reason: In words.
    """

    criteria: tuple[Criterion, ...]
    refused: tuple[Refusal, ...]
    is_open: bool
    reason: str

    def list_accepted(self, n_images: int) -> list[int]:
        """Return the positions of the images that an open gate does not refuse; none of a shut one.

        Args:
            n_images: Images that were judged.
        """
        refused = {own.image for own in self.refused}
        return [n for n in range(n_images) if n not in refused] if self.is_open else []


def find_ends(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Return between which values the middle share of all lies; NaN where there is none."""
    held = values[np.isfinite(values)]
    if not len(held):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(held, [tail, 1 - tail])
    return float(low), float(high)


def close_gate(criteria: Sequence[Criterion], refused: Sequence[Refusal]) -> Verdict:
    """Put the criteria together: the gate opens where all that decide have passed.

    Args:
        criteria: Everything that was asked.
        refused: Images refused one by one; those of one image are joined.

    Returns:
        The verdict, with the criteria that keep the gate shut in its reason.
    """
    by_image: dict[int, list[str]] = {}
    for own in refused:
        by_image.setdefault(own.image, []).append(own.reason)
    joined = tuple(Refusal(image, "; ".join(by_image[image])) for image in sorted(by_image))
    shut = [own for own in criteria if own.is_closed]
    n_decided = sum(own.verdict == PASSED for own in criteria)
    if not shut and n_decided:
        reason = f"all {n_decided} criteria passed"
    elif not shut:
        reason = "nothing was asked"
    else:
        names = dict.fromkeys(f"{own.criterion} ({own.verdict})" for own in shut)
        reason = f"{len(shut)} of {n_decided + len(shut)} criteria not passed: {', '.join(names)}"
    return Verdict(tuple(criteria), joined, not shut and n_decided > 0, reason)
