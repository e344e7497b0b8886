"""Splits: who is on which side of which fold, checked and counted."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from medvision.domain.labels import SPLITS
from medvision.errors import CohortError

FOLD_COLUMNS = ("fold", "image_id", "subject", "label", "split")
"""Columns of `cohort/folds.tsv`: the fields of an `Assignment`."""


@dataclass(frozen=True)
class Assignment:
    """One image's place in one fold; split is train, validation or test."""

    fold: int
    image_id: str
    subject: str
    label: str
    split: str


@dataclass(frozen=True)
class Balance:
    """How many images and subjects of one class one split of one fold holds."""

    fold: int
    split: str
    label: str
    n_images: int
    n_subjects: int


def check_no_leakage(assignments: Sequence[Assignment]) -> None:
    """Refuse folds in which a subject or image is on two sides, or a subject is tested twice.

    Every stage that fits something calls this first.

    Args:
        assignments: The folds, as built or as read back.

    Raises:
        CohortError: With the fold and the subject's pseudonym.
    """
    sides: dict[tuple[int, str], str] = {}
    tested: dict[str, int] = {}
    seen: set[tuple[int, str]] = set()
    for item in assignments:
        side = sides.setdefault((item.fold, item.subject), item.split)
        if side != item.split:
            raise CohortError(
                f"fold {item.fold}: subject must be in one split, got {item.subject} in "
                f"{side} and {item.split}."
            )
        if (item.fold, item.image_id) in seen:
            raise CohortError(f"fold {item.fold}: image must be listed once, got {item.image_id}.")
        seen.add((item.fold, item.image_id))
        if item.split == "test" and tested.setdefault(item.subject, item.fold) != item.fold:
            raise CohortError(
                f"folds: subject must be tested in one fold, got {item.subject} in fold "
                f"{tested[item.subject]} and fold {item.fold}."
            )


def check_groups_together(assignments: Sequence[Assignment], groups: Mapping[str, str]) -> None:
    """Refuse folds that part the members of a group.

    Args:
        assignments: The folds.
        groups: image_id to group.

    Raises:
        CohortError: With the fold and the group's name.
    """
    sides: dict[tuple[int, str], str] = {}
    for item in assignments:
        group = groups[item.image_id]
        if sides.setdefault((item.fold, group), item.split) != item.split:
            raise CohortError(
                f"fold {item.fold}: group must be in one split, got {group} in two.",
            )


def build_assignments(rows: Sequence[Mapping[str, str]]) -> list[Assignment]:
    """Turn the rows of `cohort/folds.tsv` back into assignments."""
    return [
        Assignment(int(row["fold"]), row["image_id"], row["subject"], row["label"], row["split"])
        for row in rows
    ]


def find_missing_class(assignments: Sequence[Assignment]) -> str | None:
    """Say which class is missing from which split, in words; None where none is."""
    labels = sorted({item.label for item in assignments})
    held = {(item.fold, item.split, item.label) for item in assignments}
    for fold, split, label in product(sorted({item.fold for item in assignments}), SPLITS, labels):
        if (fold, split, label) not in held:
            return f"fold {fold} has no {label} in {split}"
    return None


def count_balance(assignments: Sequence[Assignment]) -> list[Balance]:
    """Count images and subjects by fold, split and class; absent classes count 0.

    Args:
        assignments: The folds.

    Returns:
        Rows in order of fold, split (train, validation, test) and class.
    """
    n_images = Counter((item.fold, item.split, item.label) for item in assignments)
    subjects: defaultdict[tuple[int, str, str], set[str]] = defaultdict(set)
    for item in assignments:
        subjects[item.fold, item.split, item.label].add(item.subject)
    return [
        Balance(*key, n_images=n_images[key], n_subjects=len(subjects[key]))
        for fold in sorted({item.fold for item in assignments})
        for split in SPLITS
        for key in [(fold, split, label) for label in sorted({i.label for i in assignments})]
    ]
