"""Multi-frame objects without functional groups: reconstructed nuclear medicine, and cine."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, cast

import numpy as np

from medvision.domain.study import Frame, Orientation, PositionMm
from medvision.io.dicom.elements import find_pointer, guess_numbers
from medvision.io.dicom.values import read_items, read_number, read_numbers, read_texts
from medvision.io.frames.planes import Rescale, read_spacing, read_thickness
from medvision.io.frames.variants import Variant

if TYPE_CHECKING:
    from pydicom import Dataset

MULTIFRAME_KEYWORDS = (
    "DetectorInformationSequence",
    "DetectorVector",
    "EnergyWindowVector",
    "FrameIncrementPointer",
    "FrameTime",
    "FrameTimeVector",
    "NumberOfSlices",
    "NumberOfTimeSlots",
    "RRIntervalVector",
    "SliceVector",
    "TimeSlotVector",
)
"""Attributes that these readers look at."""

_RECONSTRUCTED = frozenset({"RECON TOMO", "RECON GATED TOMO"})
_SLICE_VECTOR = 0x0054_0080
_TIME_SLOT_VECTOR = 0x0054_0070
_OTHER_VECTORS = (0x0054_0010, 0x0054_0020, 0x0054_0060)
"""Energy window, detector, R-R interval: where they vary, slices do not form one volume."""

_NUMBER_OF_SLICES = 0x0054_0081
_NUMBER_OF_TIME_SLOTS = 0x0054_0071
_FRAME_INCREMENT_POINTER = 0x0028_0009
_FRAME_TIME = 0x0018_1063
_FRAME_TIME_VECTOR = 0x0018_1065


def read_multiframe(
    dataset: "Dataset", *, count: int, rescale: Rescale
) -> tuple[tuple[Frame, ...], float | None]:
    """Tell the frames of an object without functional groups apart, and place them if it says how.

    Reconstructed tomograms of nuclear medicine state the first slice's position and the signed
    distance of slices along the normal. All others have frames without geometry, in the order of
    the file, with their times where the object says that time is what frames advance by.

    Args:
        dataset: Header with MULTIFRAME_KEYWORDS.
        count: Number of frames.
        rescale: Of all frames.

    Returns:
        (frames, nominal slice distance in mm): the latter is None without geometry.

    Raises:
        RefusalError: `unreadable`: an attribute is broken.

    Source:
        PS3.3 C.8.4.8, C.8.4.11, C.8.4.15 (NM), C.7.6.5 (cine), C.7.6.6 (multi-frame).
    """
    slope, intercept, _ = rescale
    placed = _place_slices(dataset, count)
    if placed is not None:
        positions, orientation = placed
        spacing = read_spacing(dataset)
        phases = _read_phases(dataset, count)
        frames = tuple(
            Frame(k, position, orientation, spacing, slope, intercept, phase)
            for k, (position, phase) in enumerate(zip(positions, phases, strict=True))
        )
        return frames, read_thickness(dataset)
    times = _read_times(dataset, count)
    return tuple(
        Frame(k, slope=slope, intercept=intercept, variant=time) for k, time in enumerate(times)
    ), None


def _place_slices(
    dataset: "Dataset", count: int
) -> tuple[Sequence[PositionMm], Orientation] | None:
    """Return the positions and the orientation of reconstructed slices, None where unknown.

    A positive distance stacks slices behind the first one: along the cross product of row and
    column.
    """
    kinds = {value.upper() for value in read_texts(dataset, "ImageType")}
    detectors = read_items(dataset, "DetectorInformationSequence")
    numbers = _number_slices(dataset, count)
    if _RECONSTRUCTED.isdisjoint(kinds) or not detectors or numbers is None:
        return None
    first = read_numbers(detectors[0], "ImagePositionPatient", count=3)
    orientation = read_numbers(detectors[0], "ImageOrientationPatient", count=6)
    distance_mm = read_number(dataset, "SpacingBetweenSlices")
    if first is None or orientation is None or not distance_mm:
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    places = np.array(first) + np.outer(np.array(numbers) - 1, distance_mm * normal)
    positions = [cast(PositionMm, tuple(map(float, place))) for place in places]
    return positions, cast(Orientation, orientation)


def _number_slices(dataset: "Dataset", count: int) -> tuple[float, ...] | None:
    """Return each frame's slice number from 1, None where frames differ in more than slice."""
    if any(len(set(guess_numbers(dataset, tag, vr="US"))) > 1 for tag in _OTHER_VECTORS):
        return None
    numbers = guess_numbers(dataset, _SLICE_VECTOR, vr="US")
    if not numbers and guess_numbers(dataset, _NUMBER_OF_SLICES, vr="US") == (count,):
        numbers = tuple(range(1, count + 1))
    return numbers if len(numbers) == count and min(numbers) >= 1 else None


def _read_phases(dataset: "Dataset", count: int) -> Sequence[Variant]:
    """Return each frame's share of the cardiac cycle, by its time slot."""
    slots = guess_numbers(dataset, _TIME_SLOT_VECTOR, vr="US")
    n_slots = guess_numbers(dataset, _NUMBER_OF_TIME_SLOTS, vr="US")
    if len(slots) != count or not n_slots or n_slots[0] < 1:
        return [()] * count
    return [(("cardiac-phase-percent", 100 * (slot - 1) / n_slots[0]),) for slot in slots]


def _read_times(dataset: "Dataset", count: int) -> Sequence[Variant]:
    """Return each frame's time after the first, where the object advances by time."""
    pointer = find_pointer(dataset, _FRAME_INCREMENT_POINTER)
    if pointer == _FRAME_TIME:
        step_ms = guess_numbers(dataset, _FRAME_TIME, vr="DS")
        times = [step_ms[0] * k for k in range(count)] if step_ms and step_ms[0] > 0 else []
    elif pointer == _FRAME_TIME_VECTOR:
        times = list(accumulate(guess_numbers(dataset, _FRAME_TIME_VECTOR, vr="DS")))
    else:
        times = []
    return [(("frame-time-ms", time),) for time in times] if len(times) == count else [()] * count
