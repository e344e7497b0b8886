"""A set of parallel slices divided into the images that it holds: echoes, components, passes."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import PARTS, Slice, Value
from medvision.io.reasons import RefusalError
from medvision.io.stacking.close import Labels, count_pairs, group_close, list_members
from medvision.io.stacking.columns import label_values, read_columns
from medvision.io.stacking.places import Places, locate
from medvision.io.stacking.scouts import tag_role

_SAME_NUMBER = 1e-3
"""Largest difference of numbers that are one: echo times in ms, echo numbers."""

_UNEVEN = 0.1
"""Largest deviation of a step, and of a place beside the line, as a share of the usual step."""

_GAP_RATIO = 1.5
"""A step this many times the usual one is a gap."""

_MAP_TERMS = "ADC EADC EXP FA RA MD AD RD CBF CBV MTT TTP TMAX KTRANS TRACEW TENSOR SUBTRACTION"
_MAPS = frozenset(_MAP_TERMS.split())
"""Terms of ImageType for images computed from several b-values or times: never part of a series."""

Part = tuple[tuple[str, Value], ...]
"""(name, value) of what sets slices apart from others of their series."""


@dataclass(frozen=True)
class PartedSlices:
    """Slices of one part, with their places."""

    part: Part
    slices: tuple[Slice, ...]


def divide_parts(slices: Sequence[Slice]) -> list[PartedSlices]:
    """Divide parallel slices by the names of PARTS, and where needed by place and by pass.

    A name divides where its values meet at one position. Values that never meet, so that each
    position has one of them, divide only where the slices are neither interleaved nor, all
    together, one even stack: an image kind that changes from slice to slice tears no volume.
    component always divides; image-kind never where it only follows the b-value.

    Among diffusion-weighted slices with directions, those without one are their mean: the trace, of
    the role `derived` where the series is original.

    Slices of one height that lie apart sideways (two fields of view) are divided next. Last,
    where positions repeat unevenly, passes of a scanner (acquisition-number, then
    acquisition-time-s) divide, each an even stack over a range of its own.

    Args:
        slices: Parallel, of one size, all with geometry.

    Returns:
        Parts in the order of their values; slices in the order given.
    """
    groups = [PartedSlices((), tuple(slices))]
    for name in PARTS:
        groups = [new for group in groups for new in _divide_by_name(group, name)]
    groups = [new for group in groups for new in _divide_trace(group)]
    groups = [new for group in groups for new in _divide_by_place(group)]
    return [new for group in groups for new in _divide_by_pass(group)]


def _divide_by_name(group: PartedSlices, name: str) -> Iterator[PartedSlices]:
    """Yield a group's slices by the values of a name of PARTS, or the group itself."""
    values = [dict(item.frame.variant).get(name) for item in group.slices]
    labels, terms = label_terms(values)
    if len(terms) < 2 or not _is_divided(group.slices, labels, name=name):
        yield group
        return
    yield from _pick(group, name, labels=labels, terms=terms)


def _pick(
    group: PartedSlices, name: str, *, labels: Labels, terms: Sequence[Value]
) -> Iterator[PartedSlices]:
    """Yield the slices of each term."""
    for term, members in zip(terms, list_members(labels), strict=True):
        yield PartedSlices((*group.part, (name, term)), tuple(group.slices[k] for k in members))


def label_terms(values: Sequence[Value | None]) -> tuple[Labels, list[Value]]:
    """Number values of a name of PARTS, close numbers alike.

    Args:
        values: One per slice, None where it has none.

    Returns:
        (labels, terms): number of each slice's term; the terms: of close numbers the smallest, in
        rising order, then texts; None is the empty text.
    """
    numbers = sorted({value for value in values if not isinstance(value, str | None)})
    table = np.array(numbers, dtype=np.float64)[:, np.newaxis]
    groups = group_close(table, tolerance=[_SAME_NUMBER])
    terms: list[Value] = []
    label_of: dict[Value | None, int] = {}
    for number, group in zip(numbers, groups, strict=True):
        if group == len(terms):
            terms.append(number)
        label_of[number] = int(group)
    texts = sorted({value or "" for value in values if isinstance(value, str | None)})
    for text in texts:
        label_of[text] = len(terms)
        terms.append(text)
    label_of[None] = label_of.get("", 0)
    return np.array([label_of[value] for value in values], dtype=np.intp), terms


def _is_divided(slices: Sequence[Slice], labels: Labels, *, name: str) -> bool:
    """Say whether the values of a name of PARTS tell images apart."""
    if name == "component":
        return True
    try:
        places = locate(slices)
    except RefusalError:
        return False  # The arrangement tells why.
    spots = places.label_points()
    if count_pairs(spots, labels) > int(spots.max()) + 1:
        return not (name == "image-kind" and _follows_b_value(slices, labels))
    if not _is_line(places):
        return True
    return not _is_interleaved(places, labels) and not _is_even(places.heights_mm)


def _follows_b_value(slices: Sequence[Slice], labels: Labels) -> bool:
    """Say whether original images' kind only repeats what their b-value says."""
    columns = read_columns(slices)
    b_values = columns.get("b-value", [None])
    if None in b_values or slices[0].instance.role != "original":
        return False
    words = {word for kind in columns["image-kind"] for word in re.split(r"\W+", str(kind))}
    if not words.isdisjoint(_MAPS):
        return False
    b_labels = label_values(b_values)
    return count_pairs(b_labels, labels) == int(b_labels.max()) + 1


