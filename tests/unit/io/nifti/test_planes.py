"""Planes as they are unpacked hold what the whole file holds."""

import nibabel as nib
import numpy as np
import pytest

from medvision.io.nifti.planes import open_planes
from medvision.io.nifti.read import read_nifti
from medvision.io.reasons import RefusalError


def write(path, dtype=np.int16, *, slope=None, intercept=None, shape=(5, 7, 4)):
    grid = np.random.default_rng(0).integers(-90, 90, size=shape).astype(dtype)
    image = nib.Nifti1Image(grid, np.diag([1.0, -2.0, 3.0, 1.0]))
    image.header.set_slope_inter(slope, intercept)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", [np.int16, np.int8, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("scaling", [(None, None), (2.0, -1000.0), (0.37, 12.5)])
def test_planes_are_the_volume(tmp_path, name, dtype, scaling):
    path = write(tmp_path / name, dtype, slope=scaling[0], intercept=scaling[1])
    whole = read_nifti(path)
    planes = open_planes(path)
    assert planes.shape == whole.shape
    np.testing.assert_array_equal(planes.affine, whole.affine)
    grid = np.stack([plane[0].T for plane in planes.read()], axis=-1)
    np.testing.assert_array_equal(grid.astype(np.float32), whole.as_grid())


@pytest.mark.parametrize(("dtype", "shape"), [(np.float64, (3, 3, 3)), (np.int16, (3, 3, 3, 2))])
def test_what_needs_the_whole_file_is_not_streamed(tmp_path, dtype, shape):
    assert open_planes(write(tmp_path / "a.nii.gz", dtype, shape=shape)) is None


def test_a_single_slice_is_one_plane(tmp_path):
    planes = open_planes(write(tmp_path / "a.nii.gz", shape=(5, 7)))
    assert [plane.shape for plane in planes.read()] == [(1, 7, 5)]


def test_a_broken_end_is_seen(tmp_path):
    path = write(tmp_path / "a.nii.gz", shape=(50, 50, 50))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(RefusalError):
        list(open_planes(path).read())
