"""Colours become luminance or RGB of 8 bits, whatever they are coded as."""

import io

import jpeg_ls
import numpy as np
import openjpeg
import pytest
from encoded import (
    JPEG_2000,
    JPEG_BASELINE,
    JPEG_LS,
    RLE,
    attempt,
    build_image,
    decode,
    make_ramp,
    set_frames,
)
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.pixels.processing import apply_color_lut, convert_color_space
from pydicom.uid import UID, ExplicitVRBigEndian

from medvision.io.reasons import RefusalError

WEIGHTS = (0.299, 0.587, 0.114)


def make_picture(rows=16, columns=24, dtype="uint8"):
    peak = np.iinfo(dtype).max
    red = make_ramp(rows, columns, peak=peak, dtype=dtype)
    return np.stack([red, peak - red, red.T.reshape(red.shape)], axis=-1)


def build_colour(picture, **values):
    """A native RGB image."""
    dataset = build_image(picture[..., 0], SamplesPerPixel=3, PhotometricInterpretation="RGB")
    dataset.PlanarConfiguration = 0
    dataset.PixelData = np.ascontiguousarray(picture).tobytes()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def check_both(dataset, picture):
    """Both results of one colour file follow from its RGB picture."""
    (rgb,) = decode(dataset, colour="rgb").planes
    np.testing.assert_array_equal(rgb, picture)
    assert rgb.dtype == np.uint8
    decoded = decode(dataset, colour="luminance")
    np.testing.assert_allclose(decoded.planes[0], picture @ WEIGHTS, atol=1e-4)
    assert decoded.planes[0].dtype == np.float32
    assert "colour-to-luminance" in decoded.flags


def test_rgb_pixel_by_pixel_and_plane_by_plane():
    picture = make_picture()
    check_both(build_colour(picture), picture)
    planar = np.ascontiguousarray(picture.transpose(2, 0, 1)).tobytes()
    check_both(build_colour(picture, PlanarConfiguration=1, PixelData=planar), picture)


@pytest.mark.parametrize("planar", [0, 1])
def test_run_length_coded_colour_does_not_heed_the_planar_configuration(planar):
    picture = make_picture()
    dataset = build_colour(picture)
    dataset.compress(UID(RLE), generate_instance_uid=False)
    dataset.PlanarConfiguration = planar
    check_both(dataset, picture)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_jpeg_ls_in_every_interleave(mode):
    picture = make_picture()
    ordered = picture.transpose(2, 0, 1) if mode == 0 else picture
    stream = jpeg_ls.CharLS.encode_buffer(
        np.ascontiguousarray(ordered).tobytes(), 16, 24, 3, 8, interleave_mode=mode
    )
    check_both(set_frames(build_colour(picture), [bytes(stream)], JPEG_LS), picture)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_RCT"])
@pytest.mark.parametrize("is_mixed", [False, True])
def test_jpeg_2000_is_unmixed_by_its_decoder(photometric, is_mixed):
    picture = make_picture(40, 48)
    stream = openjpeg.utils.encode_array(picture, photometric_interpretation=1, use_mct=is_mixed)
    dataset = build_colour(picture, PhotometricInterpretation=photometric)
    check_both(set_frames(dataset, [stream], JPEG_2000), picture)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
def test_the_codestreams_own_marker_of_colours_counts(photometric):
    # Pillow writes YCbCr with a JFIF marker, whatever a header then says.
    picture = np.full((16, 24, 3), (200, 40, 90), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=100, subsampling=0)
    dataset = build_colour(picture, PhotometricInterpretation=photometric)
    set_frames(dataset, [stream.getvalue()], JPEG_BASELINE)
    (rgb,) = decode(dataset, colour="rgb").planes
    assert np.abs(rgb.astype(int) - picture.astype(int)).max() <= 2
    (grey,) = decode(dataset).planes
    np.testing.assert_allclose(grey, picture @ WEIGHTS, atol=1.5)


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
def test_native_ybr_is_turned_into_rgb(photometric):
    ybr = make_picture()
    ybr[:, 1::2, 1:] = ybr[:, 0::2, 1:]
    raw = ybr
    if photometric == "YBR_FULL_422":
        pairs = ybr.reshape(16, 12, 6)
        raw = pairs[..., [0, 3, 1, 2]]
    dataset = build_colour(ybr, PhotometricInterpretation=photometric)
    dataset.PixelData = np.ascontiguousarray(raw).tobytes()
    (rgb,) = decode(dataset, colour="rgb").planes
    expected = convert_color_space(ybr.copy(), "YBR_FULL", "RGB")
    np.testing.assert_array_equal(rgb, expected)
    np.testing.assert_array_equal(decode(dataset).planes[0], ybr[..., 0])


def test_partial_ybr_spans_the_whole_range():
    ybr = np.empty((2, 2, 3), np.uint8)
    ybr[0], ybr[1] = (16, 128, 128), (235, 128, 128)
    raw = ybr.reshape(2, 1, 6)[..., [0, 3, 1, 2]]
    dataset = build_colour(ybr, PhotometricInterpretation="YBR_PARTIAL_422")
    dataset.PixelData = np.ascontiguousarray(raw).tobytes()
    (rgb,) = decode(dataset, colour="rgb").planes
    np.testing.assert_array_equal(rgb[:, 0], [[0, 0, 0], [255, 255, 255]])
    np.testing.assert_allclose(decode(dataset).planes[0][:, 0], [0, 255], atol=1e-3)


