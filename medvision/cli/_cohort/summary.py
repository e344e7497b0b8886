"""What `medvision cohort` counts: the summary that the report and later steps read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from medvision.domain.cohort import CohortImage, count_unmatched
from medvision.domain.labels.candidates import Unmatched
from medvision.domain.labels.findings import NO_FINDING, parse_findings
from medvision.domain.labels.rows import Classes, Task
from medvision.domain.labels.values import parse_values
from medvision.domain.record import JsonValue
from medvision.domain.split import Assignment, find_missing_class
from medvision.domain.splits.external import drop_external, part_cohort
from medvision.domain.splits.kinds import list_present, name_kinds
from medvision.domain.splits.leakage import HARMLESS_ACTIONS, LeakagePair
from medvision.domain.splits.mixed import Mixed, count_mixed
from medvision.runtime.files import read_json


@dataclass(frozen=True)
class Parts:
    """What the summary is made of.

    Args:
        n_label_rows: Rows of the user's table.
        classes: Class names, and the positive one.
        pairs: Pairs of images that could leak.
        images: The cohort.
        folds: Its folds.
        unmatched: Labels, images and masks left over.
        alignments: For each mask written, how it came onto its image's grid.
    """

    n_label_rows: int
    classes: Classes
    pairs: Sequence[LeakagePair]
    images: Sequence[CohortImage]
    folds: Sequence[Assignment]
    unmatched: Sequence[Unmatched]
    alignments: Sequence[str]


def summarise_cohort(parts: Parts, *, on_leakage: str) -> dict[str, JsonValue]:
    """Gather the counts that the report and later steps need, an external cohort's apart.

    Args:
        parts: The cohort and what was left over.
        on_leakage: The setting in force.

    Returns:
        The content of `cohort/summary.json`.
    """
    images, external = part_cohort(parts.images)
    folds = drop_external(parts.folds)
    given = any(image.given_split for image in images)
    classes = parts.classes
    by_name = Counter(n for image in images for n in list_present(image.label, classes.task))
    kinds = name_kinds([image.label for image in images], classes)
    return {
        "task": classes.task,
        "classes": list(classes.names),
        "positive": classes.positive,
        "n_folds": len({item.fold for item in parts.folds}),
        "n_parts": len({item.part for item in parts.folds}),
        "n_repeats": len({item.repeat for item in parts.folds}),
        "n_inner": len({item.inner for item in parts.folds}),
        "n_images": len(images),
        "n_subjects": len({image.subject for image in images}),
        "n_groups": len({image.group for image in images}),
        "n_label_rows": parts.n_label_rows,
        "n_images_by_class": _count_by_class(by_name, classes),
        **_summarise_targets([image.label for image in images], classes),
        "attributes": list(images[0].attributes),
        "given_split": given,
        "missing_class": find_missing_class(folds, kinds),
        **_summarise_external(external, classes),
        "n_mixed_subjects": find_mixed(images).n_subjects,
        "unmatched": dict(count_unmatched(parts.unmatched)),
        "leakage": _summarise_leakage(parts.pairs, on_leakage=on_leakage),
        "masks": dict(sorted(Counter(parts.alignments).items())),
    }


def _summarise_external(images: Sequence[CohortImage], classes: Classes) -> dict[str, JsonValue]:
    """Count the external cohort apart; nothing where there is none."""
    if not images:
        return {}
    by_name = Counter(n for image in images for n in list_present(image.label, classes.task))
    return {
        "external": {
            "n_images": len(images),
            "n_subjects": len({image.subject for image in images}),
            "n_groups": len({image.group for image in images}),
            "n_images_by_class": _count_by_class(by_name, classes),
        }
    }


def find_mixed(images: Sequence[CohortImage]) -> Mixed:
    """Count the subjects whose images are labelled differently.

    Args:
        images: The cohort.
    """
    return count_mixed((image.subject, image.label) for image in images)


def read_classes(path: Path) -> Classes:
    """Read the class names in their order, and the positive one of two, from the summary.

    Args:
        path: `cohort/summary.json`.

    Raises:
        DataError: The file cannot be read.
    """
    summary = cast(dict[str, JsonValue], read_json(path))
    return Classes(
        names=tuple(cast(list[str], summary["classes"])),
        positive=cast(str | None, summary["positive"]),
        task=cast(Task, summary.get("task", "classification")),
    )


def _count_by_class(by_name: Mapping[str, int], classes: Classes) -> dict[str, JsonValue]:
    """Return the images of each class, or with each finding and with none; of values nothing."""
    if classes.task == "regression":
        return {}
    none = (NO_FINDING,) if classes.task == "multilabel" else ()
    return {name: by_name.get(name, 0) for name in (*classes.names, *none)}


def _summarise_targets(labels: Sequence[str], classes: Classes) -> dict[str, JsonValue]:
    """Say of how many images each finding is not known, or where the values lie."""
    if classes.task == "multilabel":
        unknown = np.isnan(parse_findings(labels, classes.names)).sum(axis=0)
        return {"n_unknown": dict(zip(classes.names, unknown.tolist(), strict=True))}
    if classes.task == "regression":
        values = parse_values(labels)
        return {
            "values": {
                "name": classes.names[0],
                "mean": float(values.mean()),
                "sd": float(values.std(ddof=1)),
                "low": float(values.min()),
                "high": float(values.max()),
            }
        }
    return {}


def _summarise_leakage(pairs: Sequence[LeakagePair], *, on_leakage: str) -> dict[str, JsonValue]:
    """Count pairs by kind and action; `overridden` makes the report say so on its first page."""
    leaking = [pair for pair in pairs if pair.action not in HARMLESS_ACTIONS]
    return {
        "n_pairs": len(leaking),
        "action": on_leakage,
        "overridden": any(pair.action == "reported" for pair in pairs),
        "by_kind": dict(sorted(Counter(pair.kind for pair in leaking).items())),
        "by_action": dict(sorted(Counter(pair.action for pair in pairs).items())),
    }
