"""The planes of a DICOM image: position, orientation, spacing, rescale and variant of each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from medvision.domain.study import Frame, Orientation, PositionMm
from medvision.io.dicom.values import read_integer, read_items, read_numbers
from medvision.io.frames.enhanced import GROUP_KEYWORDS, PER_FRAME_GROUPS, read_enhanced
from medvision.io.frames.groups import read_flat_variant
from medvision.io.frames.mosaic import is_mosaic, unfold_mosaic
from medvision.io.frames.multiframe import MULTIFRAME_KEYWORDS, read_multiframe
from medvision.io.frames.planes import (
    PLANE_KEYWORDS,
    Rescale,
    read_rescale,
    read_spacing,
    read_thickness,
)
from medvision.io.frames.private import PRIVATE_KEYWORDS, PRIVATE_TAGS, read_private_variant
from medvision.io.frames.variants import VARIANT_KEYWORDS, merge_variants
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

FRAME_KEYWORDS = tuple(
    sorted(
        {
            *GROUP_KEYWORDS,
            *MULTIFRAME_KEYWORDS,
            *PLANE_KEYWORDS,
            *PRIVATE_KEYWORDS,
            *VARIANT_KEYWORDS,
            "Columns",
            "ImageOrientationPatient",
            "ImagePositionPatient",
            "NumberOfFrames",
            "Rows",
        }
    )
)
"""Public attributes that read_frames looks at."""

FRAME_TAGS = PRIVATE_TAGS
"""Private elements that read_frames looks at, 0xGGGGEEEE."""

_MAX_FRAMES = 100_000


@dataclass(frozen=True)
class FrameFacts:
    """What a header tells of an image's planes.

    Args:
        frames: At least one; the tiles of a mosaic are frames.
        rows: Pixels along a column of one plane (of one tile, in a mosaic); 0 where unknown.
        columns: Pixels along a row of one plane; 0 where unknown.
        thickness_mm: Nominal distance of slices, or else their thickness; None where unknown.
        rescale_type: Units of the rescale, "" where none are named; None where nothing is
            rescaled, or where frames differ.
    """

    frames: tuple[Frame, ...]
    rows: int
    columns: int
    thickness_mm: float | None
    rescale_type: str | None


def read_frames(dataset: "Dataset") -> FrameFacts:
    """Translate the planes of an image.

    An enhanced object is read from its functional groups alone, whatever the top level says; a
    mosaic is unfolded; an object with several frames and no functional groups has frames without
    geometry, unless it is a reconstruction of nuclear medicine.

    Args:
        dataset: Header with FRAME_KEYWORDS and FRAME_TAGS.

    Raises:
        RefusalError: An attribute is broken, the groups do not fit the number of frames, or a
            mosaic does not say how it is to be unfolded.

    Source:
        PS3.3 C.7.6.2 (classic), C.7.6.16 (functional groups); see the modules for the others.
    """
    count = read_integer(dataset, "NumberOfFrames", default=1) or 1
    if not 0 < count <= _MAX_FRAMES:
        raise RefusalError("unreadable", f"NumberOfFrames must be 1 to {_MAX_FRAMES}, got {count}")
    rows = read_integer(dataset, "Rows", default=0)
    columns = read_integer(dataset, "Columns", default=0)
    if PER_FRAME_GROUPS in dataset and read_items(dataset, "PerFrameFunctionalGroupsSequence"):
        frames, thickness_mm, rescale_type = read_enhanced(dataset, count=count)
        return FrameFacts(frames, rows, columns, thickness_mm, rescale_type)
    rescale = read_rescale(dataset)
    if count > 1:
        frames, thickness_mm = read_multiframe(dataset, count=count, rescale=rescale)
        return FrameFacts(frames, rows, columns, thickness_mm, rescale[2])
    plane = _read_plane(dataset, rescale)
    frames = (plane,)
    if is_mosaic(dataset):
        frames, rows, columns = unfold_mosaic(dataset, plane)
    return FrameFacts(frames, rows, columns, read_thickness(dataset), rescale[2])


def _read_plane(dataset: "Dataset", rescale: Rescale) -> Frame:
    """Translate the only plane of a classic header."""
    position = read_numbers(dataset, "ImagePositionPatient", count=3)
    orientation = read_numbers(dataset, "ImageOrientationPatient", count=6)
    return Frame(
        0,
        position_mm=cast(PositionMm | None, position),
        orientation=cast(Orientation | None, orientation),
        spacing_mm=read_spacing(dataset),
        slope=rescale[0],
        intercept=rescale[1],
        variant=merge_variants((read_flat_variant(dataset), read_private_variant(dataset))),
    )