def _is_line(places: Places) -> bool:
    """Say whether positions follow one straight line."""
    heights = places.heights_mm - places.heights_mm.mean()
    offsets = places.points - places.points.mean(axis=0)
    slope = heights @ offsets / max(float(heights @ heights), np.finfo(float).tiny)
    strayed = np.linalg.norm(offsets - np.outer(heights, slope), axis=1)
    return bool(strayed.max() <= _UNEVEN * max(places.spacing_mm))


def _is_interleaved(places: Places, labels: Labels) -> bool:
    """Say whether the range of heights of one value reaches into that of another."""
    ranges = sorted(
        (float(heights.min()), float(heights.max()))
        for heights in (places.heights_mm[members] for members in list_members(labels))
    )
    highest = ranges[0][1]
    for low, high in ranges[1:]:
        if low < highest:
            return True
        highest = max(highest, high)
    return False


def _is_even(heights_mm: NDArray[np.float64]) -> bool:
    """Say whether heights follow each other in even steps; repeated ones count once."""
    steps = np.diff(np.sort(heights_mm))
    steps = steps[steps > steps.max(initial=0) / 100]
    if len(steps) == 0:
        return True
    return bool(np.abs(steps - np.median(steps)).max() <= _UNEVEN * np.median(steps))


def _divide_trace(group: PartedSlices) -> Iterator[PartedSlices]:
    """Yield weighted slices without direction apart from those with one: a mean of these."""
    is_weighted, is_directed = _list_weights(group.slices)
    is_trace = is_weighted & ~is_directed
    if not (is_trace.any() and is_directed.any()):
        yield group
        return
    kind = dict(group.part).get("image-kind", "")
    rest = tuple(pair for pair in group.part if pair[0] != "image-kind")
    for term, members in ((kind, ~is_trace), (f"{kind}+TRACE".lstrip("+"), is_trace)):
        slices = [group.slices[k] for k in np.flatnonzero(members)]
        # Computed by the scanner, though ImageType may say ORIGINAL.
        if term != kind and slices[0].instance.role == "original":
            slices = tag_role(slices, "derived")
        yield PartedSlices((*rest, ("image-kind", term)), tuple(slices))


def _list_weights(slices: Sequence[Slice]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of each slice whether it has a b-value above 0, and whether it then has a direction."""
    variants = [dict(item.frame.variant) for item in slices]
    b_values = [variant.get("b-value") for variant in variants]
    weighted = [not isinstance(value, str | None) and value > 0 for value in b_values]
    directed = [
        is_one and bool(one.get("gradient")) for is_one, one in zip(weighted, variants, strict=True)
    ]
    return np.array(weighted), np.array(directed)


def _divide_by_place(group: PartedSlices) -> Iterator[PartedSlices]:
    """Yield slices by their place sideways, where slices of one height lie side by side."""
    try:
        places = locate(group.slices)
    except RefusalError:
        yield group
        return
    spots = places.label_points()
    most = _count_most(places.labels, spots)
    sideways = places.points @ np.stack([places.row, places.column], axis=1)
    lines = group_close(sideways, tolerance=[places.same_mm] * 2)
    # Under a tilt each height is a place of its own sideways, and nothing is divided.
    if most == 1 or lines.max() + 1 > most:
        yield group
        return
    for members in list_members(lines):
        yield PartedSlices(group.part, tuple(group.slices[k] for k in members))


def _count_most(heights: Labels, spots: Labels) -> int:
    """Return the largest number of different places at one height."""
    pairs = np.unique(np.stack([heights, spots], axis=1), axis=0)
    return int(np.bincount(pairs[:, 0]).max())


def _divide_by_pass(group: PartedSlices) -> Iterator[PartedSlices]:
    """Yield the passes of a scanner over different ranges, where positions repeat unevenly."""
    for name in ("acquisition-number", "acquisition-time-s"):
        labels, terms = _find_passes(group.slices, name)
        if terms:
            yield from _pick(group, name, labels=labels, terms=terms)
            return
    yield group


def _find_passes(slices: Sequence[Slice], name: str) -> tuple[Labels, list[Value]]:
    """Return each slice's pass by the values of a name; no values where they are no passes."""
    none: tuple[Labels, list[Value]] = (np.zeros(len(slices), dtype=np.intp), [])
    # In MR the acquisition's number counts volumes, and an uneven count is a lost slice.
    if slices[0].instance.modality == "MR":
        return none
    labels, terms = label_terms([dict(item.frame.variant).get(name) for item in slices])
    if not 2 <= len(terms) <= len(slices) // 2:
        return none
    try:
        places = locate(slices)
    except RefusalError:
        return none
    counts = np.bincount(places.labels)
    is_uneven = counts.min() < counts.max()
    if not is_uneven or count_pairs(places.labels, labels) < len(labels):
        return none
    members = list_members(labels)
    heights = [np.sort(places.heights_mm[one]) for one in members]
    is_whole = all(len(one) > 1 and _is_even(one) for one in heights)
    is_distinct = len({tuple(sorted(places.labels[one])) for one in members}) == len(members)
    return (labels, terms) if is_whole and is_distinct and not _abut(heights) else none


def _abut(heights: Sequence[NDArray[np.float64]]) -> bool:
    """Say whether one pass goes on where another ends: then they are pieces of one stack."""
    usual = float(np.median(np.concatenate([np.diff(one) for one in heights])))
    ends = np.sort([one[-1] for one in heights])
    starts = np.array([one[0] for one in heights])
    below = np.searchsorted(ends, starts) - 1
    distances = (starts - ends[below])[below >= 0]
    return bool((distances < _GAP_RATIO * usual).any())
