"""Planning scouts that say so by their planes alone: a few slices in two or three directions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import Slice

_MOST_DIRECTIONS = 3
_MOST_SLICES = 30
_LARGEST_COSINE = 0.5
"""Planes at more than 60° to each other."""


def is_scout(groups: Sequence[Sequence[Slice]]) -> bool:
    """Say whether groups of parallel slices are the planes of one scout.

    A scout here is original, has two or three directions at more than 60° to each other, at most
    30 slices in each, and no position twice: slices over time in several planes are none, nor
    are slices that turn about an axis.

    Args:
        groups: Slices of one series by orientation, all with geometry.

    Source:
        none: own definition.
    """
    if not 2 <= len(groups) <= _MOST_DIRECTIONS:
        return False
    if any(item.instance.role != "original" for group in groups for item in group):
        return False
    if any(len(group) > _MOST_SLICES or _has_repeats(group) for group in groups):
        return False
    normals = np.array([_compute_normal(group[0]) for group in groups])
    cosines = np.abs(normals @ normals.T)[np.triu_indices(len(groups), 1)]
    return bool((cosines <= _LARGEST_COSINE).all())


def _has_repeats(group: Sequence[Slice]) -> bool:
    """Say whether two objects lie at one position."""
    places = {item.instance.sop_uid: item.frame.position_mm for item in group}
    is_multiframe = any(len(item.instance.frames) > 1 for item in group)
    positions = [item.frame.position_mm for item in group] if is_multiframe else places.values()
    return len(set(positions)) < len(positions)


def _compute_normal(item: Slice) -> NDArray[np.float64]:
    """Return row × column."""
    directions = np.array(item.frame.orientation, dtype=np.float64)
    return np.cross(directions[:3], directions[3:])


def tag_scout(slices: Sequence[Slice]) -> list[Slice]:
    """Return slices whose instances have the role `localizer`."""
    tagged = {item.instance.file: replace(item.instance, role="localizer") for item in slices}
    return [Slice(tagged[item.instance.file], item.frame) for item in slices]
