"""Measured values as labels, such as an age or a size: read, checked, and cut into bins."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.domain.labels.rows import FIRST_LINE, MISSING, Classes
from medvision.errors import LabelError

Values = NDArray[np.float64]
"""(N,) float64: one value per image, in the unit of the user's table."""

_MOST_BINS = 5
_SUBJECTS_PER_BIN = 2


def check_values(rows: Sequence[Mapping[str, str]]) -> None:
    """Refuse a label that is no finite number.

    Args:
        rows: Column name to text, one mapping per row; a label of n/a is no label, and passes.

    Raises:
        LabelError: With the line.
    """
    for line, row in enumerate(rows, start=FIRST_LINE):
        text = (row.get("label") or "").strip()
        if text.lower() in ("", MISSING):
            continue
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise LabelError(
                f"labels line {line}: label must be a finite number for data.task regression, "
                f"got {text}.",
                f"write a number with a point, without its unit, or {MISSING} where there is none.",
            )


def build_value(labels: Sequence[str], *, name: str) -> Classes:
    """Return what a regression predicts: one value.

    Args:
        labels: Label of each image.
        name: What the value is called.

    Raises:
        LabelError: All labels are equal.
    """
    values = parse_values(labels)
    if len(np.unique(values)) < 2:
        raise LabelError(
            f"labels: values must differ for data.task regression, got {len(values)} times "
            f"{labels[0]}.",
            "set data.label_column to the column that holds the value.",
        )
    return Classes(names=(name,), positive=None, task="regression")


def parse_values(labels: Sequence[str]) -> Values:
    """Read labels as numbers, (N,), in their own unit."""
    return np.array([float(label) for label in labels], dtype=np.float64)


def name_bins(labels: Sequence[str], *, n_groups: int, needed: int) -> dict[str, str]:
    """Cut the values into bins of about equal count, so that folds can spread them evenly.

    Args:
        labels: Label of each image.
        n_groups: Groups of subjects that can be dealt.
        needed: Groups that the folds need of anything that every split is to hold.

    Returns:
        Label to the name of its bin, such as `41 to 57`; at most 5 bins, each of about twice the
        groups needed, or one where there are too few.

    Source:
        None: own definition; quantile bins as in stratified sampling of a continuous outcome.
    """
    values = parse_values(labels)
    n_bins = min(_MOST_BINS, n_groups // (_SUBJECTS_PER_BIN * max(1, needed)))
    if n_bins < 2:
        return dict.fromkeys(labels, "all")
    edges = np.unique(np.quantile(values, np.arange(1, n_bins) / n_bins))
    index = np.searchsorted(edges, values, side="right")
    ends = {n: (values[index == n].min(), values[index == n].max()) for n in np.unique(index)}
    return {
        label: f"{ends[n][0]:g} to {ends[n][1]:g}" for label, n in zip(labels, index, strict=True)
    }
