"""Volumes put in order, and what the fourth axis is called and says of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import Value
from medvision.io.stacking.axis import BEAT_MS, Division, VolumeTable, list_numbers
from medvision.io.stacking.columns import PASSING, Columns

_ORDER = (
    "temporal-position",
    "acquisition-number",
    "acquisition-time-s",
    "frame-time-ms",
    "cardiac-phase-percent",
    "trigger-time-ms",
    "content-time-s",
    "instance-number",
    "inversion-time-ms",
    "b-value",
)
"""Names whose smallest value orders volumes, the first that tells them apart counting most."""

_SECONDS = (("acquisition-time-s", 1.0), ("frame-time-ms", 1e-3), ("trigger-time-ms", 1e-3))
"""Names that tell when a volume was acquired, and the unit in seconds."""

_WORDS = (
    ("cardiac-phase", "cardiac-phase-percent", "%"),
    ("cardiac-phase", "trigger-time-ms", "ms"),
    ("inversion-time", "inversion-time-ms", "ms"),
)
"""Words of the axis that go before time, the name that tells them, and its unit."""

_COUNTS = (("time", "temporal-position"), ("acquisition", "acquisition-number"))
"""Words of the axis that only count, and the name that tells them."""

COUNTED = "ordered-by-instance-number"


@dataclass(frozen=True)
class FourthAxis:
    """Volumes in order.

    Args:
        volumes: (T, P) index of the slice of volume t at position p.
        axis: What the axis is, empty for one volume.
        values: What it says of each volume, empty for one volume.
        unit: Unit of the values: s, ms, %, s/mm2, or 1 for a count.
        flags: Codes of reasons.FLAGS.
    """

    volumes: VolumeTable
    axis: str
    values: tuple[Value, ...]
    unit: str
    flags: tuple[str, ...]


def order_volumes(division: Division, columns: Columns) -> FourthAxis:
    """Order volumes by acquisition and name their axis.

    Args:
        division: Volumes in any order.
        columns: Values of each name, by slice.

    Returns:
        Volumes ordered by the smallest value in them of temporal-position, acquisition-number,
        acquisition-time-s, frame-time-ms, cardiac-phase-percent, trigger-time-ms, content-time-s,
        instance-number, inversion-time-ms, b-value; volumes of a cardiac axis by their phase
        first. `ordered-by-instance-number` is flagged where volumes were told apart by it, or
        where order is all that the axis tells and nothing better orders them.
    """
    if len(division.volumes) == 1:
        return FourthAxis(division.volumes, "", (), "", ())
    starts = _measure_volumes(division, columns)
    is_cardiac = not _list_b_values(division, columns) and _is_cardiac(starts)
    order = _sort_volumes(division, starts, is_cardiac)
    division = Division(division.volumes[order], division.names)
    starts = {name: numbers[order] for name, numbers in starts.items()}
    axis, values, unit = _name_axis(division, columns, starts, is_cardiac)
    is_counted = not PASSING.isdisjoint(division.names) or (
        unit == "1" and not _is_ordered(division, starts)
    )
    return FourthAxis(division.volumes, axis, values, unit, (COUNTED,) if is_counted else ())


def _sort_volumes(
    division: Division, starts: dict[str, NDArray[np.float64]], is_cardiac: bool
) -> NDArray[np.intp]:
    """Return the order of volumes."""
    if division.names == ("frame",):
        return np.arange(len(division.volumes))
    first = ("cardiac-phase-percent", "trigger-time-ms") if is_cardiac else ()
    keys = [starts[name] for name in (*first, *_ORDER) if name in starts]
    # The table's own order, that of rule or rank, decides last; it does not depend on the input.
    keys.append(np.arange(len(division.volumes), dtype=np.float64))
    return np.lexsort(keys[::-1])


def _is_ordered(division: Division, starts: dict[str, NDArray[np.float64]]) -> bool:
    """Say whether how volumes were acquired, or their place in one object, tells their order."""
    told = [numbers.tolist() for name, numbers in starts.items() if name not in PASSING]
    n_told = len(set(zip(*told, strict=True)))
    return n_told == len(division.volumes) or division.names == ("frame",)


def _measure_volumes(division: Division, columns: Columns) -> dict[str, NDArray[np.float64]]:
    """Return the smallest number in each volume, for each name that all slices have."""
    starts: dict[str, NDArray[np.float64]] = {}
    for name in _ORDER:
        numbers = list_numbers(columns[name]) if name in columns else None
        if numbers is not None:
            starts[name] = numbers[division.volumes].min(axis=1)
    return starts


def _is_cardiac(starts: dict[str, NDArray[np.float64]]) -> bool:
    """Say whether volumes are phases of the heart: by name, or by times within one beat."""
    if _is_unique(starts.get("cardiac-phase-percent")):
        return True
    times = starts.get("trigger-time-ms")
    is_short = times is not None and _is_unique(times) and float(times.max()) <= BEAT_MS
    return is_short and not _is_unique(starts.get("inversion-time-ms"))


def _is_unique(values: NDArray[np.float64] | None) -> bool:
    """Say whether each volume has a value of its own."""
    return values is not None and len(np.unique(values)) == len(values)


def _name_axis(
    division: Division,
    columns: Columns,
    starts: dict[str, NDArray[np.float64]],
    is_cardiac: bool,
) -> tuple[str, tuple[Value, ...], str]:
    """Return the axis' word, its values by volume, and their unit."""
    b_values = _list_b_values(division, columns)
    if b_values:
        return "b-value", b_values, "s/mm2"
    for word, name, unit in _WORDS:
        if _is_unique(starts.get(name)) and (is_cardiac or word != "cardiac-phase"):
            return word, _list(starts[name]), unit
    for name, unit_s in _SECONDS:
        times = starts.get(name)
        if times is not None and (np.diff(times) > 0).all():
            return "time", _list(np.round((times - times[0]) * unit_s, 6)), "s"
    for word, name in _COUNTS:
        if _is_unique(starts.get(name)):
            return word, _list(starts[name]), "1"
    return "frame", _list(np.arange(1.0, len(division.volumes) + 1)), "1"


def _list_b_values(division: Division, columns: Columns) -> tuple[Value, ...]:
    """Return the b-value of each volume where b-values or gradients differ, else nothing."""
    if "b-value" not in columns:
        return ()
    first = division.volumes[:, 0]
    b_values = [columns["b-value"][k] for k in first]
    gradients = [columns.get("gradient", [""] * len(columns["b-value"]))[k] for k in first]
    is_weighted = any(not isinstance(value, str | None) and value > 0 for value in b_values)
    if len(set(b_values)) < 2 and not (is_weighted and len(set(gradients)) > 1):
        return ()
    return tuple("" if value is None else value for value in b_values)


def _list(values: Sequence[float] | NDArray[np.float64]) -> tuple[Value, ...]:
    """Return numbers as plain floats."""
    return tuple(float(value) for value in values)
