"""Enhanced multi-frame objects: each frame's plane and variant, from functional groups alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from medvision.domain.study import Frame, Orientation, PositionMm, SpacingRowColumnMm
from medvision.io.dicom.elements import find_item, find_items, find_numbers, find_texts
from medvision.io.frames.dimensions import (
    add_ranks,
    add_unknown,
    name_known,
    read_dimensions,
    read_index,
)
from medvision.io.frames.groups import make_finder, make_variant_finders, read_fallback
from medvision.io.frames.planes import Rescale, check_slope
from medvision.io.frames.variants import Variant, merge_variants, parse_day
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

GROUP_KEYWORDS = (
    "DimensionIndexSequence",
    "InstanceNumber",
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
    "StudyDate",
)
"""Attributes of the top level that an enhanced object is read from."""

PER_FRAME_GROUPS = 0x5200_9230
_SHARED_GROUPS = 0x5200_9229
_STUDY_DATE = 0x0008_0020
_INSTANCE_NUMBER = 0x0020_0013

Measures = tuple[SpacingRowColumnMm | None, float | None]
"""Distance of rows and of columns; nominal distance of slices, or thickness; mm."""

_TIMES = frozenset(("acquisition-time-s", "content-time-s"))
_WEAK = _TIMES | {"instance-number"}
"""Names whose values differ anyhow: they do not show that frames of one place are told apart."""


@dataclass(frozen=True)
class _Plane:
    """A frame's plane, before its variant is known."""

    position_mm: PositionMm | None
    orientation: Orientation | None
    spacing_mm: SpacingRowColumnMm | None
    thickness_mm: float | None
    rescale: Rescale


def read_enhanced(
    dataset: "Dataset", *, count: int
) -> tuple[tuple[Frame, ...], float | None, str | None]:
    """Translate the functional groups of an enhanced object.

    Frames may come in any order and keep the place that they have in the file; nothing of a frame
    depends on the place of another. Where the public groups leave frames of one place without
    difference, what a frame repeats of a classic header is read as well; then the order of the
    dimensions counts, and at last those that have no name here divide the frames.

    Args:
        dataset: Header with GROUP_KEYWORDS.
        count: Number of frames.

    Returns:
        (frames, nominal slice distance in mm, rescale type); the last is None where nothing is
        rescaled or where frames differ.

    Raises:
        RefusalError: `unreadable`: a group is broken, or there is not one per frame.

    Source:
        PS3.3 C.7.6.16 (functional groups).
    """
    groups = find_items(dataset, PER_FRAME_GROUPS)
    if len(groups) != count:
        raise RefusalError(
            "unreadable", f"functional groups must be one per frame ({count}), got {len(groups)}"
        )
    shared = find_item(dataset, _SHARED_GROUPS)
    planes = _read_planes(groups, shared)
    variants = _read_variants(dataset, groups, shared=shared, planes=planes)
    frames = tuple(
        Frame(
            index,
            position_mm=plane.position_mm,
            orientation=plane.orientation,
            spacing_mm=plane.spacing_mm,
            slope=plane.rescale[0],
            intercept=plane.rescale[1],
            variant=variant,
        )
        for index, (plane, variant) in enumerate(zip(planes, variants, strict=True))
    )
    types = {plane.rescale[2] for plane in planes}
    distances = sorted({plane.thickness_mm for plane in planes if plane.thickness_mm is not None})
    return frames, distances[0] if distances else None, types.pop() if len(types) == 1 else None


def _read_planes(groups: "Sequence[Dataset]", shared: "Dataset | None") -> list[_Plane]:
    """Read where each frame lies and how it is rescaled."""
    no_measures: Measures = (None, None)
    no_rescale: Rescale = (1.0, 0.0, None)
    position = make_finder(shared, 0x0020_9113, read=_read_position, default=None)
    orientation = make_finder(shared, 0x0020_9116, read=_read_orientation, default=None)
    measures = make_finder(shared, 0x0028_9110, read=_read_measures, default=no_measures)
    rescale = make_finder(shared, 0x0028_9145, read=_read_rescale, default=no_rescale)
    return [
        _Plane(position(group), orientation(group), *measures(group), rescale(group))
        for group in groups
    ]


