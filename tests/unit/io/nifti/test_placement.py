"""Where a NIfTI image lies: sform, qform, codes, flat images; against nibabel and by hand."""

import io

import nibabel
import numpy as np
import pytest
from geometry_strategies import affines
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.io.nifti.read import read_nifti
from medvision.io.reasons import RefusalError

ARRAY = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def build(array=ARRAY, *, sform=None, qform=None, **fields):
    """Return a file's bytes with the forms given, code 1 each, and fields set as they are."""
    image = nibabel.Nifti1Image(array, np.eye(4))
    image.set_sform(sform, code=1 if sform is not None else 0)
    image.set_qform(qform, code=1 if qform is not None else 0)
    raw = image.to_bytes()
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(raw), check=False)
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + raw[348:]


def reason_of(content):
    with pytest.raises(RefusalError) as caught:
        read_nifti(content)
    return caught.value.reason


@settings(max_examples=30, deadline=None)
@given(affines(), st.sampled_from([-1.0, 0.0, 1.0]))
def test_a_quaternion_means_what_nibabel_takes_it_for(affine, qfac):
    content = build(qform=affine)
    raw = bytearray(content)
    if qfac != 1.0:
        raw[76:80] = np.float32(qfac).tobytes()
    read = read_nifti(bytes(raw))
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(bytes(raw)), check=False)
    if header["pixdim"][0] == 0:
        header["pixdim"][0] = 1
    np.testing.assert_allclose(read.affine, header.get_qform(), rtol=1e-4, atol=1e-4)
    assert read.is_placed


def test_an_unusable_qform_does_not_spoil_the_sform_and_is_flagged():
    sform = np.diag([2.0, 2, 3, 1])
    content = build(sform=sform, qform=sform, quatern_b=3.0)
    read = read_nifti(content)
    np.testing.assert_array_equal(read.affine, sform)
    assert read.flags == ("sform-qform-differ",)
    assert reason_of(build(qform=sform, quatern_b=3.0)) == "bad-affine"
    assert reason_of(build(qform=sform, quatern_b=np.nan)) == "bad-affine"


def test_negative_codes_state_nothing():
    form = np.diag([2.0, 2, 3, 1])
    read = read_nifti(build(sform=form, qform=form, sform_code=-1, qform_code=-1))
    assert not read.is_placed
    assert read.flags == ("no-orientation",)


@pytest.mark.parametrize("thickness", [0.0, 4.0])
def test_a_flat_image_without_a_third_axis_gets_its_normal(thickness):
    sform = np.array([[0.0, 0, 0, 5], [2, 0, 0, 6], [0, 3, 0, 7], [0, 0, 0, 1]])
    content = build(ARRAY[:, :, 0], pixdim=[1, 2, 3, thickness, 0, 0, 0, 0])
    raw = bytearray(content)
    raw[254:256] = np.int16(1).tobytes()
    raw[280:328] = sform[:3].astype("<f4").tobytes()
    read = read_nifti(bytes(raw))
    np.testing.assert_allclose(read.affine[:3, 2], [thickness or 1, 0, 0])
    np.testing.assert_array_equal(read.affine[:, [0, 1, 3]], sform[:, [0, 1, 3]])
    assert read.flags == (() if thickness else ("thickness-assumed",))


def test_a_flat_image_without_thickness_keeps_its_spacing():
    read = read_nifti(build(ARRAY[:, :, 0], pixdim=[1, 2, 3, 0, 0, 0, 0, 0]))
    np.testing.assert_array_equal(read.affine, np.diag([2.0, 3, 1, 1]))
    assert read.flags == ("no-orientation", "thickness-assumed")


@pytest.mark.parametrize("zoom", [0.0, np.nan, np.inf])
def test_a_spacing_that_is_none_is_flagged(zoom):
    read = read_nifti(build(pixdim=[1, zoom, 2, 3, 0, 0, 0, 0]))
    np.testing.assert_array_equal(read.affine, np.eye(4))
    assert read.flags == ("no-orientation", "no-spacing")
