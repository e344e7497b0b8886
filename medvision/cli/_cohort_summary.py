"""What `medvision cohort` counts: the summary that the report and later steps read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from medvision.domain.candidates import Unmatched
from medvision.domain.cohort import CohortImage, count_unmatched
from medvision.domain.labels import Classes
from medvision.domain.leakage import HARMLESS_ACTIONS, LeakagePair
from medvision.domain.record import JsonValue
from medvision.domain.split import Assignment, find_missing_class
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
    """Gather the counts that the report and later steps need.

    Args:
        parts: The cohort and what was left over.
        on_leakage: The setting in force.

    Returns:
        The content of `cohort/summary.json`.
    """
    images = parts.images
    given = any(image.given_split for image in images)
    by_label = Counter(image.label for image in images)
    return {
        "classes": list(parts.classes.names),
        "positive": parts.classes.positive,
        "n_folds": len({item.fold for item in parts.folds}),
        "n_parts": len({item.part for item in parts.folds}),
        "n_repeats": len({item.repeat for item in parts.folds}),
        "n_inner": len({item.inner for item in parts.folds}),
        "n_images": len(images),
        "n_subjects": len({image.subject for image in images}),
        "n_groups": len({image.group for image in images}),
        "n_label_rows": parts.n_label_rows,
        "n_images_by_class": {name: by_label[name] for name in parts.classes.names},
        "attributes": list(images[0].attributes),
        "given_split": given,
        "missing_class": find_missing_class(parts.folds),
        "unmatched": dict(count_unmatched(parts.unmatched)),
        "leakage": _summarise_leakage(parts.pairs, on_leakage=on_leakage),
        "masks": dict(sorted(Counter(parts.alignments).items())),
    }


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
    )


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
