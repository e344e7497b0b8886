"""Tests of two arms on the same subjects: areas by DeLong, right predictions by McNemar."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvision.domain.arms import list_pairs
from medvision.domain.metrics.delong import compute_influences, compute_placements, compute_variance
from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.weighted import Scalars
from medvision.domain.resampling.bootstrap import join_folds
from medvision.domain.resampling.multiplicity import adjust_holm

AREAS, DECISIONS, ERRORS = "areas", "decisions", "errors"
"""The kinds of test; that of the errors of a value is in `value_tests`."""

_EQUAL = 1e-9


@dataclass(frozen=True)
class PairTest:
    """One test of `arm_a` against `arm_b`.

    Args:
        kind: areas, decisions or errors.
        arm_a: First arm.
        arm_b: Second arm.
        statistic: z of areas; subjects on which the first is better, of decisions and errors.
        n_unequal: Subjects on which decisions or errors differ; None of areas.
        p: Two-sided; None where `method` says why.
        p_holm: The same, corrected for all tests of its kind.
        n_subjects: Subjects, or groups of them, that are independent.
        method: How it was made.
    """

    kind: str
    arm_a: str
    arm_b: str
    statistic: float | None
    n_unequal: int | None
    p: float | None
    p_holm: float | None
    n_subjects: int
    method: str


def compare_pairs(arms: Mapping[str, ArmTest]) -> tuple[PairTest, ...]:
    """Test the arms in the pairs of `list_pairs`, corrected for their number.

    Args:
        arms: Name to test predictions, of the same images.

    Returns:
        Tests of areas, then of decisions; with more than two classes of decisions alone.
    """
    pairs = list_pairs(tuple(arms))
    has_area = next(iter(arms.values())).positive is not None
    kinds = (_test_areas, _test_decisions) if has_area else (_test_decisions,)
    found = [test(arms, pair) for test in kinds for pair in pairs]
    return correct_tests(found)


def correct_tests(tests: Sequence[PairTest]) -> tuple[PairTest, ...]:
    """Correct p-values for the number of tests of their kind, those without one counted.

    Args:
        tests: Of one family each kind.

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6:65-70.
    """
    adjusted: dict[int, float] = {}
    for kind in dict.fromkeys(held.kind for held in tests):
        own = [n for n, held in enumerate(tests) if held.kind == kind]
        values = adjust_holm([1.0 if (p := tests[n].p) is None else p for n in own])
        adjusted |= dict(zip(own, values, strict=True))
    return tuple(
        replace(held, p_holm=None if held.p is None else adjusted[n])
        for n, held in enumerate(tests)
    )


def _test_areas(arms: Mapping[str, ArmTest], pair: tuple[str, str]) -> PairTest:
    """Test the difference of two areas over pairs of the same fold."""
    a, b = arms[pair[0]], arms[pair[1]]
    z, method = _find_z(a, b)
    return PairTest(
        kind=AREAS,
        arm_a=pair[0],
        arm_b=pair[1],
        statistic=z,
        n_unequal=None,
        p=None if z is None else math.erfc(abs(z) / math.sqrt(2)),
        p_holm=None,
        n_subjects=len(np.unique(a.clusters)),
        method=method,
    )


def _find_z(a: ArmTest, b: ArmTest) -> tuple[float | None, str]:
    """Return the difference of the areas by its standard error, or why there is none."""
    every = [*a.rounds, *b.rounds]
    is_spanned = not np.array_equal(join_folds(a.clusters, a.folds), a.folds)
    if is_spanned or any(not np.array_equal(each.folds, a.folds) for each in every):
        return _find_z_apart(a, b)
    positive = a.is_class(a.positive or 0)
    total = variance = weights = 0.0
    for fold in np.unique(a.folds):
        here = a.folds == fold
        own = positive[here]
        if own.all() or not own.any():
            continue
        first, second = (_average_placements(arm, here) for arm in (a, b))
        value, spread = compute_variance(first - second, own, clusters=a.clusters[here])
        weight = float(own.sum()) * float((~own).sum())
        total, variance = total + weight * value, variance + weight**2 * spread
        weights += weight
    if not weights:
        return None, "not tested: no fold has test images of both classes"
    if math.isnan(variance):
        return None, "not tested: a fold has one subject alone of a class"
    if variance <= (_EQUAL * weights) ** 2:
        return None, "not tested: both rank all images alike"
    is_plain = len(np.unique(a.clusters)) == len(a.clusters)
    name = "DeLong 1988" if is_plain else "DeLong for several images a subject (Obuchowski 1997)"
    return total / math.sqrt(variance), f"{name}, areas within fold, folds by their pairs"


def _find_z_apart(a: ArmTest, b: ArmTest) -> tuple[float | None, str]:
    """Return the same where rounds, or the two arms, part the subjects into other folds.

    So too where what is independent spans folds: its influences on all of them are summed first.
    """
    areas, influences = zip(*(_average_influences(arm) for arm in (a, b)), strict=True)
    gap, gaps = areas[0] - areas[1], influences[0] - influences[1]
    if math.isnan(gap):
        return None, "not tested: a fold has one subject alone of a class, or none has both"
    _, index = np.unique(a.clusters, return_inverse=True)
    variance = float((np.bincount(index.reshape(-1), weights=gaps) ** 2).sum())
    if variance <= _EQUAL**2:
        return None, "not tested: both rank all images alike"
    return gap / math.sqrt(variance), (
        "DeLong 1988 by each subject's influence on both areas, each area within its own folds"
    )


def _average_influences(arm: ArmTest) -> tuple[float, Scalars]:
    """Return an arm's area and each image's influence on it, means over the rounds."""
    index = arm.positive or 0
    positive = arm.is_class(index)
    held = [
        compute_influences(each.scores[:, index], positive, folds=each.folds, clusters=arm.clusters)
        for each in arm.rounds
    ]
    influences: Scalars = np.mean([each for _, each in held], axis=0)
    return float(np.mean([area for area, _ in held])), influences


def _average_placements(arm: ArmTest, here: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Scalars:
    """Return the placements of a fold's images, the mean over the rounds."""
    index = arm.positive or 0
    positive = arm.is_class(index)[here]
    held = [compute_placements(each.scores[here, index], positive) for each in arm.rounds]
    result: Scalars = np.mean(held, axis=0)
    return result


