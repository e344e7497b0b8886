"""The test images that went worst and those that were least certain, to be looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from medvision.domain.arms import is_ensemble, rank_arm
from medvision.report.sources import Row, Sources, list_unique, parse_number
from medvision.report.target_errors import (
    FindingErrors,
    FindingRow,
    ValueRow,
    find_finding_errors,
    find_value_errors,
)
from medvision.report.words import ARMS, say

MAX_ERRORS = 12
"""Images of each list, however large the cohort is."""


@dataclass(frozen=True)
class ErrorRow:
    """One test image and what the networks that tested it said on average.

    Args:
        image_id: Its name.
        label: Its class.
        said: The class of the largest mean probability.
        probability: That probability.
        of_label: The mean probability of the label.
    """

    image_id: str
    label: str
    said: str
    probability: float
    of_label: float


@dataclass(frozen=True)
class ErrorFacts:
    """Where one arm was wrong, and where it was unsure.

    Args:
        arm: The arm in words.
        n_images: Test images.
        n_wrong: Images whose most probable class is not their label.
        n_models: Networks that tested each image, whose probabilities are averaged.
        worst: Wrong images, that of the least probable label first.
        unsure: Images of the smallest distance between their two most probable classes.
        findings: Of several findings, where each went wrong.
        unsure_findings: Of several findings, those of images that are least certain.
        values: Of a value, the largest errors.
        disputed: Of a value, images on which the networks differ most.
    """

    arm: str
    n_images: int
    n_wrong: int
    n_models: int
    worst: tuple[ErrorRow, ...]
    unsure: tuple[ErrorRow, ...]
    findings: tuple[FindingErrors, ...] = ()
    unsure_findings: tuple[FindingRow, ...] = ()
    values: tuple[ValueRow, ...] = ()
    disputed: tuple[ValueRow, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """Return the names of all images that are shown."""
        names = [row.image_id for row in (*self.worst, *self.unsure)]
        names += [row.image_id for finding in self.findings for row in finding.worst]
        names += [row.image_id for row in self.unsure_findings]
        names += [row.image_id for row in (*self.values, *self.disputed)]
        return tuple(dict.fromkeys(names))


NO_ERRORS = ErrorFacts("", 0, 0, 0, (), ())
"""Where nothing was predicted."""


def build_errors(sources: Sources, *, classes: Sequence[str], task: str) -> ErrorFacts:
    """Find the worst and the least certain test images of the main arm.

    Args:
        sources: Table `predictions`.
        classes: Class names, or findings, in their order.
        task: classification, multilabel or regression.

    Returns:
        At most `MAX_ERRORS` images in each list, ties in the order of their names.
    """
    tested = [row for row in sources.table("predictions") if row["split"] == "test"]
    arms = sorted(list_unique(row["arm"] for row in tested), key=rank_arm)
    arm = next((name for name in arms if not is_ensemble(name)), "")
    if not arm:
        return NO_ERRORS
    by_image: dict[str, list[Row]] = {}
    for row in tested:
        if row["arm"] == arm:
            by_image.setdefault(row["image_id"], []).append(row)
    n_models = max(len(found) for found in by_image.values())
    found = ErrorFacts(say(arm, ARMS), len(by_image), 0, n_models, (), ())
    if task == "multilabel":
        findings, unsure = find_finding_errors(by_image, classes)
        return replace(found, findings=findings, unsure_findings=unsure)
    if task == "regression":
        values, disputed = find_value_errors(by_image)
        return replace(found, values=values, disputed=disputed)
    return _find_class_errors(found, by_image, classes=classes)


def _find_class_errors(
    found: ErrorFacts, by_image: Mapping[str, Sequence[Row]], *, classes: Sequence[str]
) -> ErrorFacts:
    """Find the worst and the least certain images of classes; of one class there are none."""
    if len(classes) < 2:
        return NO_ERRORS
    held = {name: _average(rows, classes) for name, rows in sorted(by_image.items())}
    rows = {name: _build_row(by_image[name][0], means) for name, means in held.items()}
    wrong = [row for row in rows.values() if row.said != row.label]
    unsure = sorted(rows.values(), key=lambda row: _find_margin(held[row.image_id]))
    return replace(
        found,
        n_wrong=len(wrong),
        worst=tuple(sorted(wrong, key=lambda row: row.of_label)[:MAX_ERRORS]),
        unsure=tuple(unsure[:MAX_ERRORS]),
    )


def _average(rows: Sequence[Row], classes: Sequence[str]) -> dict[str, float]:
    """Return the mean probability of each class over the networks that tested an image."""
    return {
        name: sum(parse_number(row.get(f"probability_{name}")) or 0.0 for row in rows) / len(rows)
        for name in classes
    }


def _build_row(row: Row, means: Mapping[str, float]) -> ErrorRow:
    """Return one image's row."""
    said = max(means, key=lambda name: means[name])
    return ErrorRow(row["image_id"], row["label"], said, means[said], means.get(row["label"], 0.0))


def _find_margin(means: Mapping[str, float]) -> float:
    """Return the distance between the two most probable classes."""
    first, second = sorted(means.values(), reverse=True)[:2]
    return first - second
