"""Frames are found among fragments, whatever the offset tables say."""

import struct

import numpy as np
import pytest
from encoded import JPEG_2000, RLE, attempt, build_image, decode, make_ramp, set_items
from hypothesis import given
from hypothesis import strategies as st
from openjpeg.utils import encode_array

from medvision.io.pixels.fragments import split_frames
from medvision.io.reasons import RefusalError

PLANES = [make_ramp(peak=4000 - k) for k in range(3)]
STREAMS = [encode_array(p, bits_stored=12, photometric_interpretation=2) for p in PLANES]


def pad(item):
    return item + b"\0" * (len(item) % 2)


def cut(stream, n_parts):
    size = -(-len(stream) // n_parts // 2) * 2
    return [stream[k : k + size] for k in range(0, len(stream), size)]


def measure(groups):
    """The right basic offset table of frames in groups of fragments."""
    lengths = [sum(8 + len(pad(item)) for item in group) for group in groups]
    return np.cumsum([0, *lengths])[:-1].tolist()


def build(groups, table=(), **values):
    dataset = build_image(PLANES[0], BitsStored=12, HighBit=11, NumberOfFrames=3, **values)
    return set_items(dataset, [item for group in groups for item in group], JPEG_2000, table=table)


ONE_EACH = [[stream] for stream in STREAMS]
MANY = [cut(STREAMS[0], 1), cut(STREAMS[1], 4), cut(STREAMS[2], 2)]


@pytest.mark.parametrize("groups", [ONE_EACH, MANY], ids=["one each", "many"])
@pytest.mark.parametrize("table", ["none", "right", "shifted", "short", "of zeros"])
def test_frames_are_found_with_any_offset_table(groups, table):
    right = measure(groups)
    offsets = {
        "none": [],
        "right": right,
        "shifted": [offset + 8 for offset in right],
        "short": right[:2],
        "of zeros": [0, 0, 0],
    }[table]
    decoded = decode(build(groups, offsets))
    for got, expected in zip(decoded.planes, PLANES, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert decoded.flags == (() if table in ("none", "right") else ("offset-table-ignored",))


@pytest.mark.parametrize("groups", [ONE_EACH, MANY], ids=["one each", "many"])
def test_the_extended_offset_table_is_followed(groups):
    offsets = measure(groups)
    packed = struct.pack("<3Q", *offsets)
    dataset = build(groups, ExtendedOffsetTable=packed, ExtendedOffsetTableLengths=packed)
    decoded = decode(dataset)
    for got, expected in zip(decoded.planes, PLANES, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert decoded.flags == ()


def test_an_empty_last_fragment_counts_for_nothing():
    decoded = decode(build([*ONE_EACH, [b""]]))
    np.testing.assert_array_equal(decoded.planes[2], PLANES[2])


@pytest.mark.parametrize("stated", [1, 2, 4])
def test_more_or_fewer_frames_than_stated_are_refused(stated):
    dataset = build(ONE_EACH)
    dataset.NumberOfFrames = stated
    with pytest.raises(RefusalError) as refusal:
        decode(dataset)
    assert refusal.value.reason == "undecodable"


def test_fragments_without_codestreams_that_no_table_groups_are_refused():
    dataset = set_items(build_image(PLANES[0], NumberOfFrames=2), [b"\1" * 70] * 3, RLE)
    with pytest.raises(RefusalError, match="3 fragments"):
        decode(dataset)


@given(st.binary(max_size=200), st.integers(1, 5))
def test_any_bytes_are_frames_or_refused(value, n_frames):
    result, reason = attempt(lambda: split_frames(memoryview(value), n_frames=n_frames))
    assert reason in ("", "truncated", "undecodable")
    assert result is None or len(result[0]) == n_frames
