"""Labels: the rows of the user's table, checked, and the classes that they name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from medvision.errors import LabelError

SPLITS = ("train", "validation", "test")

EXTERNAL = "external"
"""The split of an external cohort: in every fold, for nothing but a figure of its own."""

Task = Literal["classification", "multilabel", "regression"]
"""What is predicted of an image: one class of several, which findings are there, or a value."""

_REQUIRED = ("subject", "label")
_KNOWN = (*_REQUIRED, "image", "part", "mask", "split")

MISSING = "n/a"
"""How BIDS writes a missing value; no class can have this name."""

RESERVED_COLUMNS = frozenset(
    {"image_id", "group", "shape", "spacing_mm", "modality", "pixel_digest", "given_split"}
)
"""Columns that the cohort's own table uses, so that an attribute cannot bear these names."""

_IDENTIFYING = frozenset(
    {"name", "patientname", "firstname", "lastname", "surname", "patientid", "mrn"}
    | {"birthdate", "patientbirthdate", "dateofbirth", "dob", "birthday", "accessionnumber"}
    | {"address", "phone", "email", "participantid"}
)
"""Names of columns, letters and digits only, that would copy a person into the study's tables."""

FIRST_LINE = 2
"""Line of the first row in the file as a spreadsheet shows it, below the header."""


@dataclass(frozen=True)
class LabelRow:
    """One row of the table of labels.

    Args:
        line: Line in the file as a spreadsheet shows it; the header is line 1.
        subject: Subject as the user names it, or its pseudonym.
        label: Name of the class, findings joined (`medvision.domain.labels.findings`), or a number.
        image: The image's name (SeriesInstanceUID or relative path) or its pseudonym.
        part: Which of several images of one name, such as `echo-time-ms=4.6` or `volume=2`.
        mask: Path of a mask, relative to the table's folder.
        split: train, validation, test or external, where the user gives the split.
        attributes: Every further column, kept as a subgroup variable.
    """

    line: int
    subject: str
    label: str
    image: str | None = None
    part: str | None = None
    mask: str | None = None
    split: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Classes:
    """What a network tells, in the fixed order of its outputs.

    Args:
        names: Classes; or findings, of which an image may have several; or the one value's name.
        positive: The positive one of two classes, None otherwise.
        task: Which of the three they are.
    """

    names: tuple[str, ...]
    positive: str | None
    task: Task = "classification"


def build_label_rows(rows: Sequence[Mapping[str, str]]) -> list[LabelRow]:
    """Check the table of labels and turn it into typed rows.

    A row whose label is BIDS's `n/a` has none and is passed over; elsewhere `n/a` is no value.

    Args:
        rows: Column name to text, one mapping per row, in the order of the file.

    Returns:
        One `LabelRow` per row with a label, in the same order.

    Raises:
        LabelError: The table is empty, a column is missing, reserved or identifying, a value
            is missing or unknown, or only some rows name a split. Messages hold line numbers,
            never a subject's name.
    """
    if not rows:
        raise LabelError(
            "labels: the table must hold at least one row, got none.",
            "write one line per subject below the names of the columns.",
        )
    _check_columns(tuple(rows[0]))
    numbered = enumerate(rows, start=FIRST_LINE)
    result = [_build_row(row, line=line) for line, row in numbered if not _is_unlabelled(row)]
    if not result:
        raise LabelError(
            f"labels: the table must hold at least one label, got {MISSING} in {len(rows)} rows.",
            "write a class into column label, or set data.label_column to the column that has it.",
        )
    given = sum(row.split is not None for row in result)
    if given not in (0, len(result)):
        missing = next(row.line for row in result if row.split is None)
        raise LabelError(
            f"labels: split must be given for all rows or for none, got {given} of {len(result)}.",
            f"fill in column split at line {missing} and the others, or remove the column.",
        )
    return result


def build_classes(labels: Sequence[str], *, positive: str | None) -> Classes:
    """Fix the order of the classes and which of two counts as positive.

    Args:
        labels: Label of each image.
        positive: The positive class as configured, or None for the last in sorted order.

    Returns:
        Names sorted as numbers where all are numbers, else as text.

    Raises:
        LabelError: One class only, or `positive` is none of two classes.
    """
    names = tuple(sorted(set(labels), key=_sort_key(labels)))
    if len(names) < 2:
        raise LabelError(
            f"labels: classes must number two or more, got {len(names)} ({', '.join(names)}).",
            "label images of a second class, or check that their images were not all refused.",
        )
    if len(names) > 2:
        _check_no_positive(positive, n_classes=len(names))
        return Classes(names=names, positive=None)
    if positive is not None and positive not in names:
        raise LabelError(
            f"data.positive: class must be one of {', '.join(names)}, got {positive}.",
            suggest(positive, names) or "name one of the labels, or leave data.positive out.",
        )
    return Classes(names=names, positive=positive or names[-1])


