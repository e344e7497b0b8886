"""Planning scouts that say so by their planes alone: a few slices across a stack or each other."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import Role, Slice
from medvision.io.stacking.close import group_close, list_members

_MOST_DIRECTIONS = 3
_MOST_SLICES = 30
_LARGEST_COSINE = 0.5
"""Planes at more than 60° to each other."""

_SAME_DIRECTION = 2e-3
"""Largest difference of products of a normal's components within one direction."""

_FEWEST_OF_STACK = 4
_STACK_RATIO = 3
_MOST_ACROSS = 3


def tag_scouts(slices: Sequence[Slice]) -> list[Slice]:
    """Give the role `localizer` to the planes of a series that only plan others.

    Decided once per series, whatever the size of the planes, by the original slices with geometry.
    They must lie in two or three directions at more than 60° to each other, and no two objects of
    one direction may share a position: slices over time are no scout, nor are slices that turn
    about an axis. Copies of one frame count once. Then

    - where one direction is a stack, at least 4 slices and at least three times as many as in each
      other direction, and the others have at most 3 slices each: these others are localizers;
    - where the largest direction is no such multiple of the second, or has fewer than 4 slices,
      and none has more than 30: all are localizers;
    - else none is: a stack across more than a few planes may be an image, and so may these.

    Args:
        slices: Of one series, in any order, with geometry or without.

    Returns:
        The slices in the order given, with the role of their instances changed where it is told.

    Source:
        none: own definition.
    """
    originals = [
        k
        for k, item in enumerate(slices)
        if item.frame.has_geometry and item.instance.role == "original"
    ]
    groups = _group_directions([slices[k] for k in originals])
    chosen = [originals[k] for members in _choose(groups, slices, originals) for k in members]
    tagged = list(slices)
    for k, item in zip(chosen, tag_role([slices[k] for k in chosen], "localizer"), strict=True):
        tagged[k] = item
    return tagged


def tag_role(slices: Sequence[Slice], role: Role) -> list[Slice]:
    """Return slices whose instances have another role."""
    tagged = {item.instance.file: replace(item.instance, role=role) for item in slices}
    return [Slice(tagged[item.instance.file], item.frame) for item in slices]


def _group_directions(slices: Sequence[Slice]) -> list[NDArray[np.intp]]:
    """Return the members of each direction; none where the directions are no scout's."""
    if not slices:
        return []
    directions = np.array([item.frame.orientation for item in slices], dtype=np.float64)
    # Numbers that are none end as directions of their own, which nothing can be told of.
    with np.errstate(invalid="ignore", over="ignore"):
        normals = np.cross(directions[:, :3], directions[:, 3:])
        # A normal and its opposite have the same products.
        products = (normals[:, :, np.newaxis] * normals[:, np.newaxis, :]).reshape(-1, 9)
        groups = list_members(group_close(products, tolerance=[_SAME_DIRECTION] * 9))
        if not 2 <= len(groups) <= _MOST_DIRECTIONS:
            return []
        firsts = normals[[group[0] for group in groups]]
        cosines = np.abs(firsts @ firsts.T)[np.triu_indices(len(groups), 1)]
    return groups if bool((cosines <= _LARGEST_COSINE).all()) else []


def _choose(
    groups: Sequence[NDArray[np.intp]], slices: Sequence[Slice], originals: Sequence[int]
) -> list[NDArray[np.intp]]:
    """Return the directions that are a scout's."""
    held = [[slices[originals[k]] for k in group] for group in groups]
    if not held or any(_has_repeats(group) for group in held):
        return []
    counts = [len({item.identity[:2] for item in group}) for group in held]
    order = sorted(range(len(counts)), key=lambda n: -counts[n])
    most, second = counts[order[0]], counts[order[1]]
    if most < max(_FEWEST_OF_STACK, _STACK_RATIO * second):
        return list(groups) if most <= _MOST_SLICES else []
    return [groups[n] for n in order[1:]] if second <= _MOST_ACROSS else []


def _has_repeats(group: Sequence[Slice]) -> bool:
    """Say whether two objects lie at one position."""
    places = {item.instance.sop_uid: item.frame.position_mm for item in group}
    is_multiframe = any(len(item.instance.frames) > 1 for item in group)
    positions = [item.frame.position_mm for item in group] if is_multiframe else places.values()
    return len(set(positions)) < len(positions)
