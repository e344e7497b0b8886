"""The values that tell slices apart, name by name."""

from collections.abc import Sequence

import numpy as np

from medvision.domain.study import AXES, PARTS, Slice, Value
from medvision.io.stacking.close import Labels

Columns = dict[str, list[Value | None]]
"""Name of PARTS or AXES to the value of each slice, None where it has none."""

PASSING = frozenset(("instance-number", "content-time-s"))
"""Names that tell when an object was made, not when it was acquired: sent again, they change."""

_CLOCKS = ("acquisition-time-s", "content-time-s")
_DAY_S = 86_400.0


def read_columns(slices: Sequence[Slice]) -> Columns:
    """Gather the values of every name that a slice has.

    Times of the day that pass midnight go on counting: where they lie more than half a day apart,
    those of the morning belong to the next day.
    """
    rows = [dict(item.frame.variant) for item in slices]
    present = {name for row in rows for name in row}
    columns: Columns = {
        name: [row.get(name) for row in rows] for name in (*PARTS, *AXES) if name in present
    }
    for name in _CLOCKS:
        if name in columns:
            columns[name] = _pass_midnight(columns[name])
    return columns


def _pass_midnight(values: list[Value | None]) -> list[Value | None]:
    """Add a day to the times after midnight, where a series has times before and after it."""
    times = [value for value in values if not isinstance(value, str | None)]
    if not times or max(times) - min(times) <= _DAY_S / 2 or max(times) >= _DAY_S:
        return values
    return [
        value if isinstance(value, str | None) or value >= _DAY_S / 2 else value + _DAY_S
        for value in values
    ]


def label_values(values: Sequence[object]) -> Labels:
    """Number equal values alike, from 0 in the order of their first appearance."""
    numbers: dict[object, int] = {}
    return np.array(
        [numbers.setdefault(value, len(numbers)) for value in values], dtype=np.intp
    ).reshape(-1)


def list_differing(columns: Columns) -> list[str]:
    """Name what is not the same in all slices."""
    return [name for name, values in columns.items() if len(set(values)) > 1]
