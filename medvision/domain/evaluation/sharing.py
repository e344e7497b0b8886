"""What two studies share: the test images of both, and the subjects that either joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.threshold import BY_YOUDEN, OperatingRule
from medvision.errors import DataError

Row = Mapping[str, str]

_LINK = "{side}:{name}"
_TASKS = {"classification": "classes", "multilabel": "findings", "regression": "a value"}


@dataclass(frozen=True)
class StudyTest:
    """What a study predicted.

    Args:
        name: What the study is called in messages and results, such as "A".
        rows: Rows of `predict/predictions.tsv`.
        groups: image_id to the group of subjects that is resampled as one.
        classes: Class names in order, and the positive one of two; findings; or a value's name.
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
class Shared:
    """Two studies cut down to the test images of both; validation stays whole, for thresholds.

    Args:
        a: The first study, with the groups of both.
        b: The second, with the same groups.
        overlap: Counts of what is shared.
    """

    a: StudyTest
    b: StudyTest
    overlap: Overlap


def find_shared(a: StudyTest, b: StudyTest) -> Shared:
    """Find the test images of both studies, and join the subjects that either study joined.

    Args:
        a: The first study.
        b: The second.

    Raises:
        DataError: Tasks or classes differ, no test image is shared, or shared ones are labelled
            differently.
    """
    _check_predicted(a, b)
    tested = [{row["image_id"]: row for row in s.rows if row["split"] == "test"} for s in (a, b)]
    images = tested[0].keys() & tested[1].keys()
    overlap = _count(*tested, images=images)
    _check_shared(a, b, overlap=overlap)
    _check_labels(*tested, images=images, task=a.classes.task)
    groups = _join_groups(a, b, images=sorted(images))
    return Shared(
        a=_keep(a, images, groups=groups), b=_keep(b, images, groups=groups), overlap=overlap
    )


def _keep(study: StudyTest, images: set[str], *, groups: Mapping[str, str]) -> StudyTest:
    """Return a study on the test images named; validation stays whole."""
    rows = [row for row in study.rows if row["split"] != "test" or row["image_id"] in images]
    return replace(study, rows=rows, groups=groups)


def _count(a: Mapping[str, Row], b: Mapping[str, Row], *, images: set[str]) -> Overlap:
    """Count what is tested by each study, and by both."""
    return Overlap(
        n_images_a=len(a),
        n_images_b=len(b),
        n_images=len(images),
        n_subjects_a=len({row["subject"] for row in a.values()}),
        n_subjects_b=len({row["subject"] for row in b.values()}),
        n_subjects=len({a[name]["subject"] for name in images}),
    )


def _check_predicted(a: StudyTest, b: StudyTest) -> None:
    """Refuse studies that do not predict the same."""
    tasks = [_TASKS[study.classes.task] for study in (a, b)]
    if tasks[0] != tasks[1]:
        raise DataError(
            f"{a.name} and {b.name}: what is predicted must be of one kind, got {tasks[0]} and "
            f"{tasks[1]}.",
            "compare studies of one data.task.",
        )
    if a.classes != b.classes:
        told = [_describe(study.classes) for study in (a, b)]
        what = {
            "classification": "classes, their order and the positive one",
            "multilabel": "findings and their order",
            "regression": "the value's name",
        }[a.classes.task]
        raise DataError(
            f"{a.name} and {b.name}: {what} must be equal, got {told[0]} and {told[1]}.",
            "compare studies of one question; the labels, cohort.positive and data.findings name "
            "what is predicted.",
        )


def _describe(classes: Classes) -> str:
    """Name what a study predicts."""
    positive = f" ({classes.positive} positive)" if classes.positive else ""
    return f"{', '.join(classes.names)}{positive}"


def _check_shared(a: StudyTest, b: StudyTest, *, overlap: Overlap) -> None:
    """Refuse studies that tested different images."""
    if overlap.n_images == 0:
        raise DataError(
            f"{a.name} and {b.name}: test images must be shared, got none of {overlap.n_images_a} "
            f"and {overlap.n_images_b}.",
            "compare studies of one cohort whose pseudonyms were made with one key "
            "(ingest.key); where the split is given, give both the same.",
        )


def _check_labels(
    a: Mapping[str, Row], b: Mapping[str, Row], *, images: set[str], task: str
) -> None:
    """Refuse studies in which an image has two truths; 41 and 41.0 are one."""
    read = float if task == "regression" else str
    n_unequal = sum(read(a[name]["label"]) != read(b[name]["label"]) for name in images)
    if n_unequal:
        raise DataError(
            f"test images: labels must be equal in both studies, got {n_unequal} of {len(images)} "
            "labelled differently.",
            "run the study with the older labels again, from the step cohort on.",
        )


def _join_groups(a: StudyTest, b: StudyTest, *, images: Sequence[str]) -> dict[str, str]:
    """Name each image's cluster: images are one where either study joins them, even in turn."""
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
    return {image: find(image) for image in images}
