"""NIfTI-1, NIfTI-2, pairs and Analyze 7.5 against nibabel, number type by number type."""

import gzip
import struct

import nibabel
import numpy as np
import pytest

from medvision.io.nifti.header import is_pair_header
from medvision.io.nifti.pair import find_partner, list_partners
from medvision.io.nifti.read import read_header, read_nifti
from medvision.io.reasons import FLAGS, REFUSED, RefusalError
from medvision.runtime.files import hash_fast

AFFINE = np.array([[-2.0, 0.3, 0, 9], [0.2, 2.5, 0, 8], [0, 0, 3, -7], [0, 0, 0, 1]])
ARRAY = np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 7
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
RGBA = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])


def reason_of(*source, **partner):
    with pytest.raises(RefusalError) as caught:
        read_nifti(*source, **partner)
    assert caught.value.reason in REFUSED
    return caught.value.reason


def build(array, *, maker=nibabel.Nifti1Image, affine=AFFINE, **fields):
    """Return a single file's bytes, header fields set behind nibabel's back."""
    image = maker(array, affine, dtype=array.dtype)
    raw = image.to_bytes()
    header = type(image.header).from_fileobj(__import__("io").BytesIO(raw), check=False)
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + raw[len(header.binaryblock) :]


@pytest.mark.parametrize("maker", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_real_type_is_read_in_either_byte_order(maker, order, dtype, tmp_path):
    array = np.arange(24).reshape(2, 3, 4).astype(order + dtype)
    header = maker.header_class(endianness=order)
    header.set_data_dtype(array.dtype)
    path = tmp_path / "x.nii"
    nibabel.save(maker(array, AFFINE, header), path)
    read = read_nifti(path)
    np.testing.assert_array_equal(read.array, array)
    np.testing.assert_allclose(read.affine, AFFINE, atol=1e-6)
    assert read.array.dtype.isnative
    assert read.flags == ()


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_types_without_one_meaning_are_refused(dtype, tmp_path):
    path = tmp_path / "x.nii"
    nibabel.save(nibabel.Nifti1Image(ARRAY.astype(dtype), AFFINE), path)
    assert reason_of(path) == "dtype-not-supported"
    for code in (1, 1536, 2048, 77):  # bits, float128, complex256, nothing
        assert reason_of(build(ARRAY, datatype=code)) == "dtype-not-supported"


@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 4), (2, 3, 4, 5)])
def test_colour_comes_with_a_last_axis_of_three(shape, tmp_path):
    samples = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    array = samples.view(RGB)[..., 0]
    path = tmp_path / "x.nii"
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
    read = read_nifti(path)
    full = (*shape, 1)[: max(3, len(shape))]
    np.testing.assert_array_equal(read.array, samples.reshape((*full, 3)))
    assert read.is_colour
    assert read.array.dtype == np.uint8
    assert read.n_volumes == (5 if len(shape) == 4 else 1)
    assert read_header(path).is_colour


def test_opacity_is_left_out_and_flagged_where_it_varies(tmp_path):
    samples = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4), dtype=np.uint8)
    for opacity, flags in ((samples[..., 3], ("opacity-dropped",)), (255, ())):
        samples[..., 3] = opacity
        path = tmp_path / "x.nii"
        nibabel.save(nibabel.Nifti1Image(samples.view(RGBA)[..., 0], AFFINE), path)
        read = read_nifti(path)
        np.testing.assert_array_equal(read.array, samples[..., :3])
        assert read.flags == flags


def test_volumes_become_a_fourth_axis_named_by_the_headers_unit(tmp_path):
    array = np.arange(120, dtype=np.int16).reshape(2, 3, 4, 5)
    image = nibabel.Nifti1Image(array, AFFINE)
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 2500
    nibabel.save(image, tmp_path / "time.nii")
    read = read_nifti(tmp_path / "time.nii")
    np.testing.assert_array_equal(read.array, array)
    assert (read.axis, read.step_s, read.n_volumes, read.shape) == ("time", 2.5, 5, (2, 3, 4))
    image.header.set_xyzt_units("mm", "unknown")
    nibabel.save(image, tmp_path / "silent.nii")
    silent = read_nifti(tmp_path / "silent.nii")
    assert (silent.axis, silent.step_s) == ("frame", None)
    one = read_nifti(build(ARRAY))
    assert (one.axis, one.step_s, one.n_volumes) == ("", None, 1)


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_a_slope_of_0_or_nan_means_no_scaling(slope):
    read = read_nifti(build(ARRAY, scl_slope=slope, scl_inter=5))
    np.testing.assert_array_equal(read.array, ARRAY)


@pytest.mark.parametrize(("slope", "intercept"), [(np.inf, 0), (2, np.nan), (2, -np.inf)])
def test_a_scaling_without_end_is_refused(slope, intercept):
    assert reason_of(build(ARRAY, scl_slope=slope, scl_inter=intercept)) == "bad-scaling"


def test_whole_scaling_keeps_whole_numbers():
    read = read_nifti(build(ARRAY, scl_slope=2, scl_inter=-1024))
    assert np.issubdtype(read.array.dtype, np.integer)
    np.testing.assert_array_equal(read.array, ARRAY.astype(int) * 2 - 1024)
    wide = np.array([0, 2**63, 2**64 - 1], np.uint64).reshape(1, 1, 3)
    scaled = read_nifti(build(wide, scl_slope=3, scl_inter=1)).array
    np.testing.assert_allclose(scaled, wide.astype(float) * 3 + 1, rtol=1e-6)


