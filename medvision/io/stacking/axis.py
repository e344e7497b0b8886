"""Slices that repeat positions divided into volumes: what makes the fourth axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import AXES, PARTS, Slice, Value
from medvision.io.reasons import RefusalError
from medvision.io.stacking.close import Labels, count_pairs, list_members
from medvision.io.stacking.columns import PASSING, Columns, label_values, list_differing
from medvision.io.stacking.parts import label_terms

VolumeTable = NDArray[np.intp]
"""(T, P) index of the slice of volume t at position p."""

_COUNTER = "instance-number"

_RANKS = tuple(name for name in AXES if name not in ("b-value", "gradient", _COUNTER))
"""Names whose order at each position may tell the volumes."""

_COUNTS = ("temporal-position", "acquisition-number")

_FREE = frozenset(("cardiac-phase-percent", "inversion-time-ms"))
"""Ranks that need not rise from volume to volume: they start anew at each position."""

_STRAY = 0.25
"""Largest deviation of a time from volume's and position's parts, as a share of a volume's."""

BEAT_MS = 2000.0
"""Trigger times up to here lie within one heart beat."""


@dataclass(frozen=True)
class Division:
    """Slices divided into volumes, in no particular order.

    Args:
        volumes: (T, P) index of the slice of volume t at position p.
        names: What told the volumes apart: names of AXES, or `instance` (one object each).
    """

    volumes: VolumeTable
    names: tuple[str, ...]


def divide_volumes(slices: Sequence[Slice], places: Labels, *, columns: Columns) -> Division:
    """Divide slices into volumes that have one slice at each position.

    The rules in turn, the first that fits counts:

    1. each instance has one frame at each position: instances are volumes;
    2. a name of AXES has different values at each position, the same ones everywhere;
    3. so have several names together, taken in the order of AXES; values that two or more volumes
       share (several b = 0) leave these to rule 4;
    4. the order of a time at each position: it must be unique there, come volume after volume or
       position after position, and be nearly a(volume) + b(position); inversion time, cardiac
       phase, and trigger time within one heart beat need only be unique;
    5. the order of instance-number, if it counts exactly volume after volume or position after
       position: number = a(volume) + b(position).

    Where all slices share one position, neither instance-number nor content-time-s counts: they
    always differ, also where a position is wrong. Frames of one instance are then in their own
    order.

    Args:
        slices: Without duplicates.
        places: (N,) position of each, from 0, none left out.
        columns: Values of each name, by slice.

    Returns:
        The division; one volume where each position has one slice.

    Raises:
        RefusalError: `uneven-repeats` where positions have different numbers of slices;
            `repeated-positions` where no rule fits, one volume would have several b-values, or
            volumes differ in a name of PARTS other than image-kind.
    """
    n_volumes = _count_volumes(places)
    if n_volumes == 1:
        return Division(np.argsort(places)[np.newaxis], ())
    instances = label_values([item.instance.sop_uid for item in slices])
    if places.max() > 0 and _is_crossing(instances, places, n_volumes):
        division = Division(_tabulate(instances, places), ("instance",))
    elif places.max() > 0:
        division = _divide_by_names(places, columns, n_volumes)
    else:
        division = _divide_one_position(slices, places, columns)
    _check_volumes(division, columns)
    return division


def _count_volumes(places: Labels) -> int:
    """Return how many slices each position has, and refuse different numbers."""
    counts = np.bincount(places)
    if counts.min() == counts.max():
        return int(counts[0])
    sizes, shares = np.unique(counts, return_counts=True)
    tally = ", ".join(
        f"{size} at {share} positions"
        for size, share in sorted(zip(sizes, shares, strict=True), key=lambda pair: -pair[1])[:4]
    )
    raise RefusalError(
        "uneven-repeats", f"each position must have the same number of slices, got {tally}"
    )


def _is_crossing(labels: Labels, places: Labels, n_volumes: int) -> bool:
    """Say whether each position has each label once."""
    return labels.max() + 1 == n_volumes and count_pairs(labels, places) == len(labels)


def _tabulate(labels: Labels, places: Labels) -> VolumeTable:
    """Return the (T, P) table of a crossing."""
    return np.lexsort((places, labels)).reshape(-1, int(places.max()) + 1)


def _divide_one_position(slices: Sequence[Slice], places: Labels, columns: Columns) -> Division:
    """Divide slices that share one position."""
    telling = {name: values for name, values in columns.items() if name not in PASSING}
    try:
        return _divide_by_names(places, telling, len(slices))
    except RefusalError:
        if len({item.instance.sop_uid for item in slices}) > 1:
            raise
    order = np.argsort([item.frame.index for item in slices])
    return Division(order[:, np.newaxis], ("frame",))


