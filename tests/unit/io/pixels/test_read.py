"""Stored values become modality values as the standard means them."""

import jpeg_ls
import numpy as np
import pytest
from encoded import (
    JPEG_LS,
    build_image,
    decode,
    describe,
    make_ramp,
    read_grey,
    set_frames,
    to_bytes,
)
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from medvision.domain.study import Frame
from medvision.io.reasons import RefusalError


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [
        (1.0, 0.0, "int16"),
        (1.0, -1024.0, "int32"),
        (1.0, 32768.0, "uint16"),
        (2.0, 3.0, "int32"),
        (0.5, 0.0, "float32"),
        (1.0, 0.25, "float32"),
    ],
)
def test_rescale_is_exact_in_the_smallest_type(slope, intercept, dtype):
    stored = np.array([[-32768, 0, 32767]], np.int16)
    dataset = build_image(stored, RescaleSlope=slope, RescaleIntercept=intercept)
    (values,) = decode(dataset).planes
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, stored.astype(float) * slope + intercept)


def test_a_rescale_that_leaves_the_numbers_is_refused():
    dataset = build_image(np.array([[1, 2]], np.int16))
    frames = (Frame(0, slope=1e300),)
    with pytest.raises(RefusalError, match="finite"):
        decode(dataset, frames=frames)


def test_rescale_that_varies_by_frame_gives_float32_that_is_exact():
    planes = np.stack([make_ramp(), make_ramp(peak=99)])
    dataset = build_image(planes[0], NumberOfFrames=2)
    dataset.PixelData = planes.tobytes()
    frames = (Frame(0, slope=3.0, intercept=-7.0), Frame(1, slope=5.0))
    decoded = decode(dataset, frames=frames)
    assert {plane.dtype for plane in decoded.planes} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(decoded.planes[0], planes[0].astype(int) * 3 - 7)
    np.testing.assert_array_equal(decoded.planes[1], planes[1].astype(int) * 5)


def test_all_frames_of_a_file_have_one_type():
    planes = np.array([[[1, 2]], [[300, 2]], [[60000, 1]]], np.uint16)
    dataset = build_image(planes[0], NumberOfFrames=3)
    dataset.PixelData = planes.tobytes()
    decoded = decode(dataset)
    assert len({plane.dtype for plane in decoded.planes}) == 1
    np.testing.assert_array_equal(np.stack(decoded.planes), planes)


def build_table(table, first, bits, *, is_big=False):
    item = Dataset()
    item.LUTDescriptor = [len(table), first, bits]
    item.ModalityLUTType = "US"
    item.LUTData = np.array(table, ">u2" if is_big else "<u2").tobytes()
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item["LUTData"].VR = "OW"
    return item


@pytest.mark.parametrize("is_big", [False, True])
def test_modality_table_is_looked_up_and_held_at_its_ends(is_big):
    plane = np.array([[0, 1, 2], [3, 4, 900]], np.uint16)
    dataset = build_image(plane, ModalityLUTSequence=[build_table([70, 500, 30000, 1], 1, 16)])
    if is_big:
        table = build_table([70, 500, 30000, 1], 1, 16, is_big=True)
        dataset = build_image(plane.astype(">u2"), ModalityLUTSequence=[table])
        dataset.PixelData = plane.astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    decoded = decode(dataset)
    np.testing.assert_array_equal(decoded.planes[0], [[70, 70, 500], [30000, 1, 1]])
    assert decoded.flags == ("modality-lut",)


def test_modality_table_of_signed_pixels_begins_below_zero():
    plane = np.array([[-2, -1, 0]], np.int16)
    dataset = build_image(plane, ModalityLUTSequence=[build_table([9, 8, 7], -2, 16)])
    np.testing.assert_array_equal(decode(dataset).planes[0], [[9, 8, 7]])


def test_a_modality_table_shorter_than_it_states_is_refused():
    item = build_table([1, 2], 0, 16)
    item.LUTDescriptor = [200, 0, 16]
    with pytest.raises(RefusalError) as refusal:
        decode(build_image(make_ramp(), ModalityLUTSequence=[item]))
    assert refusal.value.reason == "undecodable"


def test_monochrome1_and_display_tables_leave_the_values_alone():
    plane = make_ramp()
    item = build_table([0, 255], 0, 8)
    del item.ModalityLUTType
    dataset = build_image(plane, PhotometricInterpretation="MONOCHROME1", VOILUTSequence=[item])
    decoded = decode(dataset)
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ("monochrome1", "voi-lut")


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_mosaic_is_cut_into_its_tiles(is_compressed):
    mosaic = make_ramp(12, 20)
    dataset = build_image(mosaic, BitsStored=12, HighBit=11, RescaleIntercept=-5)
    instance = describe(
        dataset,
        rows=6,
        columns=5,
        frames=tuple(
            Frame(k, intercept=-5.0, tile=tile) for k, tile in enumerate([(0, 0), (0, 15), (6, 5)])
        ),
    )
    if is_compressed:
        set_frames(dataset, [bytes(jpeg_ls.encode_array(mosaic))], JPEG_LS)
    decoded = read_grey(to_bytes(dataset), instance)
    values = mosaic.astype(int) - 5
    for got, (row, column) in zip(decoded.planes, [(0, 0), (0, 15), (6, 5)], strict=True):
        np.testing.assert_array_equal(got, values[row : row + 6, column : column + 5])


def test_a_tile_beyond_the_mosaic_is_refused():
    dataset = build_image(make_ramp(12, 20))
    with pytest.raises(RefusalError, match="within"):
        decode(dataset, rows=6, columns=5, frames=(Frame(0, tile=(8, 0)),))


def test_a_file_that_is_no_longer_its_instances_is_refused():
    dataset = build_image(make_ramp(12, 20))
    for values in ({"rows": 13}, {"frames": (Frame(0), Frame(1))}):
        with pytest.raises(RefusalError):
            decode(dataset, **values)


def test_a_path_gives_what_its_bytes_give(tmp_path):
    dataset = build_image(make_ramp())
    path = tmp_path / "image"
    path.write_bytes(to_bytes(dataset))
    np.testing.assert_array_equal(
        read_grey(path, describe(dataset)).planes[0], decode(dataset).planes[0]
    )


@pytest.mark.parametrize("missing", [1, 100, 5000])
def test_pixels_that_are_cut_short_are_refused(missing):
    dataset = build_image(make_ramp())
    with pytest.raises(RefusalError) as refusal:
        read_grey(to_bytes(dataset)[:-missing], describe(dataset))
    assert refusal.value.reason in ("truncated", "no-pixel-data")


def test_no_refusal_quotes_the_header():
    dataset = build_image(make_ramp(), PhotometricInterpretation="DOE^JANE", PatientName="DOE^JANE")
    with pytest.raises(RefusalError) as refusal:
        decode(dataset)
    assert "DOE" not in str(refusal.value)