def _read_variants(
    dataset: "Dataset",
    groups: "Sequence[Dataset]",
    *,
    shared: "Dataset | None",
    planes: list[_Plane],
) -> list[Variant]:
    """Read what tells frames of one place apart: no more than is needed for it."""
    days = find_texts(dataset, _STUDY_DATE)
    finders = make_variant_finders(shared, study_day=parse_day(days[0]) if days else None)
    dimensions = read_dimensions(dataset)
    indices = [read_index(group) if dimensions else () for group in groups]
    numbers = find_numbers(dataset, _INSTANCE_NUMBER, vr="IS")
    common: Variant = (("instance-number", numbers[0]),) if numbers else ()
    variants = []
    for group, index in zip(groups, indices, strict=True):
        own = {name: value for find in finders for name, value in find(group).items()}
        variants.append(merge_variants((tuple(own.items()), name_known(dimensions, index), common)))
    if _is_ambiguous(planes, variants, weak=_WEAK):
        variants = [
            merge_variants((variant, read_fallback(group)))
            for variant, group in zip(variants, groups, strict=True)
        ]
    if _is_ambiguous(planes, variants, weak=_WEAK):
        variants = add_ranks(variants, indices, dimensions=dimensions)
    if _is_ambiguous(planes, variants, weak=_TIMES):
        variants = add_unknown(variants, indices, dimensions=dimensions)
    return variants


def _is_ambiguous(planes: list[_Plane], variants: list[Variant], *, weak: frozenset[str]) -> bool:
    """Say whether two frames share a place and all that tells planes apart, but for weak names."""
    seen = set()
    for plane, variant in zip(planes, variants, strict=True):
        if plane.position_mm is None:
            continue
        strong = tuple(pair for pair in variant if pair[0] not in weak)
        key = (plane.position_mm, plane.orientation, strong)
        if key in seen:
            return True
        seen.add(key)
    return False


def _read_vector(item: "Dataset", tag: int, *, length: int) -> tuple[float, ...] | None:
    """Return an attribute of so many numbers."""
    numbers = find_numbers(item, tag, vr="DS")
    if numbers is not None and len(numbers) != length:
        raise RefusalError("unreadable", f"a vector must have {length} values, got {len(numbers)}")
    return numbers


def _read_position(item: "Dataset") -> PositionMm | None:
    """Read ImagePositionPatient."""
    return cast(PositionMm | None, _read_vector(item, 0x0020_0032, length=3))


def _read_orientation(item: "Dataset") -> Orientation | None:
    """Read ImageOrientationPatient."""
    return cast(Orientation | None, _read_vector(item, 0x0020_0037, length=6))


def _read_measures(item: "Dataset") -> Measures:
    """Read pixel spacing, and the nominal distance of slices or else their thickness."""
    spacing = _read_vector(item, 0x0028_0030, length=2)
    distances = [find_numbers(item, tag, vr="DS") for tag in (0x0018_0088, 0x0018_0050)]
    thickness = next((abs(found[0]) for found in distances if found and found[0]), None)
    if spacing is None or min(spacing) <= 0:
        return None, thickness
    return (spacing[0], spacing[1]), thickness


def _read_rescale(item: "Dataset") -> Rescale:
    """Read the transformation of pixel values."""
    slope = find_numbers(item, 0x0028_1053, vr="DS")
    intercept = find_numbers(item, 0x0028_1052, vr="DS")
    check_slope(slope[0] if slope else None)
    if slope is None and intercept is None:
        return 1.0, 0.0, None
    types = find_texts(item, 0x0028_1054)
    return slope[0] if slope else 1.0, intercept[0] if intercept else 0.0, types[0] if types else ""
