"""Known breaches of the standards of compression are mended, and flagged."""

import numpy as np
import openjpeg
import pydicom
import pytest
from codestreams import encode_blocks
from encoded import (
    JPEG_2000,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    attempt,
    build_image,
    decode,
    describe,
    read_grey,
)

from encoded import make_ramp, set_frames, to_bytes  # isort: skip
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from medvision.io.dicom.deflated import inflate_file, inflate_stream
from medvision.io.pixels.codestream import describe_codestream, strip_remarks
from medvision.io.pixels.repair import mend_frame
from medvision.io.reasons import RefusalError


@pytest.mark.parametrize(("syntax", "precision"), [(JPEG_BASELINE, 8), (JPEG_EXTENDED, 12)])
def test_a_scan_that_selects_no_spectrum_is_given_the_whole(syntax, precision):
    levels = np.random.default_rng(0).integers(0, 1 << precision, (3, 4))
    expected = levels.repeat(8, axis=0).repeat(8, axis=1)
    dtype = np.uint8 if precision == 8 else np.uint16
    dataset = build_image(expected.astype(dtype), BitsStored=precision, HighBit=precision - 1)
    stream = encode_blocks(levels, precision=precision, spectrum=bytes(3))
    decoded = decode(set_frames(dataset, [stream], syntax))
    np.testing.assert_array_equal(decoded.planes[0], expected)
    assert decoded.flags == ("codestream-repaired",)


def test_the_shipped_file_with_the_illegal_scan_equals_its_legal_twin():
    planes = []
    for name in ("JPEG-lossy.dcm", "JPGExtended.dcm"):
        dataset = pydicom.dcmread(get_testdata_file(name))
        planes.append(read_grey(to_bytes(dataset), describe(dataset)).planes[0])
    np.testing.assert_array_equal(*planes)
    assert planes[0].max() > 255


def test_a_jp2_file_in_place_of_a_codestream_is_unwrapped():
    plane = make_ramp()
    stream = openjpeg.encode(plane, bits_stored=12, codec_format=1, photometric_interpretation=2)
    assert stream[4:8] == b"jP  "
    dataset = set_frames(build_image(plane, BitsStored=12, HighBit=11), [stream], JPEG_2000)
    decoded = decode(dataset)
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ("codestream-repaired",)


def test_zeros_before_the_first_marker_are_dropped():
    stream = encode_blocks(np.full((2, 2), 77), precision=8)
    dataset = build_image(np.zeros((16, 16), np.uint8))
    decoded = decode(set_frames(dataset, [bytes(4) + stream], JPEG_BASELINE))
    assert set(decoded.planes[0].ravel().tolist()) == {77}
    assert decoded.flags == ("codestream-repaired",)


def test_zeros_that_pad_the_scan_are_no_damage():
    stream = encode_blocks(np.full((2, 2), 77), precision=8)
    padded = stream[:-2] + bytes(3) + stream[-2:]
    dataset = build_image(np.zeros((16, 16), np.uint8))
    decoded = decode(set_frames(dataset, [padded], JPEG_BASELINE))
    assert set(decoded.planes[0].ravel().tolist()) == {77}


def test_remarks_are_stripped_before_decoding_and_the_samples_stay():
    # GDCM ends the process over an unknown revision of JFIF.
    stream = encode_blocks(np.full((2, 2), 77), precision=8)
    jfif = b"\xff\xe0\x00\x10JFIF\x00\x11\x01\x00\x00\x01\x00\x01\x00\x00"
    remarked = stream[:2] + jfif + b"\xff\xfe\x00\x06DOE " + stream[2:]
    assert strip_remarks(remarked) == stream
    dataset = build_image(np.zeros((16, 16), np.uint8))
    decoded = decode(set_frames(dataset, [remarked], JPEG_BASELINE))
    assert set(decoded.planes[0].ravel().tolist()) == {77}


@pytest.mark.parametrize("precision", [0, 1, 7, 10, 16, 20, 255])
def test_a_precision_that_jpeg_does_not_have_is_refused_before_decoding(precision):
    # GDCM ends the process over more than 16 bits.
    stream = bytearray(encode_blocks(np.full((2, 2), 77), precision=8))
    stream[stream.index(b"\xff\xc0") + 4] = precision
    dataset = build_image(np.zeros((16, 16), np.uint8))
    with pytest.raises(RefusalError, match="precision"):
        decode(set_frames(dataset, [bytes(stream)], JPEG_BASELINE))


def test_bytes_between_segments_are_refused_before_decoding():
    # GDCM ends the process over those as well.
    stream = encode_blocks(np.full((2, 2), 77), precision=8)
    damaged = stream.replace(b"\xff\xc4", b"\xff\x00", 1)
    dataset = build_image(np.zeros((16, 16), np.uint8))
    with pytest.raises(RefusalError, match="segments"):
        decode(set_frames(dataset, [damaged], JPEG_BASELINE))


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8", b"\xff\x4f\xff\x51"]))
def test_any_bytes_are_described_or_refused(data, start):
    _, reason = attempt(lambda: mend_frame(start + data))
    assert reason in ("", "undecodable", "no-decoder")


@pytest.mark.parametrize("stream", [encode_blocks(np.full((2, 3), 9), precision=8)])
def test_a_header_cut_anywhere_is_refused(stream):
    whole = describe_codestream(stream)
    assert (whole.rows, whole.columns, whole.samples, whole.precision) == (16, 24, 1, 8)
    start = stream.index(b"\xff\xda")
    for length in range(start):
        with pytest.raises(RefusalError):
            describe_codestream(stream[:length])


@given(st.binary(max_size=300))
def test_any_bytes_inflate_within_the_bound_or_are_refused(data):
    result, reason = attempt(lambda: inflate_stream(data, limit=1000))
    assert reason in ("", "undecodable", "truncated")
    assert result is None or len(result) <= 1000


@given(st.binary(max_size=300))
def test_any_meta_information_is_walked_or_refused(data):
    file = bytes(128) + b"DICM" + data
    _, reason = attempt(lambda: inflate_file(file, limit=1000))
    assert reason in ("", "undecodable", "truncated")
