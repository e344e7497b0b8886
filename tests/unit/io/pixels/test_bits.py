"""Words become values by BitsStored, HighBit and sign; what was done is flagged."""

import jpeg_ls
import numpy as np
import pytest
from codestreams import encode_lossless
from encoded import JPEG_2000, JPEG_2000_LOSSY, JPEG_LOSSLESS, JPEG_LS, attempt, build_image, decode

from encoded import make_ramp, set_frames  # isort: skip
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from openjpeg.utils import encode_array

from medvision.domain.study import PixelLayout
from medvision.io.pixels.bits import choose_sign, extract_values, unpack_cells
from medvision.io.reasons import FLAGS, RefusalError

NARROW = {"BitsStored": 12, "HighBit": 11}


def make_layout(stored, high, *, signed=False, allocated=16):
    return PixelLayout("", None, None, allocated, stored, high, signed, False, False)


def extract_slowly(word, layout):
    """One word, bit by bit, as PS3.5 8.1.1 has it."""
    lowest = layout.high_bit - layout.bits_stored + 1
    bits = [(word >> (lowest + k)) & 1 for k in range(layout.bits_stored)]
    value = sum(bit << k for k, bit in enumerate(bits))
    return value - (1 << layout.bits_stored) if layout.is_signed and bits[-1] else value


@st.composite
def layouts(draw):
    stored = draw(st.integers(1, 16))
    high = draw(st.integers(stored - 1, 15))
    return make_layout(stored, high, signed=draw(st.booleans()))


@given(layouts(), arrays(np.uint16, (3, 4)))
def test_every_layout_agrees_with_the_standard_bit_by_bit_or_is_refused(layout, words):
    result, reason = attempt(lambda: extract_values(words, layout))
    if result is None:
        assert layout.high_bit > layout.bits_stored - 1
        assert reason == "bit-layout-not-supported"
        return
    values, flags = result
    expected = [[extract_slowly(int(word), layout) for word in row] for row in words]
    np.testing.assert_array_equal(values, expected)
    assert values.dtype.kind == ("i" if layout.is_signed else "u")
    seen = words.view(np.int16) if layout.is_signed else words
    assert np.array_equal(values, seen) or flags
    assert set(flags) <= FLAGS.keys()


@pytest.mark.parametrize("signed", [False, True])
def test_clean_words_are_handed_on_without_a_copy(signed):
    words = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    values, flags = extract_values(words, make_layout(12, 11, signed=signed))
    assert np.shares_memory(values, words)
    assert flags == ()


def test_the_input_is_never_changed():
    words = np.array([[0xF123, 0x0FFF]], np.uint16)
    before = words.copy()
    for layout in (make_layout(12, 11), make_layout(12, 11, signed=True), make_layout(12, 15)):
        extract_values(words, layout)
    np.testing.assert_array_equal(words, before)


@pytest.mark.parametrize(
    ("words", "layout", "expected", "flags"),
    [
        ([0x0123, 0xF123], make_layout(12, 11), [0x123, 0x123], ("high-bits-cleared",)),
        ([0x0FFF, 0x07FF], make_layout(12, 11, signed=True), [-1, 2047], ("sign-extended",)),
        ([0xFFFF, 0x07FF], make_layout(12, 11, signed=True), [-1, 2047], ()),
        ([0x8FFF, 0x07FF], make_layout(12, 11, signed=True), [-1, 2047], ("high-bits-cleared",)),
        ([0x1230, 0xFFF0], make_layout(12, 15), [0x123, 0xFFF], ("bits-shifted",)),
        ([0x1230, 0xFFF0], make_layout(12, 15, signed=True), [0x123, -1], ("bits-shifted",)),
        (
            [0x1235, 0xFFF0],
            make_layout(12, 15),
            [0x123, 0xFFF],
            ("bits-shifted", "high-bits-cleared"),
        ),
        ([0x0123, 0x0FFF], make_layout(16, 11), [0x123, 0xFFF], ("high-bit-ignored",)),
    ],
)
def test_what_was_done_to_the_bits_is_flagged(words, layout, expected, flags):
    values, found = extract_values(np.array([words], np.uint16), layout)
    np.testing.assert_array_equal(values, [expected])
    assert found == flags


@pytest.mark.parametrize(
    ("words", "layout"),
    [
        ([0x0123, 0xF000], make_layout(16, 11)),  # high bit too low, and needed
        ([0x0123, 0x0FFF], make_layout(12, 15)),  # never shifted, whatever the header says
        ([1, 2], make_layout(17, 16)),
        ([1, 2], make_layout(0, 0)),
        ([1, 2], make_layout(12, 40)),
    ],
)
def test_bits_that_contradict_their_layout_are_refused(words, layout):
    with pytest.raises(RefusalError) as refusal:
        extract_values(np.array([words], np.uint16), layout)
    assert refusal.value.reason == "bit-layout-not-supported"


