"""Findings of an image, several at once: how they are written in one cell, and read from it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.domain.labels.rows import FIRST_LINE, MISSING, Classes, suggest
from medvision.errors import LabelError

NO_FINDING = "No Finding"
"""What the cell says where nothing was found; no finding can have this name."""

SEPARATOR = "|"
UNKNOWN = "?"
"""Ends the name of a finding of which it is not known whether it is there."""

Findings = NDArray[np.float64]
"""(N, F) float64: 1 where the finding is there, 0 where not, NaN where that is not known."""

_PRESENT = frozenset({"1", "1.0"})
_ABSENT = frozenset({"0", "0.0"})


def join_findings(rows: Sequence[Mapping[str, str]], wanted: Sequence[str]) -> list[dict[str, str]]:
    """Bring the findings of each row into its column `label`, in one form.

    Where the names wanted are columns, their cells say 1, 0, or nothing (or n/a) where it is not
    known; these columns, and another column `label`, then leave. Otherwise the column `label` holds
    the names of what was found, joined by `|`; an empty cell or `No Finding` says that nothing was.

    Args:
        rows: Column name to text, one mapping per row.
        wanted: Findings of the study in their order; none takes all names that the labels hold.

    Returns:
        The rows in the same order. A label reads `Effusion|Nodule?`: Effusion is there, of Nodule
        it is not known, all others are absent; `No Finding`: none is there and all are known;
        `n/a`: none is known.

    Raises:
        LabelError: A name cannot be one, only some are columns, or a cell says something else.
    """
    _check_names(wanted)
    columns = set(rows[0]) if rows else set()
    held = [name for name in wanted if name in columns]
    if held and len(held) < len(wanted):
        missing = next(name for name in wanted if name not in columns)
        raise LabelError(
            f"data.findings: must all be columns of the labels or none, got no column {missing}.",
            suggest(missing, sorted(columns)) or "correct the name, or leave it out.",
        )
    numbered = enumerate(rows, start=FIRST_LINE)
    if held:
        return [_join_columns(row, wanted, line=line) for line, row in numbered]
    return [_join_cell(row, wanted, line=line) for line, row in numbered]


def build_findings(labels: Sequence[str], *, wanted: Sequence[str]) -> Classes:
    """Fix the order of the findings.

    Args:
        labels: Label of each image, as `join_findings` writes it.
        wanted: Findings in their order; none takes all names, sorted.

    Returns:
        The names, of the task multilabel.

    Raises:
        LabelError: There is no finding, or one that no image has, or that every image has.
    """
    held = {part.removesuffix(UNKNOWN) for label in labels for part in split(label)}
    names = tuple(wanted) or tuple(sorted(held))
    if not names:
        raise LabelError(
            f"labels: a finding must be there, got {NO_FINDING} in {len(labels)} images.",
            "name the columns of the findings in data.findings, or set data.label_column.",
        )
    values = parse_findings(labels, names)
    for index, name in enumerate(names):
        n_there, n_absent = ((values[:, index] == each).sum() for each in (1, 0))
        if not n_there or not n_absent:
            raise LabelError(
                f"labels: finding {name} must be there in some images and absent in others, got "
                f"{n_there} and {n_absent}.",
                "leave it out of data.findings, or add images.",
            )
    return Classes(names=names, positive=None, task="multilabel")


def parse_findings(labels: Sequence[str], names: Sequence[str]) -> Findings:
    """Read labels as numbers.

    Args:
        labels: N labels, as `join_findings` writes them.
        names: F findings.

    Returns:
        (N, F): 1, 0, or NaN where it is not known.
    """
    result = np.zeros((len(labels), len(names)))
    position = {name: index for index, name in enumerate(names)}
    for row, label in enumerate(labels):
        for part in split(label):
            name = part.removesuffix(UNKNOWN)
            if name in position:
                result[row, position[name]] = np.nan if part.endswith(UNKNOWN) else 1.0
    return result


def split(label: str) -> tuple[str, ...]:
    """Return the parts of a label: findings that are there, and those not known with a `?`."""
    return () if label == NO_FINDING else tuple(label.split(SEPARATOR))


def name_findings(there: Sequence[str], unknown: Sequence[str] = ()) -> str:
    """Write a label.

    Args:
        there: Findings that are there.
        unknown: Findings of which it is not known.
    """
    parts = [*there, *(f"{name}{UNKNOWN}" for name in unknown)]
    return SEPARATOR.join(parts) or NO_FINDING


def _check_names(wanted: Sequence[str]) -> None:
    """Refuse names that the form of a label cannot hold."""
    for name in wanted:
        if name == NO_FINDING or SEPARATOR in name or name.endswith(UNKNOWN) or not name.strip():
            raise LabelError(
                f"data.findings: finding must be a name without {SEPARATOR} or {UNKNOWN}, other "
                f"than {NO_FINDING}, got {name!r}.",
                f"{NO_FINDING} is what an image without any finding has: leave it out."
                if name == NO_FINDING
                else "rename the finding.",
            )
    if len(set(wanted)) < len(wanted):
        raise LabelError("data.findings: findings must be unlike, got one twice.")


def _join_columns(row: Mapping[str, str], wanted: Sequence[str], *, line: int) -> dict[str, str]:
    """Turn one row's columns of 1 and 0 into its label."""
    cells = {name: (row.get(name) or "").strip() for name in wanted}
    for name, text in cells.items():
        if text not in _PRESENT | _ABSENT and text.lower() not in ("", MISSING):
            raise LabelError(
                f"labels line {line}: {name} must be 1, 0, empty or {MISSING}, got {text}.",
                f"write {MISSING} where it is not known whether the finding is there.",
            )
    there = [name for name, text in cells.items() if text in _PRESENT]
    unknown = [name for name, text in cells.items() if text not in _PRESENT | _ABSENT]
    label = MISSING if len(unknown) == len(wanted) else name_findings(there, unknown)
    return {key: value for key, value in row.items() if key not in cells} | {"label": label}


def _join_cell(row: Mapping[str, str], wanted: Sequence[str], *, line: int) -> dict[str, str]:
    """Bring one row's list of names into order."""
    if "label" not in row:
        # What is missing is said where the columns are checked.
        return dict(row)
    text = (row["label"] or "").strip()
    if text.lower() in (MISSING, NO_FINDING.lower(), ""):
        return dict(row) | {"label": MISSING if text.lower() == MISSING else NO_FINDING}
    parts = [part.strip() for part in text.split(SEPARATOR)]
    bare = [part.removesuffix(UNKNOWN) for part in parts]
    if NO_FINDING in parts or not all(bare) or len(set(bare)) < len(bare):
        raise LabelError(
            f"labels line {line}: findings must be unlike names joined by {SEPARATOR}, or "
            f"{NO_FINDING} alone, got {text}.",
            "correct the cell.",
        )
    kept = [part for part in parts if not wanted or part.removesuffix(UNKNOWN) in wanted]
    order = {name: n for n, name in enumerate(wanted or sorted(bare))}
    kept.sort(key=lambda part: (part.endswith(UNKNOWN), order[part.removesuffix(UNKNOWN)]))
    return dict(row) | {"label": SEPARATOR.join(kept) or NO_FINDING}
