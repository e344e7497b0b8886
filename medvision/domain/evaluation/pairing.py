"""Two studies on the subjects that both tested: how their figures differ, and tests of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from medvision.domain.arms import rank_arm
from medvision.domain.evaluation.classes import HeldOut, build_test
from medvision.domain.evaluation.estimate import (
    Difference,
    Estimate,
    build_differences,
    build_estimates,
    resample,
    set_arms,
)
from medvision.domain.evaluation.multilabel import build_finding_tests, gather_images, join_findings
from medvision.domain.evaluation.pair_tests import PairTest, compare_pairs, correct_tests
from medvision.domain.evaluation.regression import (
    Rounds,
    average_errors,
    build_value_arms,
    resample_values,
)
from medvision.domain.evaluation.sharing import Overlap, Shared, StudyTest, find_shared
from medvision.domain.evaluation.value_tests import compare_errors
from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.prediction import number_clusters
from medvision.domain.resampling.resampled import list_differences, list_estimates
from medvision.domain.resampling.settings import Settings


@dataclass(frozen=True)
class FoundTest:
    """A test of one study against the other; of several findings, of which."""

    finding: str
    test: PairTest


@dataclass(frozen=True)
class Pairing:
    """One network of each study on the shared test images.

    Args:
        arm_a: Arm of the first study.
        arm_b: Arm of the second.
        estimates: Each study's figures; `arm` is the study's name.
        differences: First study minus second, figure by figure.
        tests: Of the difference, corrected for the number of all tests of their kind.
    """

    arm_a: str
    arm_b: str
    estimates: tuple[Estimate, ...]
    differences: tuple[Difference, ...]
    tests: tuple[FoundTest, ...]


@dataclass(frozen=True)
class StudyComparison:
    """Two studies on the same subjects."""

    overlap: Overlap
    pairings: tuple[Pairing, ...]


def compare_studies(a: StudyTest, b: StudyTest, *, settings: Settings) -> StudyComparison:
    """Compare two studies on the test images that both have, resample by resample.

    Arms of one name are compared with each other; where no name is common, each study's first
    arm. Each study keeps its own folds, within which its scores are compared, and its own
    thresholds. Subjects that either study joined into one group are resampled as one, within a
    fold of the first study.

    Args:
        a: The first study.
        b: The second; differences are first minus second.
        settings: Of resamples, intervals and prevalence; thresholds go by each study's own rule.

    Returns:
        Counts of what is shared, and for each pair of arms estimates, differences and tests.

    Raises:
        DataError: Tasks or classes differ, no test image is shared, or shared ones are labelled
            differently.

    Source:
        Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x (cluster bootstrap), paired.
    """
    shared = find_shared(a, b)
    pair = {
        "classification": _pair_classes,
        "multilabel": _pair_findings,
        "regression": _pair_values,
    }[a.classes.task]
    return StudyComparison(shared.overlap, _correct(pair(shared, settings)))


def _correct(pairings: Sequence[Pairing]) -> tuple[Pairing, ...]:
    """Correct the tests of all networks and findings together for their number."""
    every = [found.test for pairing in pairings for found in pairing.tests]
    corrected = iter(correct_tests(every))
    return tuple(
        replace(
            pairing,
            tests=tuple(
                FoundTest(found.finding, test)
                for found, test in zip(
                    pairing.tests, islice(corrected, len(pairing.tests)), strict=True
                )
            ),
        )
        for pairing in pairings
    )


def _list_arms(a: Sequence[str], b: Sequence[str]) -> list[tuple[str, str]]:
    """Return which arm is compared with which."""
    common = sorted(set(a) & set(b), key=rank_arm)
    return [(name, name) for name in common] or [(min(a, key=rank_arm), min(b, key=rank_arm))]


def _pair_classes(shared: Shared, settings: Settings) -> list[Pairing]:
    """Compare studies of classes."""
    tests = [
        build_test(study.rows, study.groups, classes=study.classes, rule=study.rule)
        for study in (shared.a, shared.b)
    ]
    return [
        _compare(_choose(shared, tests, arms=arms), arms=arms, settings=settings)
        for arms in _list_arms(list(tests[0].arms), list(tests[1].arms))
    ]


def _choose(
    shared: Shared, tests: Sequence[HeldOut], *, arms: tuple[str, str]
) -> dict[str, ArmTest]:
    """Return one arm of each study under the study's name."""
    return {
        study.name: test.arms[arm]
        for study, test, arm in zip((shared.a, shared.b), tests, arms, strict=True)
    }


