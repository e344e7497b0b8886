"""Every encoding gives back the pixels that were encoded."""

import shutil
import subprocess
import zlib
from io import BytesIO
from pathlib import Path

import jpeg_ls
import numpy as np
import pydicom
import pytest
from codestreams import HTJ2K_IMAGES, HTJ2K_STREAMS, encode_blocks, encode_lossless, encode_rle
from encoded import (
    DEFLATED,
    DEFLATED_FRAME,
    ENCAPSULATED_PLAIN,
    HTJ2K,
    JPEG_2000,
    JPEG_2000_LOSSY,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LS,
    RLE,
    build_image,
    decode,
    describe,
    make_ramp,
    read_grey,
    set_frames,
    set_items,
    to_bytes,
)
from openjpeg.utils import encode_array
from pydicom.data import get_testdata_file
from pydicom.uid import UID, ExplicitVRBigEndian

from medvision.io.pixels.codecs import CODINGS
from medvision.io.reasons import RefusalError

TWELVE = {"BitsStored": 12, "HighBit": 11}


def encode_j2k(plane, bits):
    return encode_array(plane, bits_stored=bits, photometric_interpretation=2)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("precision", [8, 12, 16])
def test_lossless_jpeg_is_exact_with_every_predictor(predictor, precision):
    dtype = "uint8" if precision == 8 else "uint16"
    plane = make_ramp(peak=(1 << precision) - 1, dtype=dtype)
    dataset = build_image(plane, BitsStored=precision, HighBit=precision - 1)
    stream = encode_lossless(plane, predictor=predictor, precision=precision)
    decoded = decode(set_frames(dataset, [stream], JPEG_LOSSLESS))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ()


@pytest.mark.parametrize(
    ("syntax", "precision", "dtype"), [(JPEG_BASELINE, 8, "uint8"), (JPEG_EXTENDED, 12, "uint16")]
)
def test_jpeg_of_constant_blocks_is_exact(syntax, precision, dtype):
    levels = np.random.default_rng(0).integers(0, 1 << precision, (4, 5))
    expected = levels.repeat(8, axis=0).repeat(8, axis=1)
    dataset = build_image(expected.astype(dtype), BitsStored=precision, HighBit=precision - 1)
    decoded = decode(set_frames(dataset, [encode_blocks(levels, precision=precision)], syntax))
    np.testing.assert_array_equal(decoded.planes[0], expected)
    assert decoded.flags == ()


