"""Balance: what each split of each fold holds, counted by class and by subgroup."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.cohort import CohortImage
from medvision.domain.labels.rows import SPLITS
from medvision.domain.split import Assignment
from medvision.domain.splits.dealing import LABEL

BALANCE_COLUMNS = (
    *("fold", "repeat", "part", "inner", "split", "variable", "value"),
    *("n_images", "n_subjects", "share"),
)
"""Columns of `cohort/balance.tsv`: the fields of a `Balance`."""

_MAX_VALUES = 12
_SUBJECTS_PER_VALUE = 2


@dataclass(frozen=True)
class Balance:
    """How many images and subjects of one value one split of one fold holds.

    Args:
        fold: Number of the training.
        repeat: Its repeat.
        part: The part that it tests.
        inner: Which of the part's trainings it is.
        split: train, validation or test.
        variable: label, or a column of the labels.
        value: The class, a finding that is there, a range of values, or the column's value; empty
            where it is missing.
        n_images: Images of the split with this value.
        n_subjects: Subjects of the split with such an image.
        share: Share (0 to 1) of the split's images; 0 in an empty split.
    """

    fold: int
    repeat: int
    part: int
    inner: int
    split: str
    variable: str
    value: str
    n_images: int
    n_subjects: int
    share: float


def count_balance(
    assignments: Sequence[Assignment],
    images: Sequence[CohortImage],
    *,
    stratify_by: Sequence[str],
    names: Mapping[str, Sequence[str]] | None = None,
) -> list[Balance]:
    """Count images and subjects by fold, split, variable and value; absent values count 0.

    Args:
        assignments: The folds.
        images: The cohort, with its columns.
        stratify_by: Columns to count whatever they hold; of the others, those that have at
            most 12 values and at least two subjects per value.
        names: Label to the names under which it is counted; None counts each under its own.

    Returns:
        Rows in order of fold, split (train, validation, test), variable and value.
    """
    columns = [LABEL, *list_columns(images, stratify_by=stratify_by)]
    own = names or {image.label: (image.label,) for image in images}
    values: dict[str, list[Sequence[str]]] = {
        image.image_id: [
            own[image.label],
            *((image.attributes.get(name, ""),) for name in columns[1:]),
        ]
        for image in images
    }
    known = [sorted({v for held in values.values() for v in held[n]}) for n in range(len(columns))]
    if names:
        # In the order in which they are given: ranges of values do not sort as text.
        known[0] = list(dict.fromkeys(value for each in names.values() for value in each))
    n_images: Counter[tuple[int, str, int, str]] = Counter()
    sizes: Counter[tuple[int, str]] = Counter()
    subjects: defaultdict[tuple[int, str, int, str], set[str]] = defaultdict(set)
    for item in assignments:
        sizes[item.fold, item.split] += 1
        held = values[item.image_id]
        for n, value in ((n, value) for n, each in enumerate(held) for value in each):
            n_images[item.fold, item.split, n, value] += 1
            subjects[item.fold, item.split, n, value].add(item.subject)
    places = sorted({(item.fold, item.repeat, item.part, item.inner) for item in assignments})
    return [
        Balance(
            *place,
            split,
            columns[n],
            value,
            n_images[place[0], split, n, value],
            len(subjects[place[0], split, n, value]),
            n_images[place[0], split, n, value] / max(1, sizes[place[0], split]),
        )
        for place in places
        for split in SPLITS
        for n, column_values in enumerate(known)
        for value in column_values
    ]


def list_columns(images: Sequence[CohortImage], *, stratify_by: Sequence[str]) -> list[str]:
    """Return the columns whose values are counted: those named first, then those with few.

    A column with about as many values as subjects would name people, not subgroups.
    """
    held = list(dict.fromkeys(name for image in images for name in image.attributes))
    n_subjects = len({image.subject for image in images})
    limit = min(_MAX_VALUES, n_subjects // _SUBJECTS_PER_VALUE)
    few = [
        name
        for name in held
        if name not in stratify_by
        and len({image.attributes.get(name, "") for image in images}) <= limit
    ]
    return [*dict.fromkeys(stratify_by), *few]
