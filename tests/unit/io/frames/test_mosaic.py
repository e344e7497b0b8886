"""Mosaics: each tile's pixels lie where nibabel's reader puts them, or the file is refused."""

import gzip
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicoms import make_volume
from hypothesis import given, settings
from hypothesis import strategies as st
from mosaics import (
    MosaicPlan,
    assert_equals_nibabel,
    build_mosaic,
    build_uih_grid,
    write_protocol,
)

from medvision.io.frames.mosaic import is_mosaic
from medvision.io.frames.read import read_frames
from medvision.io.reasons import RefusalError

OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
PROTOCOL_ONLY = {"SliceNormalVector": ()}


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("n_slices", [1, 2, 4, 5, 9, 10, 17])
@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), OBLIQUE])
def test_tiles_lie_where_they_were_built_and_where_nibabel_puts_them(sign, n_slices, orientation):
    plan = MosaicPlan(make_volume((4, 6, n_slices)), orientation=orientation, sign=sign)
    dataset = build_mosaic(plan)
    facts = read_frames(dataset)
    assert (facts.rows, facts.columns, len(facts.frames)) == (6, 4, n_slices)
    for k, frame in enumerate(facts.frames):
        np.testing.assert_allclose(frame.position_mm, plan.place(0, 0, k), atol=1e-6)
        row, column = frame.tile
        pixels = dataset.pixel_array[row : row + 6, column : column + 4]
        np.testing.assert_array_equal(pixels, plan.volume[:, :, k].T)
    assert_equals_nibabel(dataset)


@settings(max_examples=30, deadline=None)
@given(
    n_slices=st.integers(1, 30),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    spacing_mm=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5), st.floats(0.5, 20)),
    sign=st.sampled_from([1.0, -1.0]),
    angle=st.floats(-3, 3),
)
def test_any_mosaic_equals_nibabel(n_slices, size, spacing_mm, sign, angle):
    orientation = (np.cos(angle), np.sin(angle), 0.0, 0.0, 0.0, -1.0)
    plan = MosaicPlan(
        make_volume((*size, n_slices)),
        orientation=orientation,
        spacing=(round(spacing_mm[0], 4), round(spacing_mm[1], 4)),
        step=round(spacing_mm[2], 4),
        sign=sign,
    )
    assert_equals_nibabel(build_mosaic(plan))


@pytest.mark.parametrize(
    "name", ["csa_slice_norm.dcm", "siemens_dwi_0.dcm.gz", "siemens_dwi_1000.dcm.gz"]
)
def test_real_mosaics_of_nibabels_own_tests_equal_nibabel(name):
    path = Path(nibabel.__file__).parent / "nicom" / "tests" / "data" / name
    if not path.is_file():
        pytest.skip("nibabel was installed without its test files")
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    assert_equals_nibabel(pydicom.dcmread(BytesIO(content)))


def test_the_older_csa_header_serves_as_well():
    plan = MosaicPlan(make_volume((4, 3, 5)), sign=-1.0, kind=1)
    facts = read_frames(build_mosaic(plan))
    np.testing.assert_allclose(facts.frames[4].position_mm, plan.place(0, 0, 4), atol=1e-6)


def test_slices_without_stated_spacing_are_a_thickness_apart():
    plan = MosaicPlan(make_volume((4, 3, 5)))
    dataset = build_mosaic(plan)
    del dataset.SpacingBetweenSlices
    assert_equals_nibabel(dataset)
    first, second = (frame.position_mm for frame in read_frames(dataset).frames[:2])
    assert second[2] - first[2] == pytest.approx(plan.step / 2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_without_a_normal_the_protocol_gives_the_order(sign):
    plan = MosaicPlan(make_volume((4, 3, 5)), sign=sign, csa=PROTOCOL_ONLY)
    plan.protocol = write_protocol(plan)
    facts = read_frames(build_mosaic(plan))
    for k, frame in enumerate(facts.frames):
        np.testing.assert_allclose(frame.position_mm, plan.place(0, 0, k), atol=1e-6)


def test_a_count_outside_the_csa_header_serves_with_the_protocol_in_its_own_element():
    plan = MosaicPlan(make_volume((4, 3, 5)), sign=-1.0)
    dataset = build_mosaic(plan)
    del dataset[0x0029_1010]
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 5)
    with pytest.raises(RefusalError, match="SliceNormalVector"):
        read_frames(dataset)
    block = dataset.private_block(0x0021, "SIEMENS MR SDS 01", create=True)
    block.add_new(0x19, "OB", write_protocol(plan).encode())
    facts = read_frames(dataset)
    np.testing.assert_allclose(facts.frames[4].position_mm, plan.place(0, 0, 4), atol=1e-6)