@pytest.mark.parametrize("precision", [12, 16])
@pytest.mark.parametrize("n_fragments", [1, 2, 7])
def test_jpeg_ls_is_exact_in_one_and_in_many_fragments(precision, n_fragments):
    plane = make_ramp(40, 50, peak=(1 << precision) - 1)
    stream = bytes(jpeg_ls.encode_array(plane))
    size = -(-len(stream) // n_fragments // 2) * 2
    items = [stream[k : k + size] for k in range(0, len(stream), size)]
    dataset = build_image(plane, BitsStored=precision, HighBit=precision - 1)
    decoded = decode(set_items(dataset, items, JPEG_LS))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ()


@pytest.mark.parametrize("lossy_error", [1, 3])
def test_near_lossless_jpeg_ls_stays_within_its_error(lossy_error):
    plane = make_ramp(40, 50)
    stream = bytes(jpeg_ls.encode_array(plane, lossy_error=lossy_error))
    dataset = build_image(plane, **TWELVE)
    (got,) = decode(set_frames(dataset, [stream], "1.2.840.10008.1.2.4.81")).planes
    assert np.abs(got.astype(int) - plane.astype(int)).max() <= lossy_error


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_2000_is_exact_without_sign(bits):
    plane = make_ramp(peak=(1 << bits) - 1, dtype="uint8" if bits == 8 else "uint16")
    dataset = build_image(plane, BitsStored=bits, HighBit=bits - 1)
    decoded = decode(set_frames(dataset, [encode_j2k(plane, bits)], JPEG_2000))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ()


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("codec", ["jpeg-2000", "jpeg-ls", "jpeg", "rle"])
def test_signed_values_are_exact(bits, codec):
    middle = 1 << (bits - 1)
    plane = (make_ramp(peak=(1 << bits) - 1).astype(int) - middle).astype(np.int16)
    bit_pattern = plane.view(np.uint16) & ((1 << bits) - 1)
    dataset = build_image(plane, BitsStored=bits, HighBit=bits - 1)
    if codec == "rle":
        dataset.compress(UID(RLE), generate_instance_uid=False)
    else:
        syntax, stream = {
            "jpeg-2000": lambda: (JPEG_2000, encode_j2k(plane, bits)),
            "jpeg-ls": lambda: (JPEG_LS, bytes(jpeg_ls.encode_array(bit_pattern))),
            "jpeg": lambda: (
                JPEG_LOSSLESS,
                encode_lossless(bit_pattern, predictor=1, precision=bits),
            ),
        }[codec]()
        set_frames(dataset, [stream], syntax)
    np.testing.assert_array_equal(decode(dataset).planes[0], plane)


@pytest.mark.parametrize("name", ["unsigned 16 bits", "signed 16 bits"])
@pytest.mark.parametrize("end", ["201", "202", "203"])
def test_high_throughput_jpeg_2000_is_exact(name, end):
    plane = HTJ2K_IMAGES[name]
    syntax = f"1.2.840.10008.1.2.4.{end}"
    dataset = set_frames(build_image(plane), [HTJ2K_STREAMS[name]], syntax)
    np.testing.assert_array_equal(decode(dataset).planes[0], plane)


def test_high_throughput_colour_is_exact():
    image = HTJ2K_IMAGES["colour"]
    dataset = build_image(
        image[..., 0], SamplesPerPixel=3, PhotometricInterpretation="YBR_RCT", PlanarConfiguration=0
    )
    set_frames(dataset, [HTJ2K_STREAMS["colour"]], HTJ2K)
    np.testing.assert_array_equal(decode(dataset, colour="rgb").planes[0], image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_run_length_coding_of_literals_is_exact(dtype):
    plane = make_ramp(peak=100 if dtype == "uint8" else 30000, dtype=dtype)
    dataset = set_frames(build_image(plane), [encode_rle([plane])], RLE)
    np.testing.assert_array_equal(decode(dataset).planes[0], plane)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_run_length_coding_is_exact(dtype):
    plane = make_ramp(peak=100 if dtype == "uint8" else 30000, dtype=dtype)
    plane[3:9] = 7
    dataset = build_image(plane)
    dataset.compress(UID(RLE), generate_instance_uid=False)
    np.testing.assert_array_equal(decode(dataset).planes[0], plane)


def test_a_deflated_file_is_exact():
    plane = make_ramp()
    dataset = build_image(plane)
    dataset.file_meta.TransferSyntaxUID = UID(DEFLATED)
    np.testing.assert_array_equal(decode(dataset).planes[0], plane)


def test_a_deflated_file_without_preamble_is_exact():
    plane = make_ramp()
    dataset = build_image(plane)
    dataset.file_meta.TransferSyntaxUID = UID(DEFLATED)
    np.testing.assert_array_equal(
        read_grey(to_bytes(dataset)[132:], describe(dataset)).planes[0], plane
    )


def test_a_deflated_file_that_would_grow_beyond_its_image_is_refused():
    dataset = build_image(make_ramp())
    dataset.add_new(0x00280051, "UN", bytes(1 << 28))
    dataset.file_meta.TransferSyntaxUID = UID(DEFLATED)
    data = to_bytes(dataset)
    assert len(data) < 1 << 20
    with pytest.raises(RefusalError, match="deflated stream") as refusal:
        read_grey(data, describe(build_image(make_ramp())))
    assert refusal.value.reason == "undecodable"


def deflate(frame):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(frame) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)


@pytest.mark.parametrize("syntax", [ENCAPSULATED_PLAIN, DEFLATED_FRAME])
@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_frames_that_are_native_inside_their_fragment_are_exact(syntax, dtype):
    frames = [make_ramp(7, 9, peak=90 + k, dtype=dtype) for k in range(3)]
    pack = deflate if syntax == DEFLATED_FRAME else bytes
    dataset = build_image(frames[0])
    set_frames(dataset, [pack(frame.tobytes()) for frame in frames], syntax)
    for got, expected in zip(decode(dataset).planes, frames, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("syntax", [DEFLATED_FRAME, RLE])
def test_packed_bits_are_exact_in_fragments(syntax):
    mask = np.random.default_rng(0).integers(0, 2, (5, 7), dtype=np.uint8)
    packed = np.packbits(mask, bitorder="little").tobytes()
    body = bytes([len(packed) - 1]) + packed
    rle = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56) + body
    frame = deflate(packed) if syntax == DEFLATED_FRAME else rle
    dataset = build_image(mask, BitsAllocated=1, BitsStored=1, HighBit=0)
    np.testing.assert_array_equal(decode(set_frames(dataset, [frame], syntax)).planes[0], mask)


@pytest.mark.parametrize("n_frames", [1, 3])
def test_packed_bits_are_exact_across_frames_without_padding(n_frames):
    masks = np.random.default_rng(0).integers(0, 2, (n_frames, 5, 7), dtype=np.uint8)
    dataset = build_image(masks[0], BitsAllocated=1, BitsStored=1, HighBit=0)
    dataset.NumberOfFrames = n_frames
    packed = np.packbits(masks, bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    np.testing.assert_array_equal(np.stack(decode(dataset).planes), masks)


@pytest.mark.parametrize("n_frames", [1, 3])
def test_packed_twelve_bits_are_exact(n_frames):
    planes = np.random.default_rng(0).integers(0, 4096, (n_frames, 5, 7), dtype=np.uint16)
    dataset = build_image(planes[0], BitsAllocated=12, **TWELVE)
    dataset.NumberOfFrames = n_frames
    cells = np.unpackbits(
        planes.astype("<u2").view(np.uint8).reshape(-1, 2), axis=1, bitorder="little"
    )
    dataset.PixelData = np.packbits(cells[:, :12], bitorder="little").tobytes()
    np.testing.assert_array_equal(np.stack(decode(dataset).planes), planes)


@pytest.mark.parametrize(
    ("dtype", "vr"),
    [("uint8", "OB"), ("uint8", "OW"), ("int16", "OW"), ("uint32", "OW"), ("int32", "OW")],
)
def test_big_endian_pixels_are_exact(dtype, vr):
    plane = make_ramp(5, 7, peak=100 if dtype == "uint8" else 30000, dtype=dtype)
    raw = plane.tobytes()
    raw += b"\0" * (len(raw) % 2)
    # OW is a string of 16-bit words, however wide the samples are.
    swapped = raw if vr == "OB" else np.frombuffer(raw, "<u2").astype(">u2").tobytes()
    dataset = build_image(plane, PixelData=swapped)
    dataset["PixelData"].VR = vr
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    decoded = decode(dataset)
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ()


def test_ges_own_syntax_has_big_endian_pixels_under_a_little_endian_header():
    plane = make_ramp()
    dataset = build_image(plane, PixelData=plane.astype(">u2").tobytes())
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.113619.5.2")
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, little_endian=True, implicit_vr=True, force_encoding=True)
    got = read_grey(stream.getvalue(), describe(dataset)).planes[0]
    np.testing.assert_array_equal(got, plane)


@pytest.mark.parametrize(
    ("syntax", "reason"), [("1.2.3.4", "no-decoder"), (JPEG_2000, "undecodable")]
)
def test_native_pixels_under_another_syntax_are_refused(syntax, reason):
    data = to_bytes(build_image(make_ramp()))
    named = b"1.2.840.10008.1.2.1\0"
    padded = syntax.encode().ljust(len(named), b"\0")
    if len(padded) > len(named):
        data = data.replace(b"UI\x14\0" + named, b"UI\x16\0" + padded)
    data = data.replace(named, padded)
    with pytest.raises(RefusalError) as refusal:
        read_grey(data, describe(build_image(make_ramp())))
    assert refusal.value.reason == reason


def test_wide_samples_that_a_writer_swapped_as_a_whole_are_seen_and_flagged():
    plane = make_ramp(peak=3_000_000, dtype="uint32")
    dataset = build_image(plane, PixelData=plane.astype(">u4").tobytes())
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    decoded = decode(dataset)
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ("encoding-differs",)


def test_pixels_of_thirty_two_bits_are_exact():
    plane = np.array([[0, 1 << 31], [4_000_000_000, 7]], np.uint32)
    np.testing.assert_array_equal(decode(build_image(plane)).planes[0], plane)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floating_point_pixels_are_exact(dtype):
    plane = np.array([[0.25, -9.5], [1 / 3, 1e30]], dtype)
    dataset = build_image(np.zeros((2, 2), np.uint16))
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.BitsAllocated = 8 * plane.dtype.itemsize
    keyword = "FloatPixelData" if dtype == "float32" else "DoubleFloatPixelData"
    setattr(dataset, keyword, plane.tobytes())
    (got,) = decode(dataset).planes
    np.testing.assert_array_equal(got, plane)
    assert got.dtype == plane.dtype


def test_an_encapsulated_frame_under_a_native_syntax_is_decoded_and_flagged():
    plane = make_ramp()
    dataset = set_frames(build_image(plane, **TWELVE), [encode_j2k(plane, 12)], JPEG_2000)
    data = to_bytes(dataset).replace(JPEG_2000.encode(), b"1.2.840.10008.1.2.4.80", 1)
    decoded = read_grey(data, describe(dataset))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ("encoding-differs",)


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.110", "1.2.3.4.5.6"]
)
def test_video_and_unknown_syntaxes_have_no_decoder(syntax):
    dataset = set_frames(build_image(make_ramp()), [b"\0\0\1\xba" * 8], syntax)
    with pytest.raises(RefusalError) as refusal:
        decode(dataset)
    assert refusal.value.reason == "no-decoder"
    assert "1.2.3.4" not in str(refusal.value)


