"""Slices that repeat another one: the same object, or the same pixels at the same place."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from medvision.domain.study import Slice
from medvision.io.reasons import RefusalError
from medvision.io.stacking.close import Labels
from medvision.io.stacking.columns import PASSING

Digest = Callable[[Slice], str]
"""The digest of a slice's modality values; costly, since it reads pixels."""

_SAME_NUMBER = 1e-3
"""Largest difference of positions in mm, and of direction cosines, of copies of one frame."""

_Key = TypeVar("_Key")


def find_duplicates(
    slices: Sequence[Slice], places: Labels, *, digest: Digest
) -> tuple[list[int], list[int]]:
    """Tell the slices to keep from those that repeat one of them.

    A slice repeats another if both are one frame of one SOPInstanceUID, or lie at one position
    with the same value of every name of PARTS and AXES, and their pixels are equal. If only
    instance-number or content-time-s differ, equal pixels make a duplicate too, unless that would
    leave uneven counts where there were even ones: then they are blank slices of a time series.
    Frames of one instance never repeat each other.

    Args:
        slices: In an order that does not depend on the input's; of duplicates the first is kept.
        places: (N,) number of each slice's position.
        digest: Called only for slices that may be duplicates.

    Returns:
        (kept, duplicates): indices into `slices`, rising.

    Raises:
        RefusalError: `conflicting-duplicate` where one frame of one SOPInstanceUID, or one
            position with the same values of all names, stands for different pixels.
    """
    hash_slice = _remember(slices, digest)
    copies = _find_copies(slices, places, hash_slice)
    kept = [k for k in range(len(slices)) if k not in copies]
    twins = _find_twins(kept, slices, places, hash_slice)
    kept = [k for k in kept if k not in twins]
    resent = _find_resent(kept, slices, places, hash_slice)
    return [k for k in kept if k not in resent], sorted(copies | twins | resent)


def find_copies(slices: Sequence[Slice], *, digest: Digest) -> tuple[list[int], list[int]]:
    """Tell planes without geometry from copies: the same frame of the same SOPInstanceUID.

    Args:
        slices: In an order that does not depend on the input's.
        digest: Called only for slices that may be copies.

    Returns:
        (kept, duplicates): indices into `slices`, rising.

    Raises:
        RefusalError: `conflicting-duplicate` where one frame stands for different pixels.
    """
    places = np.zeros(len(slices), dtype=np.intp)
    copies = _find_copies(slices, places, _remember(slices, digest))
    return [k for k in range(len(slices)) if k not in copies], sorted(copies)


def _remember(slices: Sequence[Slice], digest: Digest) -> Callable[[int], str]:
    """Return a function that gives a slice's digest by its index and reads each slice once."""
    known: dict[int, str] = {}

    def hash_slice(index: int) -> str:
        if index not in known:
            known[index] = digest(slices[index])
        return known[index]

    return hash_slice


def _find_copies(
    slices: Sequence[Slice], places: Labels, hash_slice: Callable[[int], str]
) -> set[int]:
    """Return the slices that are another file's frame of the same SOPInstanceUID."""
    copies: set[int] = set()
    keys = [(item.instance.sop_uid, item.frame.index) for item in slices]
    for group in _group(range(len(slices)), keys):
        # The copy that tells most is kept: another archive may have taken attributes away.
        first = max(group, key=lambda k: (len(slices[k].frame.variant), -k))
        for k in group:
            if not _agree(slices[first], slices[k]) or places[first] != places[k]:
                raise RefusalError(
                    "conflicting-duplicate",
                    "one SOPInstanceUID must stand for one slice, got different headers",
                )
            if hash_slice(first) != hash_slice(k):
                raise RefusalError(
                    "conflicting-duplicate",
                    "one SOPInstanceUID must stand for one slice, got different pixels",
                )
        copies.update(k for k in group if k != first)
    return copies


