"""The dimensions by which an enhanced object says that its frames are organised."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medvision.domain.study import Value
from medvision.io.dicom.elements import find_item, find_items, find_numbers, find_pointer
from medvision.io.frames.groups import FRAME_CONTENT
from medvision.io.frames.variants import Variant, merge_variants
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

_DIMENSION_INDEX = 0x0020_9222
_POINTER = 0x0020_9165
_VALUES = 0x0020_9157
_MAX_DIMENSIONS = 64

_POSITION_POINTERS = frozenset(
    (0x0020_0032, 0x0020_1041, 0x0020_9057, 0x0020_9113, 0x0020_9116, 0x0020_9301)
)
"""Dimensions that number places: ImagePositionPatient, SliceLocation, InStackPositionNumber,
plane position and orientation, ImagePositionVolume."""

_KNOWN_POINTERS = {
    0x0020_9056: "stack",
    0x0020_9128: "temporal-position",
    0x0020_9156: "acquisition-number",
}
"""Dimensions whose index is as good as the value that they point to."""

_AXIS_POINTERS = frozenset(
    (
        *(0x0018_9074, 0x0018_9079, 0x0018_9082, 0x0018_9087, 0x0018_9089, 0x0018_9151),
        *(0x0020_9128, 0x0020_9153, 0x0020_9156, 0x0020_9241, 0x0020_9252, 0x0020_930D),
        *(0x2001_1008, 0x2005_1413),
    )
)
"""Dimensions that number repetitions of a volume: times, echoes, inversions, b-values, directions,
triggers and phases; Philips' phase and direction numbers."""

_RANK_LIMIT = 100_000
"""More than the frames of any object: ranks of one object stay below those of the next."""

Dimensions = tuple[int, ...]
"""Attribute that each dimension points to, 0xGGGGEEEE."""

FrameIndex = tuple[float, ...]
"""Place of a frame along each dimension, from 1."""


def read_dimensions(dataset: "Dataset") -> Dimensions:
    """Read which attributes the frames are ordered by.

    Args:
        dataset: Top level with DimensionIndexSequence.

    Returns:
        Pointers in the order of DimensionIndexValues; none where the sequence is absent, or where
        a pointer is missing, so that values cannot be matched.

    Raises:
        RefusalError: `unreadable`: the sequence is broken.

    Source:
        PS3.3 C.7.6.17 (multi-frame dimension).
    """
    pointers = []
    for item in list(find_items(dataset, _DIMENSION_INDEX))[:_MAX_DIMENSIONS]:
        pointer = find_pointer(item, _POINTER)
        if pointer is None:
            return ()
        pointers.append(pointer)
    return tuple(pointers)


def read_index(group: "Dataset") -> FrameIndex:
    """Read a frame's place along each dimension, nothing where it is absent or broken.

    Args:
        group: Item of the per-frame functional groups.
    """
    content = find_item(group, FRAME_CONTENT)
    try:
        return (() if content is None else find_numbers(content, _VALUES, vr="UL")) or ()
    except RefusalError:
        return ()


def name_known(dimensions: Dimensions, index: FrameIndex) -> Variant:
    """Return the values that known dimensions stand for, where a frame has no such value itself.

    Args:
        dimensions: As read_dimensions gives them.
        index: As read_index gives it.
    """
    if len(dimensions) != len(index):
        return ()
    found: dict[str, Value] = {}
    for pointer, place in zip(dimensions, index, strict=True):
        name = _KNOWN_POINTERS.get(pointer)
        if name:
            found[name] = f"{place:g}" if name == "stack" else place
    return tuple(sorted(found.items()))


def add_ranks(
    variants: Sequence[Variant], indices: Sequence[FrameIndex], *, dimensions: Dimensions
) -> list[Variant]:
    """Number the frames that repeat a place by the order in which their dimensions put them.

    The rank stands for instance-number, the last resort of all axes: volumes that agree in all else
    (b-value 0, measured twice) stay apart and in order. Nothing depends on the order of frames.

    Args:
        variants: One per frame.
        indices: One per frame.
        dimensions: As read_dimensions gives them.

    Returns:
        One variant per frame.
    """
    axes = [k for k, pointer in enumerate(dimensions) if pointer in _AXIS_POINTERS]
    keys = [tuple(index[k] for k in axes if k < len(index)) for index in indices]
    if len(set(keys)) < 2:
        return list(variants)
    ranks = {key: rank for rank, key in enumerate(sorted(set(keys)), start=1)}
    result = []
    for variant, key in zip(variants, keys, strict=True):
        number = dict(variant).get("instance-number", 0.0)
        base = _RANK_LIMIT * number if isinstance(number, float) else 0.0
        result.append(merge_variants(((("instance-number", base + ranks[key]),), variant)))
    return result


def add_unknown(
    variants: Sequence[Variant], indices: Sequence[FrameIndex], *, dimensions: Dimensions
) -> list[Variant]:
    """Divide frames by the dimensions that have no name here, so that no two are mixed up.

    The index becomes part of image-kind: an unknown dimension is no known axis, and its planes
    must not be stacked as if it were.

    Args:
        variants: One per frame.
        indices: One per frame.
        dimensions: As read_dimensions gives them.

    Returns:
        One variant per frame.
    """
    unknown = [
        k
        for k, pointer in enumerate(dimensions)
        if not any(
            pointer in known for known in (_POSITION_POINTERS, _KNOWN_POINTERS, _AXIS_POINTERS)
        )
    ]
    result = []
    for variant, index in zip(variants, indices, strict=True):
        terms = [f"{dimensions[k]:08X}={index[k]:g}" for k in unknown if k < len(index)]
        kind = [str(value) for name, value in variant if name == "image-kind"]
        named: Variant = (("image-kind", "+".join(kind + terms)),) if terms else ()
        result.append(merge_variants((named, variant)))
    return result