@pytest.mark.parametrize("marker", [0xC2, 0xC9])
def test_retired_processes_of_jpeg_have_no_decoder(marker):
    stream = encode_blocks(np.full((2, 2), 9), precision=8).replace(
        b"\xff\xc0", bytes([0xFF, marker])
    )
    dataset = build_image(np.zeros((16, 16), np.uint8))
    with pytest.raises(RefusalError) as refusal:
        decode(set_frames(dataset, [stream], "1.2.840.10008.1.2.4.55"))
    assert refusal.value.reason == "no-decoder"


LIARS = {
    "jpeg": lambda: (JPEG_LOSSLESS, encode_lossless(make_ramp(), predictor=1, precision=12)),
    "jpeg-ls": lambda: (JPEG_LS, bytes(jpeg_ls.encode_array(make_ramp()))),
    "jpeg-2000": lambda: (JPEG_2000, encode_j2k(make_ramp(), 12)),
    "rle": lambda: (RLE, (2).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(80)),
}


@pytest.mark.parametrize("coding", LIARS)
def test_a_codestream_of_another_size_than_the_header_states_is_refused_unseen(coding, monkeypatch):
    syntax, stream = LIARS[coding]()
    dataset = set_frames(build_image(make_ramp(), Rows=60000, Columns=60000), [stream], syntax)
    for module, name in (("openjpeg.utils", "decode"), ("jpeg_ls", "decode_pixel_data")):
        monkeypatch.setattr(f"{module}.{name}", lambda *_, **__: pytest.fail("memory was taken"))
    with pytest.raises(RefusalError) as refusal:
        decode(dataset)
    assert refusal.value.reason == "undecodable"


