"""The columns of the user's table of labels, brought under the names that labels are read by."""

from collections.abc import Mapping, Sequence

from medvision.domain.labels.rows import suggest
from medvision.errors import LabelError

_BIDS_SUBJECT = "participant_id"


def rename_columns(
    rows: Sequence[Mapping[str, str]], *, subject_column: str | None, label_column: str | None
) -> list[dict[str, str]]:
    """Rename the columns that hold the subject and the label to `subject` and `label`.

    Without a name of its own the subject may stand in BIDS's column `participant_id`, so that
    participants.tsv serves as the table of labels.

    Args:
        rows: Column name to text, one mapping per row.
        subject_column: Column that holds the subject, or None for `subject`.
        label_column: Column that holds the class, or None for `label`.

    Returns:
        The rows in the same order, their columns too.

    Raises:
        LabelError: A column that is named is missing, or its new name is taken already.
    """
    columns = tuple(rows[0]) if rows else ()
    if subject_column is None and "subject" not in columns and _BIDS_SUBJECT in columns:
        subject_column = _BIDS_SUBJECT
    names: dict[str, str] = {}
    for old, new in ((subject_column, "subject"), (label_column, "label")):
        if old is None or old == new or not rows:
            continue
        _check_column(old, new, columns=columns)
        names[old] = new
    return [{names.get(key, key): value for key, value in row.items()} for row in rows]


def _check_column(old: str, new: str, *, columns: Sequence[str]) -> None:
    """Refuse a column that is not there, or whose new name is another's."""
    if old not in columns:
        raise LabelError(
            f"data.{new}_column: must be a column of the labels, got {old}.",
            suggest(old, columns) or f"there are: {', '.join(columns)}.",
        )
    if new in columns:
        raise LabelError(
            f"data.{new}_column: the labels must not have a column {new} besides {old}, got both.",
            f"leave data.{new}_column out to use column {new}, or rename that column.",
        )