def test_what_float32_cannot_hold_is_flagged_or_refused():
    fine, coarse, huge = np.full((3, 1, 1, 2), 0.5)
    coarse[0, 0, 0], huge[0, 0, 0] = 1 + 2**-40, 1e300
    assert read_nifti(build(fine)).flags == ()
    assert read_nifti(build(coarse)).flags == ("rounded",)
    assert reason_of(build(huge)) == "bad-scaling"
    wide = np.array([0, 2**40 + 1], np.int64).reshape(1, 1, 2)
    assert read_nifti(build(wide)).flags == ("rounded",)
    assert read_nifti(build(wide - 1)).flags == ()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("maker", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_a_pair_is_read_from_its_header_and_both_files_are_hashed(maker, packed, tmp_path):
    end = ".gz" if packed else ""
    nibabel.save(maker(ARRAY, AFFINE), tmp_path / f"x.img{end}")
    header, voxels = tmp_path / f"x.hdr{end}", tmp_path / f"x.img{end}"
    assert find_partner(header) == voxels
    head = header.read_bytes()
    assert is_pair_header(gzip.decompress(head) if packed else head)
    read = read_nifti(header)
    np.testing.assert_array_equal(read.array, ARRAY)
    np.testing.assert_allclose(read.affine, AFFINE, atol=1e-6)
    assert read.is_placed
    assert read.digest == hash_fast(header.read_bytes())
    assert read.partner_digest == hash_fast(voxels.read_bytes())
    assert read_nifti(header.read_bytes(), partner=voxels.read_bytes()).digest == read.digest
    voxels.unlink()
    assert reason_of(header) == "pair-incomplete"


@pytest.mark.parametrize("order", ["<", ">"])
def test_analyze_has_values_and_spacing_and_no_place(order, tmp_path):
    header = nibabel.AnalyzeHeader(endianness=order)
    header.set_data_dtype(np.dtype(np.int16).newbyteorder(order))
    header.set_data_shape(ARRAY.shape)
    header.set_zooms((2, 3, 4))
    image = nibabel.AnalyzeImage(ARRAY, None, header)
    nibabel.save(image, tmp_path / "x.img")
    read = read_nifti(tmp_path / "x.hdr")
    np.testing.assert_array_equal(read.array, ARRAY)
    np.testing.assert_array_equal(read.affine, np.diag([2.0, 3, 4, 1]))
    assert not read.is_placed
    assert read.flags == ("no-orientation",)


def test_spms_factor_is_applied_and_its_origin_is_not_trusted(tmp_path):
    image = nibabel.Spm99AnalyzeImage(ARRAY * 0.5, AFFINE)
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "x.img")
    expected = nibabel.load(tmp_path / "x.img")
    read = read_nifti(tmp_path / "x.hdr")
    np.testing.assert_allclose(read.array, expected.get_fdata(), rtol=1e-6)
    assert set(read.flags) == {"no-orientation", "analyze-scaling"}
    assert set(read.flags) <= FLAGS.keys()
    assert not read.is_placed
    np.testing.assert_array_equal(read.affine[:3, 3], 0)


def test_a_calibration_range_of_analyze_is_flagged_and_not_applied(tmp_path):
    nibabel.save(nibabel.AnalyzeImage(ARRAY, None), tmp_path / "x.img")
    raw = bytearray((tmp_path / "x.hdr").read_bytes())
    raw[124:132], raw[140:148] = struct.pack("<2f", 0.8, 0.2), struct.pack("<2i", 110, 10)
    read = read_nifti(bytes(raw), partner=(tmp_path / "x.img").read_bytes())
    np.testing.assert_array_equal(read.array, ARRAY)
    assert set(read.flags) >= {"analyze-scaling"}


def test_colour_in_analyze_is_refused_since_its_order_is_not_told(tmp_path):
    nibabel.save(nibabel.AnalyzeImage(ARRAY.astype(np.uint8), None), tmp_path / "x.img")
    raw = bytearray((tmp_path / "x.hdr").read_bytes())
    raw[70:72] = struct.pack("<h", 128)
    assert reason_of(bytes(raw), partner=b"") == "dtype-not-supported"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.hdr", ("a.img", "a.img.gz", "a.IMG", "a.IMG.GZ")),
        ("B.HDR", ("B.IMG", "B.IMG.GZ", "B.img", "B.img.gz")),
        ("a.b.hdr.gz", ("a.b.img", "a.b.img.gz", "a.b.IMG", "a.b.IMG.GZ")),
        ("a.img", ()),
        ("a", ()),
    ],
)
def test_names_of_partners(name, expected):
    assert list_partners(name) == expected


def test_only_a_header_of_a_pair_is_one(tmp_path):
    assert not is_pair_header(build(ARRAY))
    assert not is_pair_header(build(ARRAY, maker=nibabel.Nifti2Image))
    assert not is_pair_header(bytes(400))
    assert not is_pair_header(struct.pack("<i", 348) + bytes(400))
    assert not is_pair_header(b"")
