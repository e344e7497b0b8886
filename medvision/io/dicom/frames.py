"""The planes of a DICOM image: position, orientation, spacing and rescale of each frame."""

from typing import TYPE_CHECKING, cast

from medvision.domain.study import Frame, Orientation, PositionMm, SpacingRowColumnMm
from medvision.io.dicom.values import (
    read_integer,
    read_items,
    read_number,
    read_numbers,
    read_text,
    read_value,
)
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

_VARIANTS = (
    "EchoTime",
    "InversionTime",
    "TriggerTime",
    "TemporalPositionIdentifier",
    "AcquisitionNumber",
    "DiffusionBValue",
    "AcquisitionTime",
    "FrameReferenceTime",
)
_ENHANCED_VARIANTS = (
    ("FrameContentSequence", "TemporalPositionIndex"),
    ("FrameContentSequence", "FrameAcquisitionNumber"),
    ("MREchoSequence", "EffectiveEchoTime"),
    ("MRDiffusionSequence", "DiffusionBValue"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
)

FRAME_KEYWORDS = (
    *_VARIANTS,
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImagerPixelSpacing",
    "ModalityLUTSequence",
    "NominalScannedPixelSpacing",
    "NumberOfFrames",
    "PerFrameFunctionalGroupsSequence",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "SharedFunctionalGroupsSequence",
    "SliceThickness",
    "SpacingBetweenSlices",
)

_MAX_FRAMES = 100_000

FrameFacts = tuple[tuple[Frame, ...], float | None, str | None]
"""Frames; nominal slice distance in mm; rescale type (None where nothing is rescaled)."""


def read_frames(dataset: "Dataset") -> FrameFacts:
    """Translate the planes of an image.

    An enhanced object is read from its functional groups alone, whatever the top level says; an
    object with several frames and no functional groups has frames without geometry.

    Args:
        dataset: Header with FRAME_KEYWORDS.

    Raises:
        RefusalError: An attribute is broken, or the groups do not fit the number of frames.

    Source:
        PS3.3 C.7.6.2 (classic), C.7.6.16 (functional groups).
    """
    count = read_integer(dataset, "NumberOfFrames", default=1) or 1
    if not 0 < count <= _MAX_FRAMES:
        raise RefusalError("unreadable", f"NumberOfFrames must be 1 to {_MAX_FRAMES}, got {count}")
    groups = read_items(dataset, "PerFrameFunctionalGroupsSequence")
    if groups:
        return _read_enhanced(dataset, groups, count=count)
    slope, intercept, rescale_type = _read_rescale(dataset)
    if count > 1:
        frames = tuple(Frame(k, slope=slope, intercept=intercept) for k in range(count))
        return frames, None, rescale_type
    frame = Frame(
        0,
        position_mm=cast(PositionMm | None, read_numbers(dataset, "ImagePositionPatient", count=3)),
        orientation=cast(
            Orientation | None, read_numbers(dataset, "ImageOrientationPatient", count=6)
        ),
        spacing_mm=_read_spacing(dataset),
        slope=slope,
        intercept=intercept,
        variant=tuple(
            (name, str(read_value(dataset, name)))
            for name in _VARIANTS
            if read_value(dataset, name) is not None
        ),
    )
    return (frame,), _read_thickness(dataset), rescale_type


def _read_enhanced(dataset: "Dataset", groups: "list[Dataset]", *, count: int) -> FrameFacts:
    """Translate the functional groups of an enhanced object."""
    if len(groups) != count:
        raise RefusalError(
            "unreadable", f"functional groups must be one per frame ({count}), got {len(groups)}"
        )
    shared_items = read_items(dataset, "SharedFunctionalGroupsSequence")
    shared = shared_items[0] if shared_items else None
    frames = []
    rescale_types = set()
    for index, group in enumerate(groups):
        frame, rescale_type = _read_enhanced_frame(index, group, shared=shared)
        frames.append(frame)
        rescale_types.add(rescale_type)
    measures = _find_group("PixelMeasuresSequence", groups[0], shared=shared)
    thickness_mm = None if measures is None else _read_thickness(measures)
    only_type = rescale_types.pop() if len(rescale_types) == 1 else None
    return tuple(frames), thickness_mm, only_type


def _read_enhanced_frame(
    index: int, group: "Dataset", *, shared: "Dataset | None"
) -> tuple[Frame, str | None]:
    """Translate one frame's functional groups."""
    position = _find_group("PlanePositionSequence", group, shared=shared)
    plane = _find_group("PlaneOrientationSequence", group, shared=shared)
    measures = _find_group("PixelMeasuresSequence", group, shared=shared)
    transformation = _find_group("PixelValueTransformationSequence", group, shared=shared)
    slope, intercept, rescale_type = (
        (1.0, 0.0, None) if transformation is None else _read_rescale(transformation)
    )
    variant = []
    for sequence, keyword in _ENHANCED_VARIANTS:
        item = _find_group(sequence, group, shared=shared)
        if item is not None and keyword in item:
            variant.append((keyword, read_text(item, keyword)))
    frame = Frame(
        index,
        position_mm=None
        if position is None
        else cast(PositionMm | None, read_numbers(position, "ImagePositionPatient", count=3)),
        orientation=None
        if plane is None
        else cast(Orientation | None, read_numbers(plane, "ImageOrientationPatient", count=6)),
        spacing_mm=None if measures is None else _read_spacing(measures),
        slope=slope,
        intercept=intercept,
        variant=tuple(variant),
    )
    return frame, rescale_type


def _find_group(keyword: str, group: "Dataset", *, shared: "Dataset | None") -> "Dataset | None":
    """Return a functional group of one frame, or the one shared by all."""
    items = read_items(group, keyword)
    if not items and shared is not None:
        items = read_items(shared, keyword)
    return items[0] if items else None


def _read_rescale(dataset: "Dataset") -> tuple[float, float, str | None]:
    """Return slope, intercept and units; a slope of 0 is broken."""
    slope = read_number(dataset, "RescaleSlope")
    intercept = read_number(dataset, "RescaleIntercept")
    if slope == 0:
        raise RefusalError("unreadable", "RescaleSlope must not be 0, got 0")
    if slope is None and intercept is None:
        return 1.0, 0.0, None
    rescale_type = read_text(dataset, "RescaleType")
    return (1.0 if slope is None else slope), intercept or 0.0, rescale_type


def _read_spacing(dataset: "Dataset") -> SpacingRowColumnMm | None:
    """Return the distance between rows and between columns, at the detector if nowhere else."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = read_numbers(dataset, keyword, count=2)
        if spacing is not None and min(spacing) > 0:
            return spacing[0], spacing[1]
    return None


def _read_thickness(dataset: "Dataset") -> float | None:
    """Return the nominal distance of slices, or else their thickness."""
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = read_number(dataset, keyword)
        if value is not None and abs(value) > 0:
            return abs(value)
    return None
