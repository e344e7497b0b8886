"""Cells of predictions as numbers; what is none is named with its column, and never passed on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError

AGAIN = "run the step predict again; predictions are not to be edited by hand."
"""What helps where a table of predictions is not as its step writes it."""


def read_numbers(cells: Sequence[str], name: str) -> NDArray[np.float64]:
    """Return one column as finite numbers.

    Args:
        cells: (N,) text.
        name: The column.

    Returns:
        (N,) finite values.

    Raises:
        DataError: A cell is empty, no number, or NaN or infinite; with the number of such cells.
    """
    values = [_parse(cell) for cell in cells]
    n_texts = sum(value is None for value in values)
    if n_texts:
        n_empty = sum(not cell.strip() for cell in cells)
        what = f"{n_empty} empty cells" if n_empty == n_texts else f"other text in {n_texts}"
        raise DataError(
            f"predictions: {name} must be a number in all {len(cells)} rows, got {what}.", AGAIN
        )
    found = np.array(values, dtype=np.float64)
    n_lost = int((~np.isfinite(found)).sum())
    if n_lost:
        hint = "a network diverged: lower train.learning_rate and train again."
        if name == "label":
            hint = "correct the labels, and run from the step cohort on."
        raise DataError(
            f"predictions: {name} must be finite in all {len(cells)} rows, got NaN or infinity in "
            f"{n_lost}.",
            hint,
        )
    return found


def _parse(cell: str) -> float | None:
    """Return a number, NaN and infinity among them, or None."""
    try:
        return float(cell)
    except ValueError:
        return None
