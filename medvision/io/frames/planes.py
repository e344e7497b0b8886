"""One plane of a top level: rescale, pixel spacing and distance of slices."""

from typing import TYPE_CHECKING

from medvision.domain.study import SpacingRowColumnMm
from medvision.io.dicom.values import read_number, read_numbers, read_text
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

PLANE_KEYWORDS = (
    "ImagerPixelSpacing",
    "ModalityLUTSequence",
    "NominalScannedPixelSpacing",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "SliceThickness",
    "SpacingBetweenSlices",
)
"""Attributes that these readers look at, and the table that takes the rescale's place."""

Rescale = tuple[float, float, str | None]
"""Slope, intercept, units; units are None where nothing is rescaled, "" where none are named."""


def read_rescale(dataset: "Dataset") -> Rescale:
    """Read how stored values become modality values.

    Args:
        dataset: Top level.

    Raises:
        RefusalError: `unreadable`: a number is broken, or the slope is 0.

    Source:
        PS3.3 C.11.1 (Modality LUT).
    """
    slope = read_number(dataset, "RescaleSlope")
    intercept = read_number(dataset, "RescaleIntercept")
    check_slope(slope)
    if slope is None and intercept is None:
        return 1.0, 0.0, None
    rescale_type = read_text(dataset, "RescaleType")
    return (1.0 if slope is None else slope), intercept or 0.0, rescale_type


def check_slope(slope: float | None) -> None:
    """Refuse a slope that makes all values one.

    Raises:
        RefusalError: `unreadable`.
    """
    if slope == 0:
        raise RefusalError("unreadable", "RescaleSlope must not be 0, got 0")


def read_spacing(dataset: "Dataset") -> SpacingRowColumnMm | None:
    """Read the distance between rows and between columns, at the detector if nowhere else.

    Args:
        dataset: Top level.

    Returns:
        mm; None where it is absent or not positive.

    Raises:
        RefusalError: `unreadable`: a number is broken.

    Source:
        PS3.3 10.7.1.3 (pixel spacing).
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = read_numbers(dataset, keyword, count=2)
        if spacing is not None and min(spacing) > 0:
            return spacing[0], spacing[1]
    return None


def read_thickness(dataset: "Dataset") -> float | None:
    """Read the nominal distance of slices, or else their thickness.

    Args:
        dataset: Top level.

    Returns:
        mm, > 0; None where neither is given.

    Raises:
        RefusalError: `unreadable`: a number is broken.

    Source:
        PS3.3 C.7.6.2.
    """
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = read_number(dataset, keyword)
        if value is not None and abs(value) > 0:
            return abs(value)
    return None