def _test_decisions(arms: Mapping[str, ArmTest], pair: tuple[str, str]) -> PairTest:
    """Count the subjects of whose images either arm predicts more rightly."""
    a, b = arms[pair[0]], arms[pair[1]]
    _, index = np.unique(a.clusters, return_inverse=True)
    gaps = np.bincount(index.reshape(-1), weights=_share_right(a) - _share_right(b))
    better, worse = int((gaps > _EQUAL).sum()), int((gaps < -_EQUAL).sum())
    n_unequal = better + worse
    at = "the most probable class" if a.positive is None else "the networks' own thresholds"
    method = f"McNemar, mid-p, on subjects: more images right, at {at}"
    return PairTest(
        kind=DECISIONS,
        arm_a=pair[0],
        arm_b=pair[1],
        statistic=float(better),
        n_unequal=n_unequal,
        p=compute_mid_p(better, worse) if n_unequal else None,
        p_holm=None,
        n_subjects=len(gaps),
        method=method if n_unequal else "not tested: both are right on the same images",
    )


def _share_right(arm: ArmTest) -> Scalars:
    """Return the share of rounds that predict each image rightly."""
    result: Scalars = np.mean([each == arm.labels for each in arm.predicted], axis=0)
    return result


def compute_mid_p(n_better: int, n_worse: int) -> float:
    """Compute McNemar's two-sided mid-p value.

    Args:
        n_better: Subjects on which the first is better.
        n_worse: Subjects on which the second is; together at least one.

    Source:
        Fagerland, Lydersen and Laake 2013, doi:10.1186/1471-2288-13-91.
    """
    n, least = n_better + n_worse, min(n_better, n_worse)
    # Whole numbers, so that no power of one half underflows.
    below, own = 0, 1
    for k in range(least):
        below += own
        own = own * (n - k) // (k + 1)
    return min(1.0, float((2 * below + own) / (1 << n)))
