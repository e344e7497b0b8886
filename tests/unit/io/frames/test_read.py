"""Classic headers, reconstructed nuclear medicine and cine: one frame per plane, placed or not."""

from io import BytesIO

import numpy as np
import pydicom
import pytest
from dicoms import AXIAL, Plan, build_slice, make_volume, new_file
from pydicom.dataset import Dataset

from medvision.io.frames.read import FRAME_KEYWORDS, FRAME_TAGS, read_frames
from medvision.io.reasons import RefusalError

NM = "1.2.840.10008.5.1.4.1.1.20"
US_MULTI = "1.2.840.10008.5.1.4.1.1.3.1"
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)


def write(dataset):
    """The header as it is read from a file: nothing but what ingestion asks for."""
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    stream.seek(0)
    return pydicom.dcmread(stream, specific_tags=[*FRAME_KEYWORDS, *FRAME_TAGS])


def test_a_classic_header_is_one_frame_with_its_variant():
    plan = Plan(make_volume(), slope=2.0, intercept=-5.0)
    dataset = build_slice(plan, 3)
    dataset.EchoTime, dataset.InstanceNumber = 30, 17
    facts = read_frames(write(dataset))
    (frame,) = facts.frames
    np.testing.assert_allclose(frame.position_mm, (plan.lps_affine() @ [0, 0, 3, 1])[:3])
    assert (frame.orientation, frame.spacing_mm) == (AXIAL, (0.7, 0.5))
    assert (frame.slope, frame.intercept, frame.tile) == (2.0, -5.0, None)
    assert frame.variant == (("echo-time-ms", 30.0), ("instance-number", 17.0))
    assert (facts.rows, facts.columns, facts.thickness_mm) == (6, 8, 2.5)
    assert facts.rescale_type == ""


def test_a_classic_header_without_position_has_no_geometry():
    dataset = build_slice(Plan(make_volume()), 0)
    del dataset.ImagePositionPatient, dataset.RescaleSlope, dataset.RescaleIntercept
    facts = read_frames(write(dataset))
    assert not facts.frames[0].has_geometry
    assert facts.rescale_type is None


@pytest.mark.parametrize("count", [-1, 100_001, 2**31 - 1])
def test_an_impossible_number_of_frames_is_refused(count):
    dataset = build_slice(Plan(make_volume()), 0)
    dataset.NumberOfFrames = count
    with pytest.raises(RefusalError, match="NumberOfFrames"):
        read_frames(dataset)


def build_tomogram(*, numbers, distance=4.0, orientation=OBLIQUE, gates=()):
    """A reconstruction of nuclear medicine; `numbers` is each frame's slice from 1."""
    dataset = new_file(NM, "1.2.3.10.1")
    kind = "RECON GATED TOMO" if gates else "RECON TOMO"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", kind, "EMISSION"]
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 4, 3, len(numbers)
    dataset.PixelSpacing = [2, 3]
    dataset.SliceThickness, dataset.SpacingBetweenSlices = 9, distance
    dataset.SliceVector = list(numbers)
    dataset.FrameIncrementPointer = 0x0054_0080
    if gates:
        dataset.TimeSlotVector, dataset.NumberOfTimeSlots = list(gates), max(gates)
        dataset.FrameIncrementPointer = [0x0054_0070, 0x0054_0080]
    detector = Dataset()
    detector.ImagePositionPatient = [1, 2, 3]
    detector.ImageOrientationPatient = list(orientation)
    dataset.DetectorInformationSequence = [detector]
    return dataset


@pytest.mark.parametrize("distance", [4.0, -4.0])
def test_reconstructed_slices_are_stacked_behind_the_first_or_before_it(distance):
    facts = read_frames(write(build_tomogram(numbers=(3, 1, 2), distance=distance)))
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    for frame, number in zip(facts.frames, (3, 1, 2), strict=True):
        expected = np.array([1, 2, 3]) + (number - 1) * distance * normal
        np.testing.assert_allclose(frame.position_mm, expected)
        assert (frame.orientation, frame.spacing_mm) == (OBLIQUE, (2.0, 3.0))
    assert facts.thickness_mm == 4.0


def test_gates_of_a_reconstruction_are_shares_of_the_cardiac_cycle():
    dataset = build_tomogram(numbers=(1, 2, 1, 2), gates=(1, 1, 2, 2))
    found = [dict(frame.variant) for frame in read_frames(write(dataset)).frames]
    assert found == [{"cardiac-phase-percent": percent} for percent in (0.0, 0.0, 50.0, 50.0)]


def without(keyword):
    def spoil(dataset):
        delattr(dataset, keyword)

    return spoil


def vary_energy(dataset):
    dataset.EnergyWindowVector = [1, 1, 2]


def project(dataset):
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"]


def shorten(dataset):
    dataset.SliceVector = [1, 2]


def number_from_zero(dataset):
    dataset.SliceVector = [0, 1, 2]


@pytest.mark.parametrize(
    "spoil",
    [
        without("SpacingBetweenSlices"),
        without("DetectorInformationSequence"),
        without("SliceVector"),
        vary_energy,
        project,
        shorten,
        number_from_zero,
    ],
)
def test_nuclear_medicine_that_does_not_say_where_has_frames_without_geometry(spoil):
    dataset = build_tomogram(numbers=(1, 2, 3))
    spoil(dataset)
    frames = read_frames(write(dataset)).frames
    assert [frame.has_geometry for frame in frames] == [False] * 3


def test_slices_without_a_vector_count_in_the_order_of_the_file_if_their_number_says_so():
    dataset = build_tomogram(numbers=(1, 2, 3))
    del dataset.SliceVector
    dataset.NumberOfSlices = 3
    frames = read_frames(write(dataset)).frames
    steps = np.diff([frame.position_mm for frame in frames], axis=0)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), 4.0)


def build_cine(**values):
    dataset = new_file(US_MULTI, "1.2.3.11.1")
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 4, 3, 3
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def test_frames_of_a_cine_have_times_and_no_geometry():
    even = build_cine(FrameIncrementPointer=0x0018_1063, FrameTime=40)
    uneven = build_cine(FrameIncrementPointer=0x0018_1065, FrameTimeVector=[0, 40, 45])
    for dataset, times in ((even, (0.0, 40.0, 80.0)), (uneven, (0.0, 40.0, 85.0))):
        frames = read_frames(write(dataset)).frames
        assert [frame.variant for frame in frames] == [(("frame-time-ms", t),) for t in times]
        assert not any(frame.has_geometry for frame in frames)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"FrameTime": 40},
        {"FrameIncrementPointer": 0x0018_1063, "FrameTime": 0},
        {"FrameIncrementPointer": 0x0018_1065, "FrameTimeVector": [0, 40]},
    ],
)
def test_frames_of_a_cine_without_stated_times_are_only_counted(values):
    frames = read_frames(write(build_cine(**values))).frames
    assert [(frame.index, frame.variant) for frame in frames] == [(0, ()), (1, ()), (2, ())]
