"""The tables of a cohort: its images, its folds and their balance, and what could not be joined."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from medvision.cli._run import Step
from medvision.domain.cohort import CohortImage
from medvision.domain.labels.candidates import Unmatched
from medvision.domain.labels.rows import Classes
from medvision.domain.split import FOLD_COLUMNS, Assignment
from medvision.domain.splits.balance import BALANCE_COLUMNS, count_balance
from medvision.domain.splits.external import drop_external, part_cohort
from medvision.domain.splits.kinds import count_names
from medvision.io.tables import write_table

COHORT_COLUMNS = (
    *("image_id", "subject", "group", "label", "shape", "spacing_mm", "modality"),
    *("pixel_digest", "mask", "given_split"),
)
UNMATCHED_COLUMNS = ("kind", "id", "labels_row", "detail")


def write_unmatched(step: Step, unmatched: Iterable[Unmatched]) -> None:
    """Write the table of what could not be joined.

    Args:
        step: The running step.
        unmatched: Labels, images and masks left over.
    """
    rows = [asdict(item) | {"labels_row": item.line} for item in unmatched]
    write_table(step.write(step.layout.unmatched), rows, columns=UNMATCHED_COLUMNS)


def write_cohort(step: Step, images: Sequence[CohortImage], *, masks: dict[str, str]) -> None:
    """Write one row per image, the user's further columns last.

    Args:
        step: The running step.
        images: The cohort, at least one.
        masks: Image to the digest of its mask.
    """
    attributes = tuple(images[0].attributes)
    own = [name for name in COHORT_COLUMNS if name != "mask"]
    rows = [
        # The user's columns first: none of them may replace one of ours.
        {**image.attributes, **{name: getattr(image, name) for name in own}}
        | {"mask": masks.get(image.image_id)}
        for image in images
    ]
    write_table(step.write(step.layout.cohort), rows, columns=(*COHORT_COLUMNS, *attributes))


def write_folds(
    step: Step,
    folds: Sequence[Assignment],
    *,
    images: Sequence[CohortImage],
    classes: Classes,
) -> None:
    """Write the folds and, of what is internal, their balance.

    Args:
        step: The running step.
        folds: The split of each image in each fold.
        images: The cohort.
        classes: What the labels are of.
    """
    write_table(
        step.write(step.layout.folds), [asdict(item) for item in folds], columns=FOLD_COLUMNS
    )
    internal, _ = part_cohort(images)
    balance = count_balance(
        drop_external(folds),
        internal,
        stratify_by=step.study.cohort.stratify_by,
        names=count_names([image.label for image in internal], classes),
    )
    rows = [asdict(item) for item in balance]
    write_table(step.write(step.layout.balance), rows, columns=BALANCE_COLUMNS)
