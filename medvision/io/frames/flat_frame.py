"""The only plane of a classic header, from public attributes alone."""

from typing import TYPE_CHECKING, cast

from medvision.domain.study import Frame, Orientation, PositionMm
from medvision.io.dicom.values import Texts, read_integer, read_numbers
from medvision.io.frames.planes import read_rescale, read_spacing, read_thickness
from medvision.io.frames.read import FrameFacts
from medvision.io.frames.variants import read_variant

if TYPE_CHECKING:
    from pydicom import Dataset


def read_flat_frame(header: Texts) -> FrameFacts:
    """Translate a classic header that has one plane and is no mosaic.

    Args:
        header: Attributes as the bounded scan gives them.

    Returns:
        What frames.read_frames gives, but for what private attributes add to the variant.

    Raises:
        RefusalError: An attribute is broken.

    Source:
        PS3.3 C.7.6.2 (image plane), C.11.1 (modality LUT).
    """
    # These readers know attributes by keyword alone, whoever holds them.
    attributes = cast("Dataset", header)
    slope, intercept, rescale_type = read_rescale(attributes)
    frame = Frame(
        0,
        cast(PositionMm | None, read_numbers(header, "ImagePositionPatient", count=3)),
        cast(Orientation | None, read_numbers(header, "ImageOrientationPatient", count=6)),
        read_spacing(attributes),
        slope,
        intercept,
        read_variant(header),
    )
    return FrameFacts(
        (frame,),
        read_integer(header, "Rows", default=0),
        read_integer(header, "Columns", default=0),
        read_thickness(attributes),
        rescale_type,
    )