def test_colour_of_sixteen_bits_is_cut_to_eight_for_rgb_alone():
    picture = make_picture(dtype="uint16")
    decoded = decode(build_colour(picture), colour="rgb")
    np.testing.assert_array_equal(decoded.planes[0], picture >> 8)
    assert decoded.flags == ("colour-reduced",)
    (grey,) = decode(build_colour(picture)).planes
    np.testing.assert_allclose(grey, picture @ WEIGHTS, rtol=1e-6)


COLOURS = ("Red", "Green", "Blue")


def build_palette(plane, tables, *, bits, first=0, segmented=False, order="<"):
    dataset = build_image(plane, PhotometricInterpretation="PALETTE COLOR")
    n_entries = 256 if segmented else len(tables[0])
    for colour, table in zip(COLOURS, tables, strict=True):
        keyword = f"{colour}PaletteColorLookupTable"
        dataset[f"{keyword}Descriptor"] = descriptor(dataset, keyword, n_entries, first, bits)
        data = np.asarray(table).astype(f"{order}u{1 if bits == 8 else 2}").tobytes()
        setattr(dataset, f"{'Segmented' if segmented else ''}{keyword}Data", data)
    return dataset


def descriptor(dataset, keyword, n_entries, first, bits):
    setattr(dataset, f"{keyword}Descriptor", [n_entries % (1 << 16), first, bits])
    element = dataset[f"{keyword}Descriptor"]
    element.VR = "SS" if first < 0 else "US"
    return element


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("first", [0, 10])
def test_palettes_are_looked_up(bits, first):
    rng = np.random.default_rng(0)
    tables = rng.integers(0, 1 << bits, (3, 100))
    plane = rng.integers(0, 120, (9, 8), dtype=np.uint8)
    dataset = build_palette(plane, tables, bits=bits, first=first)
    entries = tables.T[np.clip(plane.astype(int) - first, 0, 99)]
    (grey,) = decode(dataset).planes
    np.testing.assert_allclose(grey, entries @ WEIGHTS, rtol=1e-6)
    (rgb,) = decode(dataset, colour="rgb").planes
    np.testing.assert_array_equal(rgb, entries >> (bits - 8))


def test_palettes_of_signed_pixels_begin_below_zero():
    tables = np.arange(30).reshape(3, 10)
    plane = np.array([[-5, 4], [-9, 9]], np.int8)
    dataset = build_palette(plane, tables, bits=8, first=-5)
    (rgb,) = decode(dataset, colour="rgb").planes
    np.testing.assert_array_equal(rgb[..., 0], [[0, 9], [0, 9]])


def test_palettes_of_big_endian_files():
    tables = np.arange(3 * 16).reshape(3, 16) * 1000
    plane = np.arange(16, dtype=np.uint8).reshape(4, 4)
    dataset = build_palette(plane, tables, bits=16, order=">")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset["PixelData"].VR = "OB"
    (rgb,) = decode(dataset, colour="rgb").planes
    np.testing.assert_array_equal(rgb.reshape(16, 3), (tables >> 8).T)


SEGMENTS = {
    "discrete": [0, 256, *range(0, 512, 2)],
    "linear": [0, 1, 5, 1, 255, 260],
    "mixed": [0, 6, 9, 8, 7, 6, 5, 4, 1, 250, 1000],
    "indirect": [0, 1, 5, 1, 55, 60, 2, 1, 3, 0, 0, 145, *range(145)],
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_segmented_palettes_expand_as_in_pydicom(name):
    plane = np.arange(256, dtype=np.uint8).reshape(16, 16)
    dataset = build_palette(plane, [SEGMENTS[name]] * 3, bits=16, segmented=True)
    (grey,) = decode(dataset).planes
    expected = apply_color_lut(plane, dataset)[..., 0]
    assert np.abs(grey - expected).max() <= 1


@given(st.lists(st.integers(0, 65535) | st.integers(0, 4), max_size=60))
def test_any_segments_are_expanded_or_refused(numbers):
    plane = np.arange(256, dtype=np.uint8).reshape(16, 16)
    dataset = build_palette(plane, [numbers] * 3, bits=16, segmented=True)
    decoded, reason = attempt(lambda: decode(dataset))
    assert reason in ("", "undecodable")
    assert decoded is None or decoded.planes[0].shape == (16, 16)


@pytest.mark.parametrize(
    "values",
    [
        {"PhotometricInterpretation": "HSV"},
        {"PhotometricInterpretation": "CMYK", "SamplesPerPixel": 4},
        {"PhotometricInterpretation": "MONOCHROME2"},
        {"PhotometricInterpretation": "PALETTE COLOR"},
    ],
)
def test_three_samples_of_no_known_meaning_are_refused(values):
    dataset = build_colour(np.zeros((4, 4, 4), np.uint8), **values)
    with pytest.raises(RefusalError) as refusal:
        decode(dataset)
    assert refusal.value.reason == "photometric-not-supported"


def test_a_palette_without_tables_is_refused():
    with pytest.raises(RefusalError) as refusal:
        decode(
            build_image(make_ramp(dtype="uint8", peak=9), PhotometricInterpretation="PALETTE COLOR")
        )
    assert refusal.value.reason == "undecodable"
