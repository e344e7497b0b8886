"""What tells frames of an enhanced object apart: one reader per functional group."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from medvision.domain.study import Value
from medvision.io.dicom.elements import find_item, find_texts, guess_numbers
from medvision.io.dicom.values import read_texts
from medvision.io.frames.private import PHILIPS_FRAME, find_block, read_vendor_variant
from medvision.io.frames.variants import (
    VARIANT_KEYWORDS,
    Variant,
    format_gradient,
    merge_variants,
    name_component,
    name_kind,
    parse_seconds,
    read_variant,
)
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

Facts = dict[str, Value]
"""Values by name of PARTS or AXES."""

_Facts = TypeVar("_Facts")

FRAME_CONTENT = 0x0020_9111
_FRAME_TYPES = (0x0018_9226, 0x0018_9329, 0x0018_9751, 0x0018_9504)
"""Frame type of MR, CT, PET and 3D X-ray."""

_UNASSIGNED = 0x0020_9171
_MR_DIFFUSION = 0x0018_9117
_NUMBERS = (
    (0x0018_9114, 0x0018_9082, "FD", "echo-time-ms"),
    (0x0018_9115, 0x0018_9079, "FD", "inversion-time-ms"),
    (0x0018_9118, 0x0020_9153, "FD", "trigger-time-ms"),
    (0x0018_9118, 0x0020_9241, "FL", "cardiac-phase-percent"),
    (FRAME_CONTENT, 0x0020_9128, "UL", "temporal-position"),
    (FRAME_CONTENT, 0x0020_9156, "US", "acquisition-number"),
)
"""Functional group, attribute, its VR, name: the attribute's first number is the value."""


def make_finder(
    shared: "Dataset | None",
    tag: int,
    *,
    read: "Callable[[Dataset], _Facts]",
    default: _Facts,
) -> "Callable[[Dataset], _Facts]":
    """Make the function that tells what a functional group says of a frame.

    What is shared by all frames is read once.

    Args:
        shared: Item of the shared functional groups, None where there is none.
        tag: Sequence of the functional group.
        read: Reads an item of that sequence.
        default: What is said where neither the frame nor the shared item has the group.

    Raises:
        RefusalError: `unreadable`: the shared group is broken.

    Source:
        PS3.3 C.7.6.16 (a group is per frame or shared, never both).
    """
    shared_item = None if shared is None else find_item(shared, tag)
    common = default if shared_item is None else read(shared_item)

    def find(group: "Dataset") -> _Facts:
        own = find_item(group, tag)
        return common if own is None else read(own)

    return find


def make_variant_finders(
    shared: "Dataset | None", *, study_day: int | None
) -> "list[Callable[[Dataset], Facts]]":
    """Make the functions that tell what the functional groups say of a frame's variant.

    Args:
        shared: Item of the shared functional groups, None where there is none.
        study_day: Day from which times count, as parse_day gives it.

    Returns:
        One function per kind of group, from a frame's item to values by name.

    Raises:
        RefusalError: `unreadable`: a shared group is broken.
    """
    readers: dict[int, Callable[[Dataset], Facts]] = {
        group: _make_number_reader(group) for group, *_ in _NUMBERS
    }
    numbers = readers[FRAME_CONTENT]
    readers[FRAME_CONTENT] = lambda item: numbers(item) | _read_content(item, study_day)
    readers[_MR_DIFFUSION] = _read_diffusion
    readers |= dict.fromkeys(_FRAME_TYPES, _read_frame_type)
    return [
        make_finder(shared, tag, read=read, default=_no_facts()) for tag, read in readers.items()
    ]


def read_fallback(group: "Dataset") -> Variant:
    """Read what a frame's item repeats of a classic header.

    These are the attributes that a conversion from classic objects could not assign, and the
    private item in which Philips keeps them.

    Args:
        group: Item of the per-frame functional groups.

    Raises:
        RefusalError: `unreadable`: a sequence is broken.

    Source:
        PS3.3 C.7.6.16.2.25.2 (unassigned per-frame converted attributes); dcm2niix, notes on
        Philips.
    """
    items = [find_item(group, _UNASSIGNED)]
    block = find_block(group, PHILIPS_FRAME)
    if block is not None:
        items.append(find_item(group, block | 0x0F))
    parts: list[Variant] = []
    for item in items:
        if item is not None:
            parts += [read_flat_variant(item), read_vendor_variant(item, "")]
    return merge_variants(parts)


def read_flat_variant(dataset: "Dataset") -> Variant:
    """Read the variant of a top level, or of an item that repeats its attributes.

    Args:
        dataset: Header with VARIANT_KEYWORDS; those that cannot be parsed are left out.

    Source:
        As read_variant.
    """
    texts: dict[str, tuple[str, ...]] = {}
    for keyword in VARIANT_KEYWORDS:
        try:
            texts[keyword] = read_texts(dataset, keyword)
        except RefusalError:  # a broken value tells nothing apart
            continue
    return read_variant(texts)


def _no_facts() -> Facts:
    """Return what is said where a group is absent."""
    return {}


def _make_number_reader(group: int) -> "Callable[[Dataset], Facts]":
    """Make the reader of a group's attributes that are plain numbers."""
    rows = [row[1:] for row in _NUMBERS if row[0] == group]

    def read(item: "Dataset") -> Facts:
        found: Facts = {}
        for tag, vr, name in rows:
            numbers = guess_numbers(item, tag, vr=vr)
            if numbers:
                found[name] = numbers[0]
        return found

    return read


def _read_content(item: "Dataset", study_day: int | None) -> Facts:
    """Read stack and time of the frame content."""
    found: Facts = {}
    stack = find_texts(item, 0x0020_9056)
    if stack and stack[0].isascii() and stack[0].isdigit():  # free text is left to the dimensions
        found["stack"] = stack[0]
    moment = next((t[0] for tag in (0x0018_9074, 0x0018_9151) if (t := find_texts(item, tag))), "")
    seconds = parse_seconds(moment[8:], day=moment[:8], study_day=study_day)
    if seconds is not None:
        found["acquisition-time-s"] = seconds
    return found


def _read_diffusion(item: "Dataset") -> Facts:
    """Read b-value and direction (PS3.3 C.8.13.5.9)."""
    b_values = guess_numbers(item, 0x0018_9087, vr="FD")
    direction = find_item(item, 0x0018_9076)
    gradient = format_gradient(
        () if direction is None else guess_numbers(direction, 0x0018_9089, vr="FD")
    )
    if not b_values:
        return {"gradient": gradient} if gradient else {}
    return {"b-value": b_values[0], "gradient": gradient}


def _read_frame_type(item: "Dataset") -> Facts:
    """Read component and kind (PS3.3 C.8.13.3.1)."""
    frame_type = find_texts(item, 0x0008_9007)
    component = name_component(frame_type) or name_component(
        ("", "", *find_texts(item, 0x0008_9208))
    )
    named = {"component": component, "image-kind": name_kind(frame_type)}
    return {name: value for name, value in named.items() if value}