def suggest(word: str, known: Sequence[str]) -> str | None:
    """Return a "did you mean" hint for a mistyped word.

    Args:
        word: What was written.
        known: What could have been meant.

    Returns:
        The hint, or None where nothing is close.
    """
    lower = {name.lower(): name for name in known}
    abbreviated = [name for name in lower if len(word) > 1 and name.startswith(word.lower())]
    close = get_close_matches(word.strip().lower(), lower, n=1) or abbreviated
    return f"did you mean {lower[close[0]]}?" if close else None


def _check_no_positive(positive: str | None, *, n_classes: int) -> None:
    """Refuse a positive class where there are more than two classes."""
    if positive is not None:
        raise LabelError(
            f"data.positive: classes must number two, got {n_classes}.",
            "leave data.positive out, or merge the labels into two classes.",
        )


def _sort_key(labels: Sequence[str]) -> Callable[[str], tuple[float, str]]:
    """Sort as numbers where every label is one."""
    try:
        for label in labels:
            float(label)
    except ValueError:
        return _as_text
    return _as_number


def _as_text(label: str) -> tuple[float, str]:
    """Sort key of a name."""
    return 0.0, label


def _as_number(label: str) -> tuple[float, str]:
    """Sort key of a number; the text decides between 1 and 1.0."""
    return float(label), label


def _check_columns(columns: Sequence[str]) -> None:
    """Refuse missing, reserved and identifying columns."""
    for name in _REQUIRED:
        if name not in columns:
            raise _describe_missing(name, columns)
    for column in columns:
        _check_attribute_name(column)


def _describe_missing(name: str, columns: Sequence[str]) -> LabelError:
    """Name the columns that are there, unless the first line may be a row about somebody."""
    others = [column for column in columns if column not in _KNOWN]
    near = next((column for column in others if suggest(column, [name])), None)
    if near is None and not set(columns) & set(_REQUIRED):
        return LabelError(
            f"labels: column {name} must be present, got a first line without subject and label.",
            "name the columns in the first line, separated by commas (.csv) or tabs (.tsv).",
        )
    return LabelError(
        f"labels: column {name} must be present, got {', '.join(columns)}.",
        f"did you mean {near}? Rename it to {name}." if near else None,
    )


def _check_attribute_name(column: str) -> None:
    """Refuse a column that the cohort's table uses itself, or that names a person."""
    if column in RESERVED_COLUMNS:
        raise LabelError(
            f"labels: column {column} must have another name, got one that medvision uses.",
            f"rename it, for instance to label_{column}.",
        )
    if "".join(filter(str.isalnum, column.lower())) in _IDENTIFYING:
        raise LabelError(
            f"labels: columns must not identify a person, got {column}.",
            "remove the column: every further column is copied into the study's tables.",
        )


def _is_unlabelled(row: Mapping[str, str]) -> bool:
    """Say whether a row states that its label is missing."""
    return (row.get("label") or "").strip().lower() == MISSING


def _build_row(row: Mapping[str, str], *, line: int) -> LabelRow:
    """Turn one mapping into a row, or say what is missing in it."""
    text = {key: (value or "").strip() for key, value in row.items()}
    for name in _REQUIRED:
        if not text[name]:
            raise LabelError(
                f"labels line {line}: {name} must not be empty, got nothing.",
                f"fill in {name}, or remove the line.",
            )
    return LabelRow(
        line=line,
        subject=text["subject"],
        label=text["label"],
        image=_read_optional(text, "image"),
        part=_read_optional(text, "part"),
        mask=_read_optional(text, "mask"),
        split=_check_split(_read_optional(text, "split"), line=line),
        attributes={key: value for key, value in text.items() if key not in _KNOWN},
    )


def _read_optional(row: Mapping[str, str], name: str) -> str | None:
    """Return a cell's text, None where the column or the value is missing."""
    text = row.get(name, "")
    return None if text.lower() in ("", MISSING) else text


def _check_split(split: str | None, *, line: int) -> str | None:
    """Return the split if it is a known word or absent."""
    known = (*SPLITS, EXTERNAL)
    if split is None or split in known:
        return split
    raise LabelError(
        f"labels line {line}: split must be train, validation, test or external, got {split}.",
        suggest(split, known) or "use exactly these words.",
    )