def _compare(
    held: Mapping[str, ArmTest], *, arms: tuple[str, str], settings: Settings, finding: str = ""
) -> Pairing:
    """Compare one network of each study, on classes or on one finding."""
    both = set_arms(held, settings)
    resampled = resample(both, settings)
    tail = f"_{finding}" if finding else ""
    return Pairing(
        arm_a=arms[0],
        arm_b=arms[1],
        estimates=tuple(
            replace(item, metric=f"{item.metric}{tail}") for item in build_estimates(resampled)
        ),
        differences=tuple(
            replace(item, metric=f"{item.metric}{tail}") for item in build_differences(resampled)
        ),
        tests=tuple(FoundTest(finding, test) for test in compare_pairs(both)),
    )


def _pair_findings(shared: Shared, settings: Settings) -> list[Pairing]:
    """Compare studies of several findings: their means, then each finding."""
    tests = [
        build_finding_tests(study.rows, study.groups, classes=study.classes, rule=study.rule)
        for study in (shared.a, shared.b)
    ]
    first = [next(iter(each.values())) for each in tests]
    return [
        _pair_each_finding(shared, tests, arms=arms, settings=settings)
        for arms in _list_arms(list(first[0].arms), list(first[1].arms))
    ]


def _pair_each_finding(
    shared: Shared,
    tests: Sequence[Mapping[str, HeldOut]],
    *,
    arms: tuple[str, str],
    settings: Settings,
) -> Pairing:
    """Compare one network of each study on all findings."""
    held = {
        name: _choose(shared, [each[name] for each in tests], arms=arms)
        for name in shared.a.classes.names
    }
    joined = join_findings(held, gather_images(shared.a.rows, shared.a.groups), settings=settings)
    parts = [
        _compare(own, arms=arms, settings=settings, finding=name) for name, own in held.items()
    ]
    return Pairing(
        arm_a=arms[0],
        arm_b=arms[1],
        estimates=(*list_estimates(joined), *(each for part in parts for each in part.estimates)),
        differences=(
            *list_differences(joined),
            *(each for part in parts for each in part.differences),
        ),
        tests=tuple(each for part in parts for each in part.tests),
    )


def _pair_values(shared: Shared, settings: Settings) -> list[Pairing]:
    """Compare studies of a value."""
    a, b = (build_value_arms(study.rows) for study in (shared.a, shared.b))
    return [
        _compare_values(shared, a[arms[0]], b[arms[1]], arms=arms, settings=settings)
        for arms in _list_arms(list(a), list(b))
    ]


def _compare_values(
    shared: Shared, a: Rounds, b: Rounds, *, arms: tuple[str, str], settings: Settings
) -> Pairing:
    """Compare one network of each study on a value."""
    held = {shared.a.name: a, shared.b.name: b}
    joined, images = resample_values(held, shared.a.groups, settings), a[0][1]
    test = compare_errors(
        {name: average_errors(rounds) for name, rounds in held.items()},
        clusters=number_clusters(images.image_ids, images.subjects, groups=shared.a.groups),
        seed=settings.seed,
    )
    return Pairing(
        arm_a=arms[0],
        arm_b=arms[1],
        estimates=tuple(list_estimates(joined)),
        differences=tuple(list_differences(joined)),
        tests=(FoundTest("", test),),
    )
