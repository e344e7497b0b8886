"""What two studies differ in besides their figures: settings, software and cohorts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.evaluation.sharing import Overlap
from medvision.domain.labels.rows import Task
from medvision.domain.record import JsonValue
from medvision.domain.splits.kinds import list_present
from medvision.report.sources import Row

_ABSENT = "–"
_MAX_LABELS = 20


@dataclass(frozen=True)
class StudyFacts:
    """One of the two studies.

    Args:
        name: "A" or "B".
        title: Its report's title.
        version: Version of medvision that made it.
        settings: Configuration section to its fields.
        software: Distribution to version.
        cohort: Rows of `cohort/cohort.tsv`.
    """

    name: str
    title: str
    version: str
    settings: Mapping[str, JsonValue]
    software: Mapping[str, str]
    cohort: Sequence[Row]


@dataclass(frozen=True)
class Unlike:
    """A setting or a version that differs; what a study lacks is a dash."""

    name: str
    a: str
    b: str


@dataclass(frozen=True)
class CohortCount:
    """One count of both cohorts, where that has a meaning, and of what both hold."""

    words: str
    a: int | None
    b: int | None
    shared: int


def flatten_settings(settings: Mapping[str, JsonValue], prefix: str = "") -> dict[str, str]:
    """Return each field by its dotted name, such as `train.epochs`, and its value as text.

    Args:
        settings: Nested sections.
        prefix: What stands before each name.
    """
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= flatten_settings(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = _show(value)
    return flat


def _show(value: JsonValue) -> str:
    """Return a setting as a reader would write it."""
    if isinstance(value, list):
        return ", ".join(_show(item) for item in value) or "none"
    if value is None:
        return "not set"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def list_unlike(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[Unlike, ...]:
    """Return what differs, by name.

    Args:
        a: Name to value of the first study.
        b: The same of the second.
    """
    return tuple(
        Unlike(name, a.get(name, _ABSENT), b.get(name, _ABSENT))
        for name in sorted({*a, *b})
        if a.get(name) != b.get(name)
    )


def count_cohorts(
    a: StudyFacts, b: StudyFacts, *, overlap: Overlap, task: Task
) -> tuple[CohortCount, ...]:
    """Count images and subjects of both cohorts, of their classes or findings and test parts.

    Args:
        a: The first study.
        b: The second.
        overlap: What was tested.
        task: classification, multilabel or regression, which has nothing to count by.
    """
    images_a, images_b = ({row["image_id"]: row for row in study.cohort} for study in (a, b))
    shared = images_a.keys() & images_b.keys()
    subjects_a, subjects_b = ({row["subject"] for row in study.cohort} for study in (a, b))
    unequal = sum(images_a[name]["label"] != images_b[name]["label"] for name in shared)
    return (
        CohortCount("Subjects", len(subjects_a), len(subjects_b), len(subjects_a & subjects_b)),
        CohortCount("Images", len(images_a), len(images_b), len(shared)),
        *_count_labels(images_a, images_b, task=task),
        CohortCount("Shared images labelled differently", None, None, unequal),
        CohortCount(
            "Test subjects", overlap.n_subjects_a, overlap.n_subjects_b, overlap.n_subjects
        ),
        CohortCount("Test images", overlap.n_images_a, overlap.n_images_b, overlap.n_images),
    )


def _count_labels(a: Mapping[str, Row], b: Mapping[str, Row], *, task: Task) -> list[CohortCount]:
    """Count the images of each class, or with each finding; of both where both say so."""
    if task == "regression":
        return []
    held = [
        {name: set(list_present(row["label"], task)) for name, row in images.items()}
        for images in (a, b)
    ]
    names = sorted({name for side in held for found in side.values() for name in found})
    verb = "with" if task == "multilabel" else "labelled"
    return [
        CohortCount(
            f"Images {verb} {name}",
            sum(name in found for found in held[0].values()),
            sum(name in found for found in held[1].values()),
            sum(
                name in found and name in held[1].get(image, ()) for image, found in held[0].items()
            ),
        )
        for name in names[:_MAX_LABELS]
    ]
