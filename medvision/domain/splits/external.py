"""The external cohort: who is of it, what its labels may be, and its place in every fold."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medvision.domain.cohort import CohortImage
from medvision.domain.labels.findings import NO_FINDING, parse_findings
from medvision.domain.labels.rows import EXTERNAL, Classes, LabelRow, suggest
from medvision.domain.split import Assignment
from medvision.domain.splits.kinds import list_present
from medvision.errors import CohortError, LabelError

Images = tuple[CohortImage, ...]


def mark_external(
    rows: Sequence[LabelRow], external_column: str | None, *, external_values: Sequence[str]
) -> list[LabelRow]:
    """Give the rows of an external cohort the split `external`.

    Args:
        rows: The table of labels.
        external_column: Column that tells the cohorts apart; None leaves the rows as they are.
        external_values: What it says of external rows.

    Returns:
        The rows in the same order.

    Raises:
        LabelError: There is no such column, a value is in no row, or every row is external.
        CohortError: The labels give the split as well.
    """
    if external_column is None:
        _check_some_left(rows)
        return list(rows)
    if any(row.split is not None for row in rows):
        raise CohortError(
            "cohort.external_column: must be omitted where the labels have a column split, got "
            f"{external_column}.",
            "write external into column split for these rows instead.",
        )
    _check_column(rows, external_column, values=external_values)
    marked = [
        replace(row, split=EXTERNAL) if row.attributes[external_column] in external_values else row
        for row in rows
    ]
    _check_some_left(marked)
    return marked


def _check_column(rows: Sequence[LabelRow], column: str, *, values: Sequence[str]) -> None:
    """Refuse a column that is not there, and values that are in no row."""
    columns = sorted(rows[0].attributes)
    if column not in columns:
        raise LabelError(
            f"cohort.external_column: column must be one of {', '.join(columns) or 'none'}, got "
            f"{column}.",
            suggest(column, columns) or "name a further column of the labels, such as site.",
        )
    held = sorted({row.attributes[column] for row in rows})
    for value in values:
        if value not in held:
            raise LabelError(
                f"cohort.external_values: value must be in column {column}, got {value}.",
                suggest(value, held) or "write it as the column does, letter by letter.",
            )


def _check_some_left(rows: Sequence[LabelRow]) -> None:
    """Refuse labels that are all external: nothing would be left to train and test on."""
    if all(row.split == EXTERNAL for row in rows):
        raise LabelError(
            f"labels: rows must be left to train and test on, got {len(rows)} rows that are all "
            "external.",
            "name only the rows of the cohort that is external.",
        )


def part_rows(rows: Sequence[LabelRow]) -> tuple[list[LabelRow], list[LabelRow]]:
    """Part the table of labels in (internal, external), each in its order.

    Args:
        rows: The rows, those of the external cohort marked.
    """
    internal = [row for row in rows if row.split != EXTERNAL]
    return internal, [row for row in rows if row.split == EXTERNAL]


def part_cohort(images: Sequence[CohortImage]) -> tuple[Images, Images]:
    """Part a cohort in what is trained and tested on, and what is external.

    Args:
        images: The cohort.

    Returns:
        (internal, external), each in its order; all are internal where nothing is external.
    """
    internal = tuple(image for image in images if not image.is_external)
    return internal, tuple(image for image in images if image.is_external)


def check_external(images: Sequence[CohortImage], classes: Classes, *, is_asked: bool) -> None:
    """Refuse an external cohort of which nothing is left, or with what no network is taught.

    Args:
        images: Those of the external cohort.
        classes: What the internal labels are of.
        is_asked: The configuration or the labels name an external cohort.

    Raises:
        CohortError: An external cohort was named, and none of its images is there.
        LabelError: A class or finding is of external images alone, or a finding is known of none.
    """
    if is_asked and not images:
        raise CohortError(
            "cohort: the external cohort must keep an image, got none.",
            "see cohort/unmatched.tsv, ingest/rejects.tsv and cohort/quality.tsv for why.",
        )
    check_external_labels([image.label for image in images], classes)


def check_external_labels(labels: Sequence[str], classes: Classes) -> None:
    """Refuse external labels of a class that no network is taught, or that say nothing.

    Args:
        labels: Of the external cohort.
        classes: What the internal labels are of.

    Raises:
        LabelError: A class or finding is of external labels alone, or a finding is known of none.
    """
    known = {*classes.names, NO_FINDING}
    counts = Counter(name for label in labels for name in list_present(label, classes.task))
    for name, n_images in sorted(counts.items()):
        if name not in known:
            raise LabelError(
                f"labels: an external image must be of a class that is trained on "
                f"({', '.join(classes.names)}), got {n_images} of {name}.",
                "correct the label, or leave these rows out: no network can predict this class.",
            )
    if labels and classes.task == "multilabel":
        _check_findings(labels, classes.names)


def _check_findings(labels: Sequence[str], names: Sequence[str]) -> None:
    """Refuse an external cohort in which nobody looked for a finding: it has no figure there."""
    unknown = np.isnan(parse_findings(labels, names))
    for index, name in enumerate(names):
        if unknown[:, index].all():
            raise LabelError(
                f"labels: finding {name} must be known of an external image at least, got none of "
                f"{len(labels)}.",
                "leave the finding out of data.findings, or say of these images whether it is "
                "there.",
            )


def add_external(folds: Sequence[Assignment], images: Sequence[CohortImage]) -> list[Assignment]:
    """Add the external cohort to every fold.

    Args:
        folds: The folds of the internal images.
        images: Those of the external cohort.

    Returns:
        Assignments sorted by fold and image_id; the folds themselves where nothing is external.
    """
    places = sorted({(item.fold, item.repeat, item.part, item.inner) for item in folds})
    added = [
        Assignment(*place, image.image_id, image.subject, image.label, EXTERNAL)
        for place in places
        for image in images
    ]
    return sorted([*folds, *added], key=lambda item: (item.fold, item.image_id))


def drop_external(folds: Sequence[Assignment]) -> list[Assignment]:
    """Return the folds without the external cohort: what balance and checks of splits count.

    Args:
        folds: The folds.
    """
    return [item for item in folds if item.split != EXTERNAL]
