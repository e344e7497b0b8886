"""Stored bits become modality values as the standard means them."""

import numpy as np
import pytest
from dicoms import Plan, make_volume, write_radiograph, write_series
from pydicom.dataset import Dataset

from medvision.domain.study import Frame, Instance
from medvision.io.dicom.header import read_instance
from medvision.io.dicom.pixels import read_planes, rescale


def decode(path):
    instance = read_instance(path, file="f", relative_path=path.name)
    assert isinstance(instance, Instance)
    assert instance.fault is None, instance.fault
    return read_planes(path, instance)


def test_bits_beyond_the_stored_ones_are_cleared_and_flagged(tmp_path):
    plane = np.array([[0x0123, 0xF123], [0x8FFF, 0x0000]], dtype=np.uint16)
    path = write_radiograph(tmp_path, plane, BitsStored=12, HighBit=11)
    decoded = decode(path)
    np.testing.assert_array_equal(decoded.planes[0], [[0x123, 0x123], [0xFFF, 0]])
    assert decoded.flags == ("high-bits-cleared",)


def test_sign_of_twelve_bits_is_extended(tmp_path):
    plane = np.array([[0x0FFF, 0x0800], [0x07FF, 0x0001]], dtype=np.uint16)
    path = write_radiograph(tmp_path, plane, BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(decode(path).planes[0], [[-1, -2048], [2047, 1]])


def test_shifted_bits_are_refused(tmp_path):
    path = write_radiograph(tmp_path, np.zeros((2, 2), np.uint16), BitsStored=12, HighBit=15)
    instance = read_instance(path, file="f", relative_path="x")
    assert isinstance(instance, Instance)
    assert instance.fault is not None
    assert instance.fault[0] == "bit-layout-not-supported"


@pytest.mark.parametrize(
    ("slope", "intercept", "kind"), [(1.0, -1024.0, "i"), (2.0, 3.0, "i"), (0.5, 0.0, "f")]
)
def test_rescale_is_exact_where_it_can_be(slope, intercept, kind):
    stored = np.array([[-32768, 0, 32767]], dtype=np.int16)
    values = rescale(stored, Frame(0, slope=slope, intercept=intercept))
    assert values.dtype.kind == kind
    np.testing.assert_array_equal(values, stored.astype(float) * slope + intercept)


def test_modality_table_is_looked_up(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [4, 0, 16]
    table.ModalityLUTType = "US"
    table.LUTData = np.array([7, 5, 3, 1], dtype=np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    plane = np.array([[0, 1], [2, 3]], dtype=np.uint16)
    decoded = decode(write_radiograph(tmp_path, plane, ModalityLUTSequence=[table]))
    np.testing.assert_array_equal(decoded.planes[0], [[7, 5], [3, 1]])
    assert decoded.flags == ("modality-lut",)


def test_monochrome1_keeps_its_values(tmp_path):
    plane = np.array([[0, 9]], dtype=np.uint16)
    decoded = decode(write_radiograph(tmp_path, plane, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(decoded.planes[0], plane)
    assert decoded.flags == ("monochrome1",)


def test_floating_point_pixels_are_read(tmp_path):
    plane = np.array([[0.25, -9.5]], dtype=np.float32)

    def make_float(dataset, k):
        del dataset.PixelData, dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit
        del dataset.RescaleSlope, dataset.RescaleIntercept
        dataset.FloatPixelData = plane.tobytes()
        dataset.BitsAllocated = 32
        dataset.Rows, dataset.Columns = plane.shape

    (path,) = write_series(tmp_path, Plan(make_volume((8, 6, 1))), change=make_float)
    np.testing.assert_array_equal(decode(path).planes[0], plane)