def test_a_size_that_no_such_few_bytes_can_fill_is_refused():
    stream = bytearray(encode_j2k(make_ramp(), 12))
    for place in (8, 12, 24, 28):  # size of the image and of its tiles
        stream[place : place + 4] = (60000).to_bytes(4, "big")
    dataset = build_image(make_ramp(), Rows=60000, Columns=60000)
    with pytest.raises(RefusalError, match="times its bytes"):
        decode(set_frames(dataset, [bytes(stream)], JPEG_2000))


@pytest.mark.parametrize("coding", ["jpeg", "jpeg-ls", "jpeg-2000"])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_a_codestream_cut_short_is_refused_and_not_filled_up(coding, end, capfd):
    syntax, stream = LIARS[coding]()
    cut = stream[: len(stream) * 2 // 3] + end
    dataset = set_frames(build_image(make_ramp(), **TWELVE), [cut], syntax)
    with pytest.raises(RefusalError) as refusal:
        decode(dataset)
    assert refusal.value.reason == "undecodable"
    assert capfd.readouterr().err == ""


def test_damage_that_the_library_only_murmurs_of_is_refused():
    stream = bytearray(encode_lossless(make_ramp(60, 60), predictor=1, precision=12))
    stream[len(stream) // 2] ^= 0x55
    dataset = set_frames(build_image(make_ramp(60, 60), **TWELVE), [bytes(stream)], JPEG_LOSSLESS)
    with pytest.raises(RefusalError):
        decode(dataset)


@pytest.mark.parametrize("name", ["J2K_pixelrep_mismatch.dcm", "693_J2KI.dcm", "JPGExtended.dcm"])
def test_no_decoder_speaks(name, capfd, caplog):
    path = get_testdata_file(name)
    read_grey(Path(path).read_bytes(), describe(pydicom.dcmread(path)))
    said = capfd.readouterr()
    assert (said.out, said.err, caplog.text) == ("", "", "")


def test_each_syntax_of_the_table_is_a_registered_compression():
    for syntax in CODINGS:
        assert UID(syntax).is_transfer_syntax
        assert UID(syntax).is_compressed


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("dcmcjpeg", ["+ee"]),
        ("dcmcjpeg", ["+eb", "+cl"]),
        *[("dcmcjpeg", ["+el", "+sv", str(k)]) for k in (1, 4, 7)],
        ("dcmcjpeg", ["+e1", "+fs", "1"]),
        ("dcmcjpls", ["+fs", "1"]),
        ("dcmcrle", []),
    ],
)
def test_what_dcmtk_encodes_is_decoded_as_dcmtk_does(program, options, tmp_path):
    decoder = {"dcmcjpeg": "dcmdjpeg", "dcmcjpls": "dcmdjpls", "dcmcrle": "dcmdrle"}[program]
    if not (shutil.which(program) and shutil.which(decoder)):
        pytest.skip(f"{program} (Debian: dcmtk) is not installed")
    plane = (
        make_ramp(200, 180, peak=255, dtype="uint8") if "+eb" in options else make_ramp(200, 180)
    )
    bits = 8 if "+eb" in options else 12
    dataset = build_image(plane, BitsStored=bits, HighBit=bits - 1)
    paths = [tmp_path / name for name in ("raw", "coded", "again")]
    dataset.save_as(paths[0], enforce_file_format=True)
    subprocess.run([program, *options, *paths[:2]], check=True, capture_output=True)
    subprocess.run([decoder, *paths[1:]], check=True, capture_output=True)
    theirs = pydicom.dcmread(paths[2]).pixel_array.astype(int)
    coded = pydicom.dcmread(paths[1])
    ours = read_grey(paths[1], describe(coded)).planes[0]
    # Two decoders of a lossy coding may round differently.
    is_lossy = coded.file_meta.TransferSyntaxUID in (JPEG_BASELINE, JPEG_EXTENDED, JPEG_2000_LOSSY)
    assert np.abs(ours - theirs).max() <= (1 if is_lossy else 0)
