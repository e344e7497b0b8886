"""Comments in codestreams: gone, while the pixels decode to the same values."""

import io
import struct

import numpy as np
import pydicom
import pytest
from dicoms import Plan, build_slice, make_volume
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from medvision.io.deidentify import Pseudonymiser
from medvision.io.profile.actions import Options
from medvision.io.profile.anonymise import anonymise
from medvision.io.profile.comments import blank_comments

WORD = b"ZQKANARY"
NAMES = Pseudonymiser(bytes(16))
OPTIONS = Options("shift", "remove", "remove")


def add_segment(stream, marker, content, *, at=2):
    """Insert a segment into a codestream behind its first marker."""
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
    return stream[:at] + segment + stream[at:]


def mark(dataset):
    """Put a comment (and in JPEG an application segment) into each frame."""
    frames = []
    for frame in generate_frames(dataset.PixelData, number_of_frames=1):
        is_j2k = frame[:4] == b"\xff\x4f\xff\x51"
        if is_j2k:
            size_end = 4 + int.from_bytes(frame[4:6])
            frames.append(add_segment(frame, 0x64, b"\0\1" + WORD, at=size_end))
        else:
            frames.append(add_segment(add_segment(frame, 0xFE, WORD), 0xE1, b"Exif\0" + WORD))
    dataset.PixelData = encapsulate(frames)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless], ids=["JPEG-LS", "JPEG2000"])
def test_comment_goes_and_pixels_stay(syntax):
    dataset = build_slice(Plan(make_volume((64, 64, 1))), 0)
    dataset.compress(syntax, generate_instance_uid=False)
    expected = dataset.pixel_array.copy()
    mark(dataset)
    assert WORD in dataset.PixelData
    stream = io.BytesIO()
    anonymise(dataset, NAMES, options=OPTIONS).save_as(stream, enforce_file_format=True)
    assert WORD not in stream.getvalue()
    kept = pydicom.dcmread(io.BytesIO(stream.getvalue()))
    assert np.array_equal(kept.pixel_array, expected)


def test_segments_that_tell_colours_stay():
    jpeg = b"\xff\xd8" + b"\xff\xda\0\2" + b"\xff\xd9"
    for marker, content in ((0xEE, b"Adobe\0\1"), (0xE0, b"JFIF\0\1"), (0xE8, b"mrfx\0\1")):
        held = encapsulate([add_segment(jpeg, marker, content)])
        assert blank_comments(held) == held


def test_comment_of_a_tile_goes():
    comment = b"\xff\x64" + struct.pack(">H", 4 + len(WORD)) + b"\0\1" + WORD
    size = b"\xff\x4f\xff\x51\0\4\0\0"
    tile = b"\xff\x90\0\x0a\0\0" + struct.pack(">I", 12 + len(comment) + 2 + 4) + b"\0\1"
    stream = size + 2 * (tile + comment + b"\xff\x93DATA") + b"\xff\xd9"
    held = encapsulate([stream])
    blanked = blank_comments(held)
    assert WORD not in blanked
    assert blanked.count(b"DATA") == 2
    assert len(blanked) == len(held)


@given(
    st.binary(min_size=2, max_size=200),
    st.sampled_from([b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b""]),
)
def test_any_bytes_end_with_as_many(content, head):
    held = encapsulate([head + content])
    assert len(blank_comments(held)) == len(held)
    assert len(blank_comments(head + content)) == len(head + content)


def test_tile_that_ends_before_its_header_is_no_circle():
    tile = b"\xff\x90\0\x0a\0\0" + struct.pack(">I", 12) + b"\0\1"
    stream = b"\xff\x4f\xff\x51\0\4\0\0" + tile + b"\xff\x64\0\4\0\1\xff\x93DATA"
    held = encapsulate([stream])
    assert blank_comments(held) == held