def _divide_by_names(places: Labels, columns: Columns, n_volumes: int) -> Division:
    """Divide by rules 2 to 5."""
    for name in AXES:
        if name in columns:
            labels = label_values(columns[name])
            if _is_crossing(labels, places, n_volumes):
                return Division(_tabulate(labels, places), (name,))
    cells, names = _cross_names(places, columns, n_volumes)
    if cells.max() + 1 == n_volumes:
        return Division(_tabulate(cells, places), names)
    counts = [numbers for name in _COUNTS if (numbers := _get_numbers(columns, name)) is not None]
    for name in (*_RANKS, _COUNTER):
        volumes = _rank(name, places, cells, columns=columns, counts=counts)
        if volumes is not None:
            return Division(volumes, (*names, name))
    differing = ", ".join(list_differing(columns)) or "nothing known"
    raise RefusalError(
        "repeated-positions",
        f"each position must have one slice, got {n_volumes} slices at each of "
        f"{places.max() + 1} positions (they differ in {differing})",
    )


def _cross_names(
    places: Labels, columns: Columns, n_volumes: int
) -> tuple[Labels, tuple[str, ...]]:
    """Return the cells of all names whose values are the same at each position."""
    cells: Labels = np.zeros(len(places), dtype=np.intp)
    names: tuple[str, ...] = ()
    for name in AXES:
        if name not in columns:
            continue
        joint = label_values(
            list(zip(cells.tolist(), label_values(columns[name]).tolist(), strict=True))
        )
        n_cells = int(joint.max()) + 1
        if cells.max() + 1 < n_cells <= n_volumes and _is_same_everywhere(joint, places):
            cells, names = joint, (*names, name)
    return cells, names


def _is_same_everywhere(labels: Labels, places: Labels) -> bool:
    """Say whether each position has each label equally often."""
    n_labels = int(labels.max()) + 1
    counts = np.bincount(
        places * n_labels + labels, minlength=(int(places.max()) + 1) * n_labels
    ).reshape(-1, n_labels)
    return bool((counts == counts[0]).all())


def _rank(
    name: str,
    places: Labels,
    cells: Labels,
    *,
    columns: Columns,
    counts: Sequence[NDArray[np.float64]],
) -> VolumeTable | None:
    """Return the volumes by the order of a name at each position of a cell, None if unfit."""
    numbers = _get_numbers(columns, name)
    if numbers is None:
        return None
    order = np.lexsort((numbers, places, cells))
    volumes: list[VolumeTable] = []
    for members in list_members(cells[order]):
        table = order[members].reshape(int(places.max()) + 1, -1).T
        values = numbers[table]
        if not ((np.diff(values, axis=0) > 0).all() and _is_orderly(name, values)):
            return None
        # The acquisitions' own count never falls from volume to volume.
        if name not in _FREE and any((np.diff(one[table], axis=0) < 0).any() for one in counts):
            return None
        volumes.append(table)
    return np.concatenate(volumes)


def _get_numbers(columns: Columns, name: str) -> NDArray[np.float64] | None:
    """Return the values of a name as numbers, None where one is missing or none."""
    return list_numbers(columns[name]) if name in columns else None


def list_numbers(values: Sequence[Value | None]) -> NDArray[np.float64] | None:
    """Return values as numbers, None where one of them is none."""
    if any(isinstance(value, str | None) for value in values):
        return None
    return np.array(values, dtype=np.float64)


def _is_orderly(name: str, values: NDArray[np.float64]) -> bool:
    """Say whether (T, P) values come volume after volume or position after position."""
    if name in _FREE or (name == "trigger-time-ms" and values.max() <= BEAT_MS):
        return True
    if len(values) == 1:
        return True
    # What each value is beyond the sum of its volume's and its position's part.
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    limit = 1e-6 if name == _COUNTER else _STRAY * float(np.median(np.diff(values, axis=0)))
    if np.abs(rest).max() > limit:
        return False
    by_volume = values.min(axis=1)[1:] > values.max(axis=1)[:-1]
    by_place = values[:, np.argsort(values[0])]
    return bool(by_volume.all() or (by_place.min(axis=0)[1:] > by_place.max(axis=0)[:-1]).all())


def _check_volumes(division: Division, columns: Columns) -> None:
    """Refuse volumes that hold several b-values, or that a name of PARTS tells apart."""
    if "b-value" in columns:
        labels = label_values(columns["b-value"])[division.volumes]
        if (labels != labels[:, :1]).any():
            raise RefusalError(
                "repeated-positions", "slices of one volume must have one b-value, got several"
            )
    # The kind may follow the b-value; any other part is an image of its own, not a volume.
    for name in PARTS:
        if name in columns and name != "image-kind":
            labels = label_terms(columns[name])[0][division.volumes]
            if (labels != labels[:1]).any():
                raise RefusalError(
                    "repeated-positions",
                    f"slices of one position must agree in {name}, they differ",
                )
