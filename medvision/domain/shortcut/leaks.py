"""What controls say of leaks: what a split of images would have added to the figure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medvision.domain.evaluation.estimate import Estimate
from medvision.domain.evaluation.external import combine_ends, subtract_unpaired
from medvision.domain.resampling.draws import Draws, find_ends
from medvision.domain.shortcut.judge import Question
from medvision.domain.shortcut.null import Null, compute_null


@dataclass(frozen=True)
class Gap:
    """One target's figure after an image-level split, minus that after the study's own.

    Args:
        target: The finding; empty where there is one question only.
        image_level: Figure of the control.
        subject_level: Figure of the study's own network, of the same folds and seed.
        difference: Image-level minus subject-level; None where one of them is undefined.
        low: End of its interval; None where there is none.
        high: Likewise.
        method: How it was made, or why there is none.
    """

    target: str
    image_level: Estimate
    subject_level: Estimate
    difference: float | None
    low: float | None
    high: float | None
    method: str

    @property
    def is_higher(self) -> bool:
        """Whether the interval of the difference lies above 0."""
        return self.low is not None and self.low > 0

    @property
    def is_lower(self) -> bool:
        """Whether it lies below 0."""
        return self.high is not None and self.high < 0


def compare_splits(
    image_level: Sequence[Question], subject_level: Sequence[Question], *, arms: tuple[str, str]
) -> list[Gap]:
    """Set the figures of both splits side by side, at the level of the questions' intervals.

    The test images are others, so the difference is unpaired: each is resampled by itself. Subjects
    that both test are then counted as two, which makes the interval wider than it need be.

    Args:
        image_level: Targets of the control, resampled with another seed than the study's own.
        subject_level: The same targets of the study's own network.
        arms: Name of each in its questions.

    Source:
        Two-sample bootstrap: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter
        8. What splitting slices adds: Yagis et al. 2021, doi:10.1038/s41598-021-01681-w.
    """
    return [
        _compare(one, other, arms=arms)
        for one, other in zip(image_level, subject_level, strict=True)
    ]


def pool_p(questions: Sequence[Question], name: str, *, n_images: int) -> float | None:
    """Return the p-value of the sum of one arm's figures; None where it has none.

    Small leaks into many targets show together where none shows by itself. Where every target is
    known of every image, all were permuted alike, so that the sums under permutation are known;
    otherwise their deviation is taken to be the sum of the deviations, which it cannot exceed.

    Args:
        questions: All targets.
        name: The arm.
        n_images: Test images.

    Source:
        Permutation of a combined statistic: Pesarin 2001, Multivariate Permutation Tests.
    """
    known = [each for each in questions if not np.isnan(each.draws[name].value)]
    if not known:
        return None
    nulls = [each.nulls[name] for each in known]
    value = sum(each.draws[name].value for each in known)
    if all(each.estimates[name].n_images == n_images for each in known):
        return compute_null(np.sum([null.permuted for null in nulls], axis=0)).compute_p(value)
    mean, deviation = sum(null.mean for null in nulls), sum(null.deviation for null in nulls)
    return Null(mean, deviation, np.empty(0)).compute_p(value)


def _compare(one: Question, other: Question, *, arms: tuple[str, str]) -> Gap:
    """Subtract one target's figures."""
    draws = subtract_unpaired(one.draws[arms[0]], other.draws[arms[1]])
    of = one.estimates[arms[0]], other.estimates[arms[1]]
    low, high, method = _find_interval(draws, one, of=of)
    return Gap(
        target=one.target,
        image_level=of[0],
        subject_level=of[1],
        difference=None if np.isnan(draws.value) else draws.value,
        low=low,
        high=high,
        method=method,
    )


def _find_interval(
    draws: Draws, one: Question, *, of: tuple[Estimate, Estimate]
) -> tuple[float | None, float | None, str]:
    """Return the interval of a difference, None where there is none, and how it was made."""
    if np.isnan(draws.value):
        return None, None, "undefined: a figure is undefined after one of the splits"
    if not draws.is_kept:
        return None, None, draws.say_lost()
    if not draws.is_moving:
        ends = combine_ends(*of)
        if ends is None:
            return None, None, draws.say_still()
        return *ends, "unpaired, on other test images; of both figures' own intervals (Newcombe)"
    low, high, kind = find_ends(draws, one.drawn)
    return low, high, f"unpaired, on other test images; {kind}, each split resampled by itself"
