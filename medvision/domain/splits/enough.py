"""Whether a cohort suffices for the folds that are asked for: columns, subjects, classes."""

from collections import Counter
from collections.abc import Sequence

from medvision.domain.cohort import CohortImage
from medvision.domain.splits.dealing import LABEL, Group, Key
from medvision.errors import CohortError, LabelError

MAX_VALUES = 50
"""Values that a column may have to be spread over folds; more are a measurement, not a kind."""


def check_asked(*, is_given: bool, folds: int) -> None:
    """Refuse given splits that were not asked for, and a wish for splits that are not given.

    Args:
        is_given: Whether the labels have a column split.
        folds: Number of folds; 1 asks for it.

    Raises:
        CohortError: The two do not fit.
    """
    if is_given and folds != 1:
        raise CohortError(
            f"cohort.folds: must be 1 where the labels have a column split, got {folds}.",
            "set cohort.folds to 1 to honour the column, or remove the column to have folds made.",
        )
    if not is_given and folds == 1:
        raise CohortError(
            "labels: must have a column split where cohort.folds is 1, got none.",
            "add the column (train, validation, test), or set cohort.folds to 2 or more.",
        )


def check_columns(images: Sequence[CohortImage], stratify_by: Sequence[str]) -> None:
    """Refuse columns that are not there, or that have too many values to be spread evenly.

    Args:
        images: The cohort.
        stratify_by: Names of columns of the labels.

    Raises:
        LabelError: The labels have no such column.
        CohortError: A column has more than 50 values.
    """
    held = sorted({name for image in images for name in image.attributes})
    for column in stratify_by:
        if column not in held:
            raise LabelError(
                f"cohort.stratify_by: column must be one of {', '.join(held) or 'none'}, "
                f"got {column}.",
                "name further columns of the labels; the label itself is always spread evenly.",
            )
        n_values = len({image.attributes.get(column, "") for image in images})
        if n_values > MAX_VALUES:
            raise CohortError(
                f"cohort.stratify_by: column must have at most {MAX_VALUES} values, got "
                f"{n_values} in {column}.",
                "group its values in a further column of the labels, and name that.",
            )


def count_needed(*, folds: int, held_out: float | None, inner_folds: int) -> int:
    """Return how many subjects of each class the folds need, so that every split holds each.

    Args:
        folds: Number of folds; 1 honours given splits and needs no number.
        held_out: Share that all folds test, or None.
        inner_folds: Trainings per fold.
    """
    if folds == 1:
        return 0
    if held_out is not None:
        return folds + 1
    # Besides the tested part, one subject must validate and one must train.
    rest, n = max(inner_folds, 2), folds
    while n - -(-n // folds) < rest:
        n += 1
    return n


def check_enough(groups: Sequence[Group], *, folds: int, needed: int) -> None:
    """Refuse fewer subjects than the folds need, in all or of one class.

    Args:
        groups: The cohort's groups.
        folds: Number of folds.
        needed: Subjects of each class that they need (`count_needed`).

    Raises:
        CohortError: With the class and its number.
    """
    if len(groups) < folds:
        raise CohortError(
            f"cohort: subjects must number at least cohort.folds = {folds}, got {len(groups)} "
            "that can be separated.",
            "lower cohort.folds or add subjects.",
        )
    counts = Counter(key[1] for group in groups for key in group.keys if _is_class(key))
    # Values are of no class: only their number counts, which the folds need all the same.
    label, n = min(sorted(counts.items()), key=lambda item: item[1], default=("any", len(groups)))
    if n < needed:
        raise CohortError(
            f"cohort: subjects of each class must number at least {needed} for {folds} folds, "
            f"got {n} of class {label}.",
            "lower cohort.folds, add subjects of this class, or leave the class out.",
        )


def _is_class(key: Key) -> bool:
    """Say whether a key counts a class."""
    return len(key) == 2 and key[0] == LABEL