def _agree(one: Slice, other: Slice) -> bool:
    """Say whether two headers of one frame contradict each other nowhere."""
    told, also = dict(one.frame.variant), dict(other.frame.variant)
    return (
        _describe(one) == _describe(other)
        and _is_near(one.frame.position_mm, other.frame.position_mm)
        and _is_near(one.frame.orientation, other.frame.orientation)
        and all(told[name] == also[name] for name in told.keys() & also.keys() - PASSING)
    )


def _describe(item: Slice) -> tuple[object, ...]:
    """Return what copies of one instance cannot differ in."""
    one = item.instance
    size = (one.rows, one.columns, one.samples, len(one.frames))
    return (one.sop_class, one.role, one.photometric, one.frame_of_reference, *size)


def _is_near(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    """Say whether two headers give the same numbers, or both none."""
    if one is None or other is None:
        return one is other
    return max(abs(here - there) for here, there in zip(one, other, strict=True)) <= _SAME_NUMBER


def _find_twins(
    kept: Sequence[int],
    slices: Sequence[Slice],
    places: Labels,
    hash_slice: Callable[[int], str],
) -> set[int]:
    """Return the slices that nothing but the UID tells from another one."""
    twins: set[int] = set()
    keys = [(int(places[k]), _get_number(slices[k]), slices[k].frame.variant) for k in kept]
    for group in _group(kept, keys):
        if len({hash_slice(k) for k in group}) > 1:
            raise RefusalError(
                "conflicting-duplicate",
                f"slices with equal headers must have equal pixels, got {len(group)} that differ",
            )
        twins.update(group[1:])
    return twins


def _find_resent(
    kept: Sequence[int],
    slices: Sequence[Slice],
    places: Labels,
    hash_slice: Callable[[int], str],
) -> set[int]:
    """Return the slices that are another one under a new UID, number or time of creation."""
    keys = [(int(places[k]), _get_number(slices[k]), _get_lasting(slices[k])) for k in kept]
    groups = _group(kept, keys)
    was_even = _is_even(kept, places)
    if not groups or (was_even and _is_varied(groups, places, hash_slice)):
        return set()
    resent: set[int] = set()
    for group in groups:
        seen: set[str] = set()
        for k in group:
            if hash_slice(k) in seen:
                resent.add(k)
            seen.add(hash_slice(k))
    left = [k for k in kept if k not in resent]
    return set() if was_even and not _is_even(left, places) else resent


def _get_number(item: Slice) -> int:
    """Return the number of a frame among several; an instance's own frames repeat none."""
    return item.frame.index if len(item.instance.frames) > 1 else 0


def _get_lasting(item: Slice) -> tuple[tuple[str, object], ...]:
    """Return the values that an object keeps when it is sent again."""
    return tuple(pair for pair in item.frame.variant if pair[0] not in PASSING)


def _is_varied(
    groups: Sequence[Sequence[int]], places: Labels, hash_slice: Callable[[int], str]
) -> bool:
    """Say whether one position has no equal pixels.

    Even counts stay even only if each position loses as many slices; one position is then enough
    to tell that nothing was sent again, and the pixels of the others need not be read.
    """
    middle = groups[len(groups) // 2]
    here = [group for group in groups if places[group[0]] == places[middle[0]]]
    return all(len({hash_slice(k) for k in group}) == len(group) for group in here)


def _is_even(kept: Iterable[int], places: Labels) -> bool:
    """Say whether each position has the same number of slices."""
    counts = np.bincount(places[list(kept)])
    counts = counts[counts > 0]
    return bool(counts.min() == counts.max())


def _group(indices: Sequence[int], keys: Sequence[_Key]) -> list[list[int]]:
    """Return the indices that share a key, where there are several."""
    groups: dict[_Key, list[int]] = {}
    for index, key in zip(indices, keys, strict=True):
        groups.setdefault(key, []).append(index)
    return [group for group in groups.values() if len(group) > 1]
