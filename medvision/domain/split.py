"""Splits: who is on which side of which fold, and the check that nobody is on two."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from medvision.domain.labels.rows import EXTERNAL, SPLITS
from medvision.errors import CohortError

FOLD_COLUMNS = ("fold", "repeat", "part", "inner", "image_id", "subject", "label", "split")
"""Columns of `cohort/folds.tsv`: the fields of an `Assignment`."""


@dataclass(frozen=True)
class Assignment:
    """One image's place in one training.

    Args:
        fold: Number of the training, from 0.
        repeat: Which dealing of the cohort the training belongs to, from 0.
        part: Which part of that dealing it tests; scores are compared within a part only.
        inner: Which of the trainings that test this part it is, from 0.
        image_id: Pseudonymous name of the image.
        subject: Pseudonym of the subject.
        label: Name of the class, findings joined, or a number.
        split: train, validation, test or external.
    """

    fold: int
    repeat: int
    part: int
    inner: int
    image_id: str
    subject: str
    label: str
    split: str


def check_no_leakage(assignments: Sequence[Assignment]) -> None:
    """Refuse folds in which a subject or image is on two sides, or a subject is tested twice.

    A subject may be tested once per repeat and inner training, and the trainings of one part
    must test the same subjects. An external subject must be external in every fold. Every stage
    that fits something calls this first.

    Args:
        assignments: The folds, as built or as read back.

    Raises:
        CohortError: With the fold and the subject's pseudonym.
    """
    sides: dict[tuple[int, str], str] = {}
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
    _check_places(assignments)
    _check_tested_once(assignments)
    _check_same_tested(assignments)
    _check_external(assignments)


def _check_places(assignments: Sequence[Assignment]) -> None:
    """Refuse a fold with two places in the scheme, or two folds with one."""
    places = {(item.fold, (item.repeat, item.part, item.inner)) for item in assignments}
    by_fold, by_place = Counter(f for f, _ in places), Counter(p for _, p in places)
    for fold, place in sorted(places):
        if by_fold[fold] > 1 or by_place[place] > 1:
            raise CohortError(
                f"fold {fold}: repeat, part and inner must be its own and the same in each row, "
                f"got {', '.join(map(str, place))}.",
            )


def _check_tested_once(assignments: Sequence[Assignment]) -> None:
    """Refuse a subject that two folds of one repeat and inner training test."""
    tested: dict[tuple[int, int, str], int] = {}
    for item in assignments:
        if item.split != "test":
            continue
        fold = tested.setdefault((item.repeat, item.inner, item.subject), item.fold)
        if fold != item.fold:
            raise CohortError(
                f"folds: subject must be tested in one fold, got {item.subject} in fold "
                f"{fold} and fold {item.fold}."
            )


def _check_same_tested(assignments: Sequence[Assignment]) -> None:
    """Refuse trainings of one part that test different subjects."""
    tested: defaultdict[tuple[int, int], dict[int, set[str]]] = defaultdict(dict)
    for item in assignments:
        held = tested[item.repeat, item.part].setdefault(item.fold, set())
        if item.split == "test":
            held.add(item.subject)
    for by_fold in tested.values():
        first, *others = by_fold
        for fold in others:
            if by_fold[fold] != by_fold[first]:
                subject = min(by_fold[fold] ^ by_fold[first])
                raise CohortError(
                    f"fold {fold}: test subjects must be those of fold {first}, which tests the "
                    f"same part, got {subject} in one of them."
                )


def _check_external(assignments: Sequence[Assignment]) -> None:
    """Refuse an external subject that is on another side of any fold."""
    external = {item.subject for item in assignments if item.split == EXTERNAL}
    for item in assignments:
        if item.subject in external and item.split != EXTERNAL:
            raise CohortError(
                f"fold {item.fold}: a subject of the external cohort must be in no other split of "
                f"any fold, got {item.subject} in {item.split}."
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


def keep_untested(
    assignments: Sequence[Assignment], folds: Sequence[int]
) -> tuple[Assignment, ...]:
    """Return what trainings may train and validate on, test and external images left out.

    Args:
        assignments: All folds.
        folds: Trainings that test the same subjects.

    Returns:
        Their train and validation images alone.

    Raises:
        CohortError: A subject that one of them tests trains or validates in one of them.
    """
    own = [item for item in assignments if item.fold in folds]
    away = ("test", EXTERNAL)
    tested = {item.subject for item in own if item.split in away}
    kept = tuple(item for item in own if item.split not in away)
    for item in kept:
        if item.subject in tested:
            raise CohortError(
                f"fold {item.fold}: a search must not see a subject that is tested, got "
                f"{item.subject} in {item.split}."
            )
    return kept


def build_assignments(rows: Sequence[Mapping[str, str]]) -> list[Assignment]:
    """Turn the rows of `cohort/folds.tsv` back into assignments."""
    return [
        Assignment(
            fold=int(row["fold"]),
            repeat=int(row["repeat"]),
            part=int(row["part"]),
            inner=int(row["inner"]),
            image_id=row["image_id"],
            subject=row["subject"],
            label=row["label"],
            split=row["split"],
        )
        for row in rows
    ]


def find_missing_class(
    assignments: Sequence[Assignment], kinds: Mapping[str, tuple[str, ...]] | None = None
) -> str | None:
    """Say which class is missing from which split, in words; None where none is.

    Args:
        assignments: The folds.
        kinds: Label to the names under which it counts; None counts each under its own.
    """
    labels = {item.label for item in assignments}
    counted = kinds or {label: (label,) for label in labels}
    names = sorted({name for label in labels for name in counted[label]})
    held = {(item.fold, item.split, name) for item in assignments for name in counted[item.label]}
    for fold, split, name in product(sorted({item.fold for item in assignments}), SPLITS, names):
        if (fold, split, name) not in held:
            return f"fold {fold} has no {name} in {split}"
    return None
