"""Enhanced objects: the plane of each frame, in whatever order and encoding frames come."""

import time
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from dicoms import AXIAL
from enhanced import ENCODINGS, add, build, build_group, many_groups, write
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from medvision.io.frames.read import read_frames
from medvision.io.reasons import RefusalError


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_planes_come_from_the_groups_in_every_encoding(encoding):
    groups = [build_group(k) for k in (2, 0, 1)]
    add(
        groups[1],
        "PixelValueTransformationSequence",
        RescaleSlope="2.5",
        RescaleIntercept="-7",
        RescaleType="HU",
    )
    facts = read_frames(write(build(groups), encoding))
    assert [frame.index for frame in facts.frames] == [0, 1, 2]
    assert [frame.position_mm[2] for frame in facts.frames] == [35.0, 30.0, 32.5]
    assert {frame.orientation for frame in facts.frames} == {AXIAL}
    assert {frame.spacing_mm for frame in facts.frames} == {(0.7, 0.5)}
    assert [frame.slope for frame in facts.frames] == [1.0, 2.5, 1.0]
    assert [frame.intercept for frame in facts.frames] == [0.0, -7.0, 0.0]
    assert (facts.rows, facts.columns, facts.thickness_mm) == (4, 3, 2.5)
    assert facts.rescale_type is None


def test_a_frame_keeps_its_own_orientation_and_spacing():
    groups = [build_group(0), build_group(1)]
    add(groups[1], "PlaneOrientationSequence", ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    add(groups[1], "PixelMeasuresSequence", PixelSpacing=[1, 2], SliceThickness=9)
    first, second = read_frames(build(groups)).frames
    assert first.orientation == AXIAL
    assert second.orientation == (0, 1, 0, 0, 0, -1)
    assert (first.spacing_mm, second.spacing_mm) == ((0.7, 0.5), (1.0, 2.0))


def test_frames_without_a_position_have_no_geometry():
    groups = [build_group(0), Dataset()]
    assert [frame.has_geometry for frame in read_frames(build(groups)).frames] == [True, False]


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(12)))
def test_permuting_frames_permutes_frames_and_nothing_else(order):
    straight = read_frames(build(many_groups()))
    groups = many_groups()
    permuted = read_frames(build([groups[k] for k in order]))
    assert [replace(frame, index=0) for frame in permuted.frames] == [
        replace(straight.frames[k], index=0) for k in order
    ]
    assert replace(permuted, frames=()) == replace(straight, frames=())


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)))
def test_permuting_frames_that_only_unknown_dimensions_divide_changes_nothing_else(order):
    def build_ambiguous(places):
        groups = []
        for number in places:
            group = build_group(number % 3)
            add(group, "FrameContentSequence", DimensionIndexValues=[number % 3 + 1, number // 3])
            groups.append(group)
        return build(groups, pointers=(0x0020_9057, 0x0020_9251))

    straight = read_frames(build_ambiguous(range(6)))
    permuted = read_frames(build_ambiguous(order))
    assert [replace(frame, index=0) for frame in permuted.frames] == [
        replace(straight.frames[k], index=0) for k in order
    ]


def lose_a_group(dataset):
    dataset.NumberOfFrames = 3


def break_position(dataset):
    add(
        dataset.PerFrameFunctionalGroupsSequence[0],
        "PlanePositionSequence",
        ImagePositionPatient=[1, 2],
    )


def break_slope(dataset):
    add(
        dataset.SharedFunctionalGroupsSequence[0],
        "PixelValueTransformationSequence",
        RescaleSlope=0,
        RescaleIntercept=0,
    )


@pytest.mark.parametrize("spoil", [lose_a_group, break_position, break_slope])
def test_broken_groups_are_refused(spoil):
    dataset = build([build_group(0), build_group(1)])
    spoil(dataset)
    with pytest.raises(RefusalError) as refusal:
        read_frames(dataset)
    assert refusal.value.reason == "unreadable"


@pytest.mark.filterwarnings("ignore:The value length")  # of the bytes that were changed
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_change_of_bytes_ends_in_frames_or_a_refusal(data):
    dataset = build(many_groups(), pointers=(0x0020_9128,))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(400, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    try:
        changed = pydicom.dcmread(BytesIO(content), force=True)
    except Exception:  # noqa: BLE001 - what pydicom cannot open is not this reader's to judge
        return
    try:
        facts = read_frames(changed)
    except RefusalError:
        return
    assert all(np.isfinite(frame.position_mm or (0,)).all() for frame in facts.frames)


def test_thousands_of_frames_are_read_in_seconds():
    groups = []
    for number in range(4000):
        group = build_group(number % 40)
        add(group, "FrameContentSequence", TemporalPositionIndex=number // 40 + 1)
        groups.append(group)
    dataset = write(build(groups))
    began = time.process_time()
    facts = read_frames(dataset)
    assert len(facts.frames) == 4000
    assert time.process_time() - began < 10