@pytest.mark.parametrize("n_slices", [2, 5, 7, 12])
def test_a_grid_of_uih_has_its_own_positions_and_no_empty_row_of_tiles(n_slices):
    plan = MosaicPlan(make_volume((4, 6, n_slices)), orientation=OBLIQUE, sign=-1.0)
    dataset = build_uih_grid(plan)
    facts = read_frames(dataset)
    assert (facts.rows, facts.columns, len(facts.frames)) == (6, 4, n_slices)
    for k, frame in enumerate(facts.frames):
        np.testing.assert_allclose(frame.position_mm, plan.place(0, 0, k), atol=1e-6)
        row, column = frame.tile
        pixels = dataset.pixel_array[row : row + 6, column : column + 4]
        np.testing.assert_array_equal(pixels, plan.volume[:, :, k].T)


def drop_csa(dataset):
    del dataset[0x0029_1010]


def cut_csa(dataset):
    element = dataset[0x0029_1010]
    element.value = element.value[:90]


def contradict_count(dataset):
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 6)


def crop(dataset):
    dataset.Rows -= 1


def drop_position(dataset):
    del dataset.ImagePositionPatient


def drop_orientation(dataset):
    del dataset.ImageOrientationPatient


def drop_distances(dataset):
    del dataset.SpacingBetweenSlices, dataset.SliceThickness


def skew(dataset):
    dataset.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    "spoil",
    [
        drop_csa,
        cut_csa,
        contradict_count,
        crop,
        drop_position,
        drop_orientation,
        drop_distances,
        skew,
    ],
)
def test_what_cannot_be_told_is_refused(spoil):
    dataset = build_mosaic(MosaicPlan(make_volume((4, 3, 5))))
    spoil(dataset)
    with pytest.raises(RefusalError) as refusal:
        read_frames(dataset)
    assert refusal.value.reason == "mosaic-without-header"


@pytest.mark.parametrize(
    "csa",
    [
        {"NumberOfImagesInMosaic": ("0",)},
        {"NumberOfImagesInMosaic": ("100000",)},
        {"NumberOfImagesInMosaic": ("2.5",)},
        {"NumberOfImagesInMosaic": ("many",)},
        {"SliceNormalVector": ("1", "0", "0")},
        {"SliceNormalVector": ("0", "0", "0")},
        {"SliceNormalVector": ("0", "1")},
        {"SliceNormalVector": ("nan", "0", "1")},
    ],
)
def test_a_header_that_contradicts_itself_is_refused(csa):
    dataset = build_mosaic(MosaicPlan(make_volume((4, 3, 5)), csa=csa))
    with pytest.raises(RefusalError) as refusal:
        read_frames(dataset)
    assert refusal.value.reason == "mosaic-without-header"


def test_a_grid_of_uih_with_fewer_positions_than_slices_is_refused():
    dataset = build_uih_grid(MosaicPlan(make_volume((4, 3, 5))))
    dataset[0x0065_1051].value = list(dataset[0x0065_1051].value)[:4]
    with pytest.raises(RefusalError, match="must be 5, got 4"):
        read_frames(dataset)


def test_a_counted_mosaic_whose_image_type_says_otherwise_is_refused():
    dataset = build_mosaic(MosaicPlan(make_volume((4, 3, 5))))
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 5)
    dataset.ImageType = ["DERIVED", "SECONDARY", "MPR"]
    with pytest.raises(RefusalError, match="ImageType"):
        read_frames(dataset)
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    assert len(read_frames(dataset).frames) == 5


def test_a_plain_slice_and_an_unfolded_object_that_kept_the_word_are_no_mosaics():
    from dicoms import Plan, build_enhanced, build_slice

    plan = Plan(make_volume())
    assert not is_mosaic(build_slice(plan, 0))
    enhanced = build_enhanced(plan, order=list(range(5)))
    enhanced.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    assert not is_mosaic(enhanced)
    assert len(read_frames(enhanced).frames) == 5
