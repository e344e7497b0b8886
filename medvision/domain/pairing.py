"""Two studies on the subjects that both tested: who is shared, and how their figures differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvision.domain.arms import rank_arm
from medvision.domain.estimate import (
    Difference,
    Estimate,
    build_differences,
    build_estimates,
    resample,
)
from medvision.domain.evaluation import build_test
from medvision.domain.labels import Classes
from medvision.domain.prediction import Indices
from medvision.domain.settings import Settings
from medvision.domain.statistic import ArmTest
from medvision.domain.threshold import BY_YOUDEN, OperatingRule
from medvision.errors import DataError

Row = Mapping[str, str]

_LINK = "{side}:{name}"


@dataclass(frozen=True)
class StudyTest:
    """What a study predicted.

    Args:
        name: What the study is called in messages and results, such as "A".
        rows: Rows of `predict/predictions.tsv`.
        groups: image_id to the group of subjects that is resampled as one.
        classes: Class names in order, and the positive one of two.
        rule: What its thresholds are fitted for.
    """

    name: str
    rows: Sequence[Row]
    groups: Mapping[str, str]
    classes: Classes
    rule: OperatingRule = BY_YOUDEN


@dataclass(frozen=True)
class Overlap:
    """Test images and subjects of each study, and those that both have."""

    n_images_a: int
    n_images_b: int
    n_images: int
    n_subjects_a: int
    n_subjects_b: int
    n_subjects: int


@dataclass(frozen=True)
class Pairing:
    """One network of each study on the shared test images.

    Args:
        arm_a: Arm of the first study.
        arm_b: Arm of the second.
        estimates: Each study's figures; `arm` is the study's name.
        differences: First study minus second, figure by figure.
    """

    arm_a: str
    arm_b: str
    estimates: tuple[Estimate, ...]
    differences: tuple[Difference, ...]


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
        Counts of what is shared, and for each pair of arms estimates and differences.

    Raises:
        DataError: Classes differ, no test image is shared, or shared ones are labelled
            differently.

    Source:
        Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x (cluster bootstrap), paired.
    """
    _check_classes(a, b)
    tested_a, tested_b = (_read_tested(study.rows) for study in (a, b))
    shared = frozenset(tested_a) & frozenset(tested_b)
    overlap = _count_overlap(tested_a, tested_b, shared=shared)
    _check_shared(a, b, overlap=overlap)
    _check_labels(tested_a, tested_b, shared=shared)
    arms_a, arms_b = (_build_shared(study, shared) for study in (a, b))
    clusters = _join_groups(a, b, images=next(iter(arms_a.values())).rounds[0].image_ids)
    pairings = [
        _pair(
            {
                a.name: _set(arms_a[arm_a], clusters, settings=settings),
                b.name: _set(arms_b[arm_b], clusters, settings=settings),
            },
            arms=(arm_a, arm_b),
            settings=settings,
        )
        for arm_a, arm_b in _list_arms(arms_a, arms_b)
    ]
    return StudyComparison(overlap, tuple(pairings))


def _read_tested(rows: Sequence[Row]) -> dict[str, Row]:
    """Return a row of each test image."""
    return {row["image_id"]: row for row in rows if row["split"] == "test"}


def _count_overlap(
    a: Mapping[str, Row], b: Mapping[str, Row], *, shared: frozenset[str]
) -> Overlap:
    """Count what is tested by each study, and by both."""
    return Overlap(
        n_images_a=len(a),
        n_images_b=len(b),
        n_images=len(shared),
        n_subjects_a=len({row["subject"] for row in a.values()}),
        n_subjects_b=len({row["subject"] for row in b.values()}),
        n_subjects=len({a[name]["subject"] for name in shared}),
    )


def _check_classes(a: StudyTest, b: StudyTest) -> None:
    """Refuse studies that do not predict the same, and tasks that are not compared here."""
    if a.classes.task != "classification":
        raise DataError(
            f"{a.name}: what is predicted must be a class to compare studies, got a study of "
            f"{a.classes.task}.",
            "hold their evaluate/metrics.tsv side by side; their intervals are not paired.",
        )
    if a.classes != b.classes:
        told = [", ".join(study.classes.names) or "none" for study in (a, b)]
        raise DataError(
            f"{a.name} and {b.name}: classes, their order and the positive one must be equal, got "
            f"{told[0]} and {told[1]}.",
            "compare studies of one question; cohort.positive and the labels name the classes.",
        )


def _check_shared(a: StudyTest, b: StudyTest, *, overlap: Overlap) -> None:
    """Refuse studies that tested different images."""
    if overlap.n_images == 0:
        raise DataError(
            f"{a.name} and {b.name}: test images must be shared, got none of {overlap.n_images_a} "
            f"and {overlap.n_images_b}.",
            "compare studies of one cohort whose pseudonyms were made with one key "
            "(ingest.key); where the split is given, give both the same.",
        )


def _check_labels(a: Mapping[str, Row], b: Mapping[str, Row], *, shared: frozenset[str]) -> None:
    """Refuse studies in which an image has two truths."""
    n_unequal = sum(a[name]["label"] != b[name]["label"] for name in shared)
    if n_unequal:
        raise DataError(
            f"test images: labels must be equal in both studies, got {n_unequal} of {len(shared)} "
            "labelled differently.",
            "run the study with the older labels again, from the step cohort on.",
        )


def _build_shared(study: StudyTest, shared: frozenset[str]) -> dict[str, ArmTest]:
    """Return a study's arms on the shared images; validation stays whole, for the thresholds."""
    rows = [row for row in study.rows if row["split"] != "test" or row["image_id"] in shared]
    test = build_test(rows, study.groups, classes=study.classes, rule=study.rule)
    return dict(test.arms)


def _list_arms(a: Mapping[str, ArmTest], b: Mapping[str, ArmTest]) -> list[tuple[str, str]]:
    """Return which arm is compared with which."""
    common = sorted(set(a) & set(b), key=rank_arm)
    return [(name, name) for name in common] or [(min(a, key=rank_arm), min(b, key=rank_arm))]


def _join_groups(a: StudyTest, b: StudyTest, *, images: Sequence[str]) -> Indices:
    """Number the clusters: images are one where either study joins them, directly or in turn."""
    roots: dict[str, str] = {}

    def find(name: str) -> str:
        while roots.setdefault(name, name) != name:
            name = roots[name]
        return name

    for study in (a, b):
        subjects = {row["image_id"]: row["subject"] for row in study.rows}
        for image in images:
            group = study.groups.get(image) or subjects[image]
            roots[find(image)] = find(_LINK.format(side=study.name, name=group))
    _, numbers = np.unique([find(image) for image in images], return_inverse=True)
    return numbers.astype(np.intp)


def _set(arm: ArmTest, clusters: Indices, *, settings: Settings) -> ArmTest:
    """Return an arm with the clusters of both studies and the settings of the first."""
    return replace(
        arm,
        clusters=clusters,
        prevalence=settings.prevalence,
        n_bins=settings.calibration_bins,
    )


def _pair(
    held: Mapping[str, ArmTest],
    *,
    arms: tuple[str, str],
    settings: Settings,
) -> Pairing:
    """Compare one network of each study."""
    resampled = resample(held, settings)
    return Pairing(
        arm_a=arms[0],
        arm_b=arms[1],
        estimates=tuple(build_estimates(resampled)),
        differences=tuple(build_differences(resampled)),
    )
