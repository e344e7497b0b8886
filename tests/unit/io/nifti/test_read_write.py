"""NIfTI in and out."""

import gzip
import json
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from geometry_strategies import affines
from hypothesis import HealthCheck, given, settings
from ingesting import ingest

from medvision.domain.intended_use import RESEARCH_USE
from medvision.io.nifti.read import read_nifti
from medvision.io.nifti.write import shrink_dtype, write_nifti
from medvision.io.reasons import FLAGS, REFUSED, RefusalError

SHIPPED = Path(nibabel.__file__).parent / "tests" / "data"
AFFINE = np.array([[-2.0, 0.3, 0, 9], [0.2, 2.5, 0, 8], [0, 0, 3, -7], [0, 0, 0, 1]])


def write(path, array):
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
    return path


def patch(path, offset, content):
    """Overwrite bytes of a NIfTI-1 header, which nibabel would keep consistent."""
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(content)] = content
    path.write_bytes(raw)
    return path


def reason_of(path):
    with pytest.raises(RefusalError) as caught:
        read_nifti(path)
    assert caught.value.reason in REFUSED
    return caught.value.reason


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(affines())
def test_written_affine_is_read_back_by_nibabel(tmp_path, affine):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    path = tmp_path / "x.nii.gz"
    write_nifti(path, array, affine=affine, is_placed=True)
    image = nibabel.load(path)
    np.testing.assert_allclose(image.affine, affine, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(image.get_qform(), affine, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(image.get_fdata(), array)


def test_equal_input_gives_equal_bytes_without_time_or_name(tmp_path):
    array = np.zeros((2, 3, 4), np.int16)
    for name in ("a", "b"):
        write_nifti(tmp_path / f"{name}.nii.gz", array, affine=AFFINE, is_placed=True)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert content[3] == 0  # no name
    assert content[4:8] == bytes(4)  # no time


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 255], np.uint8),
        ([-1024, 3071], np.int16),
        ([0, 65535], np.uint16),
        ([-1, 65535], np.int32),
        ([0, 2**32 - 1], np.uint32),
        ([0.5, 1.0], np.float32),
    ],
)
def test_smallest_exact_dtype_is_taken(values, dtype):
    array = np.array(values).reshape(1, 1, 2)
    assert shrink_dtype(array).array.dtype == dtype
    np.testing.assert_array_equal(shrink_dtype(array).array, array)


def test_sform_wins_and_disagreement_is_flagged(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), AFFINE)
    image.set_sform(AFFINE, code=2)
    image.set_qform(np.diag([2.0, 2, 3, 1]), code=1)
    nibabel.save(image, tmp_path / "x.nii")
    read = read_nifti(tmp_path / "x.nii")
    np.testing.assert_allclose(read.affine, AFFINE, atol=1e-5)
    assert read.flags == ("sform-qform-differ",)


