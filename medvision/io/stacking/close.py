"""Numbers that are equal within a tolerance, grouped so that their order never matters."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.intp]
"""(N,) number of each item's group, from 0."""

Table = NDArray[np.float64]
"""(N, D) one row of numbers per item."""

_MAX_ROUNDS = 8


def group_close(values: Table, *, tolerance: Sequence[float]) -> Labels:
    """Group rows that agree in every column within its tolerance.

    Groups are told apart where a column, sorted, leaves a gap; a group that a chain of small
    differences has made wider than the tolerance is then cut at every tolerance from its smallest
    value. Sorting, not comparing pairs: the time is O(N log N).

    Args:
        values: (N, D) numbers; rows with NaN are groups of their own.
        tolerance: D numbers, the largest difference within a group.

    Returns:
        (N,) labels, which depend on the values alone and not on their order.

    Source:
        none: own definition.
    """
    labels = np.zeros(len(values), dtype=np.intp)
    if len(values) == 0 or (np.ptp(values, axis=0) <= tolerance).all():
        return labels
    n_groups = 0
    for _ in range(_MAX_ROUNDS):
        for column, limit in zip(values.T, tolerance, strict=True):
            labels = _split_at_gaps(labels, column, limit=limit)
        if labels.max() + 1 == n_groups:
            break
        n_groups = int(labels.max()) + 1
    for column, limit in zip(values.T, tolerance, strict=True):
        labels = _split_chains(labels, column, limit=limit)
    return labels


def _split_at_gaps(labels: Labels, column: NDArray[np.float64], *, limit: float) -> Labels:
    """Divide each group where its sorted values leave a gap."""
    order = np.lexsort((column, labels))
    steps = np.diff(column[order])
    # Negated, so that NaN divides.
    is_new = (np.diff(labels[order]) != 0) | ~(steps <= limit)
    return _number(order, is_new)


def _split_chains(labels: Labels, column: NDArray[np.float64], *, limit: float) -> Labels:
    """Divide each group that is wider than the limit at every limit from its start."""
    order = np.lexsort((column, labels))
    groups, numbers = labels[order], column[order]
    is_new = np.diff(groups) != 0
    start = 0
    for end in (*(np.flatnonzero(is_new) + 1), len(order)):
        # A group within the limit is not walked through.
        if not numbers[end - 1] - numbers[start] <= limit:
            is_new[start : end - 1] = _find_cuts(numbers[start:end], limit=limit)
        start = end
    return _number(order, is_new)


def _find_cuts(numbers: NDArray[np.float64], *, limit: float) -> NDArray[np.bool_]:
    """Say of each but the first of rising numbers whether it is too far from its group's first."""
    cuts = np.zeros(len(numbers) - 1, dtype=bool)
    first = numbers[0]
    for place, number in enumerate(numbers[1:]):
        if not number - first <= limit:
            cuts[place] = True
            first = number
    return cuts


def _number(order: NDArray[np.intp], is_new: NDArray[np.bool_]) -> Labels:
    """Return labels where each sorted item either begins a group or belongs to the one before."""
    labels = np.empty(len(order), dtype=np.intp)
    labels[order] = np.concatenate([[0], np.cumsum(is_new)])
    return labels


def list_members(labels: Labels) -> list[NDArray[np.intp]]:
    """Return the indices of each group's items, rising; every label from 0 must occur."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(1, int(labels.max(initial=0)) + 1))
    return np.split(order, starts)


def count_pairs(one: Labels, other: Labels) -> int:
    """Return how many different pairs of labels there are."""
    if len(one) == 0:
        return 0
    return len(np.unique(one * (int(other.max()) + 1) + other))