@given(st.integers(1, 32), st.integers(0, 40), st.randoms())
def test_cells_of_any_width_are_unpacked(n_bits, count, random):
    cells = [random.getrandbits(n_bits) for _ in range(count)]
    text = "".join(format(cell, f"0{n_bits}b")[::-1] for cell in cells)
    text += "0" * (-len(text) % 8)
    packed = bytes(int(text[k : k + 8][::-1], 2) for k in range(0, len(text), 8))
    np.testing.assert_array_equal(unpack_cells(packed, n_bits=n_bits, count=count), cells)


def test_too_few_bytes_for_the_cells_are_refused():
    with pytest.raises(RefusalError) as refusal:
        unpack_cells(bytes(5), n_bits=12, count=4)
    assert refusal.value.reason == "truncated"


def make_signed(bits=12):
    """A smooth plane around zero, from the least to nearly the greatest value."""
    return (make_ramp(peak=(1 << bits) - 1).astype(int) - (1 << (bits - 1))).astype(np.int16)


def encode_j2k(plane, bits):
    return encode_array(plane, bits_stored=bits, photometric_interpretation=2)


@pytest.mark.parametrize("bits", [12, 16])
def test_signed_codestream_of_an_unsigned_header_keeps_its_sign(bits):
    plane = make_signed(bits)
    dataset = build_image(plane, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=0)
    decoded = decode(set_frames(dataset, [encode_j2k(plane, bits)], JPEG_2000))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ("sign-corrected",)


@pytest.mark.parametrize("stored", [12, 16])
def test_unsigned_codestream_of_a_signed_header_stays_unsigned(stored):
    plane = make_ramp()
    dataset = build_image(plane, BitsStored=stored, HighBit=stored - 1, PixelRepresentation=1)
    decoded = decode(set_frames(dataset, [encode_j2k(plane, 12)], JPEG_2000))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ("sign-corrected",)


def test_twos_complement_in_an_unsigned_codestream_is_seen_by_the_tears():
    plane = make_signed()
    pattern = plane.view(np.uint16) & 0x0FFF
    dataset = build_image(plane, **NARROW)
    decoded = decode(set_frames(dataset, [encode_j2k(pattern, 12)], JPEG_2000))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ("sign-corrected",)


def test_noise_without_evidence_is_read_with_the_codestreams_sign():
    noise = np.random.default_rng(0).integers(-2048, 2048, (40, 48)).astype(np.int16)
    dataset = build_image(noise, **NARROW, PixelRepresentation=0)
    decoded = decode(set_frames(dataset, [encode_j2k(noise, 12)], JPEG_2000))
    np.testing.assert_array_equal(decoded.planes[0], noise)
    assert decoded.flags == ("sign-corrected",)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("prefer_signed", [False, True])
def test_a_smooth_plane_decides_its_sign_against_any_preference(bits, prefer_signed):
    middle = 1 << (bits - 1)
    unsigned = make_ramp(peak=2 * middle - 1).astype(int)
    wrapped = np.where(unsigned >= middle, unsigned - 2 * middle, unsigned)
    assert not choose_sign(unsigned, wrapped, n_bits=bits, prefer_signed=prefer_signed)
    signed = unsigned - middle
    wrapped = np.where(signed < 0, signed + 2 * middle, signed)
    assert choose_sign(wrapped, signed, n_bits=bits, prefer_signed=prefer_signed)


def test_fewer_bits_in_the_codestream_than_in_a_signed_header_are_no_sign():
    # JPEG-LS has no sign: 12 bits of a header with 16 hold values of 0 to 4095.
    plane = make_ramp()
    stream = encode_lossless(plane, predictor=1, precision=12)
    dataset = build_image(plane.astype(np.int16))
    np.testing.assert_array_equal(
        decode(set_frames(dataset, [stream], JPEG_LOSSLESS)).planes[0], plane
    )


@pytest.mark.parametrize("codec", ["jpeg-2000", "jpeg-ls", "jpeg"])
def test_an_overlay_in_the_high_bits_of_lossless_words_is_cleared(codec):
    plane = make_ramp()
    words = plane | 0xA000
    syntax, stream = {
        "jpeg-2000": lambda: (JPEG_2000, encode_j2k(words, 16)),
        "jpeg-ls": lambda: (JPEG_LS, bytes(jpeg_ls.encode_array(words))),
        "jpeg": lambda: (JPEG_LOSSLESS, encode_lossless(words, predictor=1, precision=16)),
    }[codec]()
    decoded = decode(set_frames(build_image(plane, **NARROW), [stream], syntax))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ("high-bits-cleared",)


def test_lossy_values_beyond_the_stored_bits_are_kept_and_flagged():
    plane = make_ramp()
    plane[5, 5] = 4099  # as lossy coding may overshoot
    dataset = build_image(plane, **NARROW)
    decoded = decode(set_frames(dataset, [encode_j2k(plane, 16)], JPEG_2000_LOSSY))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ("precision-differs",)


@pytest.mark.parametrize("syntax", [JPEG_2000, JPEG_2000_LOSSY])
def test_more_precision_than_stored_bits_alone_is_no_cause_for_a_flag(syntax):
    plane = make_ramp()
    decoded = decode(set_frames(build_image(plane, **NARROW), [encode_j2k(plane, 16)], syntax))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ()