def test_qform_is_taken_where_the_sform_has_no_code(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    image.set_qform(np.diag([-2.0, 2, 3, 1]), code=1)
    image.set_sform(AFFINE, code=0)
    nibabel.save(image, tmp_path / "x.nii")
    read = read_nifti(tmp_path / "x.nii")
    np.testing.assert_allclose(read.affine, np.diag([-2.0, 2, 3, 1]), atol=1e-5)
    assert read.is_placed


def test_without_codes_only_the_spacing_counts(tmp_path):
    path = patch(write(tmp_path / "x.nii", np.zeros((4, 4, 4), np.int16)), 252, bytes(4))
    read = read_nifti(path)
    np.testing.assert_allclose(
        read.affine, np.diag([*np.linalg.norm(AFFINE[:3, :3], axis=0), 1]), rtol=1e-6
    )
    assert not read.is_placed
    assert read.flags == ("no-orientation",)


def test_metres_become_millimetres(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.diag([0.002, 0.002, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "x.nii")
    np.testing.assert_allclose(
        np.diag(read_nifti(tmp_path / "x.nii").affine), [2, 2, 3, 1], rtol=1e-6
    )


def test_scaling_is_applied_and_whole_numbers_stay_whole(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    plain = read_nifti(write(tmp_path / "a.nii", array)).array
    assert plain.dtype == np.int16
    image = nibabel.Nifti1Image(array, AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "b.nii")
    np.testing.assert_allclose(
        read_nifti(tmp_path / "b.nii").array, nibabel.load(tmp_path / "b.nii").get_fdata()
    )


def test_flat_and_trailing_dimensions_are_squeezed(tmp_path):
    assert read_nifti(write(tmp_path / "a.nii", np.zeros((4, 5), np.uint8))).array.shape == (
        4,
        5,
        1,
    )
    assert read_nifti(
        write(tmp_path / "b.nii", np.zeros((4, 5, 6, 1, 1), np.uint8))
    ).array.shape == (4, 5, 6)


def test_what_cannot_be_told_is_refused(tmp_path):
    array = np.zeros((4, 5, 6), np.int16)
    five = write(tmp_path / "a.nii", np.zeros((4, 5, 6, 2, 3), np.int16))
    assert reason_of(five) == "too-many-dimensions"
    assert reason_of(write(tmp_path / "b.nii", array.astype(np.complex64))) == "dtype-not-supported"
    path = write(tmp_path / "c.nii.gz", array)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert reason_of(path) == "truncated"
    path = write(tmp_path / "d.nii", array)
    path.write_bytes(path.read_bytes()[:-1])
    assert reason_of(path) == "truncated"
    path = patch(write(tmp_path / "e.nii", array), 312, np.zeros(4, "<f4").tobytes())  # srow_z
    assert reason_of(tmp_path / "e.nii") == "bad-affine"


def test_header_that_claims_a_huge_image_costs_no_memory(tmp_path):
    path = write(tmp_path / "x.nii", np.zeros((4, 5, 6), np.int16))
    patch(path, 40, np.array([3, 32767, 32767, 32767], "<i2").tobytes())
    assert reason_of(path) == "truncated"


def test_content_counts_not_the_name(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    path = write(tmp_path / "x.nii", array)
    (source / "packed.nii").write_bytes(gzip.compress(path.read_bytes()))
    (source / "plain.bin").write_bytes(path.read_bytes())
    rows = ingest(source, tmp_path / "out").manifest
    assert len(rows) == 2
    assert len({row["pixel_digest"] for row in rows}) == 1
    assert len({row["subject"] for row in rows}) == 2


def test_free_text_of_the_header_never_leaves(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), AFFINE)
    for name in ("descrip", "intent_name", "aux_file", "db_name"):
        image.header[name] = b"CANARY"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"CANARY-extension"))
    nibabel.save(image, source / "CANARY-name.nii.gz")
    result = ingest(source, tmp_path / "out")
    (path,) = result.layout.images.glob("*.nii.gz")
    assert b"CANARY" not in gzip.decompress(path.read_bytes())
    for path in result.layout.step("ingest").rglob("*"):
        assert "CANARY" not in path.name
        assert path.is_dir() or b"CANARY" not in path.read_bytes()


def test_every_image_and_sidecar_says_that_it_is_for_research_use(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    write(source / "a.nii.gz", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    result = ingest(source, tmp_path / "out")
    (path,) = result.layout.images.glob("*.nii.gz")
    assert nibabel.load(path).header["descrip"].item().decode() == RESEARCH_USE
    (path,) = result.layout.images.glob("*.json")
    assert json.loads(path.read_text())["IntendedUse"] == RESEARCH_USE


def test_nan_and_constant_images_are_flagged(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    array = np.zeros((4, 5, 6), np.float32)
    write(source / "constant.nii", array)
    array[1, 2, 3] = np.nan
    write(source / "nan.nii", array)
    flags = {row["flags"] for row in ingest(source, tmp_path / "out").manifest}
    assert flags == {"constant", "nan"}


def test_every_nifti_that_nibabel_ships_is_read_as_nibabel_reads_it_or_refused(tmp_path):
    found = {}
    for path in sorted(SHIPPED.glob("*.nii*")) + sorted(SHIPPED.glob("*.hdr")):
        try:
            read = read_nifti(path)
        except RefusalError as refusal:
            found[path.name] = refusal.reason
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = nibabel.load(path)
        found[path.name] = "converted"
        assert set(read.flags) <= FLAGS.keys()
        np.testing.assert_allclose(read.array.squeeze(), image.get_fdata().squeeze(), rtol=1e-6)
        if read.is_placed:
            np.testing.assert_allclose(read.affine, image.affine, atol=1e-4)
    assert found["anatomical.nii"] == found["standard.nii.gz"] == "converted"
    assert found["example4d.nii.gz"] == found["functional.nii"] == "converted"
    assert found["analyze.hdr"] == found["nifti1.hdr"] == found["nifti2.hdr"] == "pair-incomplete"
    assert len(found) >= 8
