"""Dealing: groups to parts, by hash first, and as many moved as balance needs."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.domain.splits.targets import Counts, Table, apportion, build_bounds

Key = tuple[str, ...]
"""What is counted: () everybody, (column, value), or (column, value, column, value) jointly."""

LABEL = "label"
"""The column of a key that counts a class."""


@dataclass(frozen=True)
class Group:
    """Subjects that stay together, and the keys under which they are counted."""

    name: str
    keys: frozenset[Key]


def deal(
    groups: Sequence[Group], *, shares: Sequence[float], least: Sequence[int], purpose: str
) -> dict[str, int]:
    """Deal groups to parts, each key spread evenly, from the purpose and the names alone.

    A hash scores each group for each part, and the group belongs to the part that it scores
    highest. Groups of equal keys are of one kind; each kind has its number of places in each
    part (`apportion`). A part with more of a kind than places keeps those with the highest
    scores; the others, again by their scores, go to the part with a place that they score
    highest. So a group moves only where the counts ask for it, and one group more changes the
    counts of its kind by one.

    Args:
        groups: Names and keys; the order does not matter.
        shares: (P,) share of each part, summing to 1.
        least: (P,) groups of each class that a part must hold, where there are enough.
        purpose: Text that makes this dealing unlike any other: the seed and what it is for.

    Returns:
        Name to part, 0 to P - 1.

    Source:
        Highest random weight, Thaler and Ravishankar 1998, doi:10.1109/90.663936; the places
        are our own definition.
    """
    by_kind: dict[tuple[Key, ...], list[str]] = {}
    for group in sorted(groups, key=lambda group: group.name):
        by_kind.setdefault(tuple(sorted(group.keys)), []).append(group.name)
    kinds = sorted(by_kind)
    places = _count_places(
        kinds,
        np.array([len(by_kind[kind]) for kind in kinds], dtype=np.intp),
        shares=shares,
        least=least,
        purpose=purpose,
    )
    result: dict[str, int] = {}
    for kind, row in zip(kinds, places.tolist(), strict=True):
        scores = {name: _score(f"{purpose}/{name}", len(shares)) for name in by_kind[kind]}
        result |= _seat(scores, row)
    return result


def _count_places(
    kinds: Sequence[tuple[Key, ...]],
    n_groups: Counts,
    *,
    shares: Sequence[float],
    least: Sequence[int],
    purpose: str,
) -> Counts:
    """Return the places (C, P) of each kind in each part."""
    keys = sorted({key for kind in kinds for key in kind})
    members = np.array([[key in set(kind) for key in keys] for kind in kinds], dtype=np.bool_)
    is_class = np.array([len(key) == 2 and key[0] == LABEL for key in keys])
    needed: Table = np.where(is_class[:, None], np.asarray(least, dtype=np.float64), 0.0)
    # A class that is missing from a part spoils it; an uneven subgroup only weakens it.
    weight = np.select([is_class, np.array([not key for key in keys])], [64.0, 8.0], 1.0)
    bounds = build_bounds(members.T.astype(np.intp) @ n_groups, shares, weight=weight, least=needed)
    scores = [_score(f"{purpose}/kind/{kind}", len(shares)) for kind in kinds]
    ranking = np.argsort(np.argsort(-np.array(scores), axis=1, kind="stable"), axis=1)
    return apportion(n_groups, shares, members=members, bounds=bounds, ranking=ranking)


def _seat(scores: Mapping[str, Sequence[float]], places: Sequence[int]) -> dict[str, int]:
    """Seat the groups of one kind: by score where there is a place, else by the next score."""
    choices = {
        name: sorted(range(len(places)), key=lambda part, each=each: -each[part])  # type: ignore[misc]  # bound early
        for name, each in scores.items()
    }
    order = sorted(scores, key=lambda name: (-scores[name][choices[name][0]], name))
    room, result = list(places), {}
    for name in order:
        first = choices[name][0]
        if room[first] > 0:
            result[name] = first
            room[first] -= 1
    for name in order:
        if name not in result:
            result[name] = next(part for part in choices[name] if room[part] > 0)
            room[result[name]] -= 1
    return result


def _score(text: str, n_parts: int) -> list[float]:
    """Return a number in [0, 1) for each part, from SHA-256."""
    digests = (hashlib.sha256(f"{text}/{part}".encode()).digest() for part in range(n_parts))
    return [int.from_bytes(digest[:6]) / 2**48 for digest in digests]
