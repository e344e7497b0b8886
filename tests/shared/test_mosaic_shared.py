"""Real mosaics: unfolded voxel by voxel as nibabel and dcm2niix do it."""

import nibabel
import numpy as np
import pydicom
import pytest
from mosaics import assert_equals_nibabel

from medvision.io.frames.read import read_frames

pytestmark = pytest.mark.shared

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def list_mosaics(shared_data):
    """The real mosaics with the reference of their series, and their number in it from 0."""
    root = shared_data / "dicom"
    found = []
    for path in sorted((root / "dcm_qa_ts" / "In").glob("*.dcm")):
        found.append((path, root / "dcm_qa_ts" / "Ref" / f"{path.stem}.nii", 0))
    for folder in sorted((root / "dcm_qa_nih" / "In" / "20180918Si").glob("mr_*/")):
        reference = next((root / "dcm_qa_nih" / "Ref").glob(f"EPI*_{int(folder.name[-4:])}.nii"))
        found += [(path, reference, k) for k, path in enumerate(sorted(folder.glob("*.dcm")))]
    return found


def test_there_are_seventeen_real_mosaics(shared_data):
    assert len(list_mosaics(shared_data)) == 17


def test_real_mosaics_equal_nibabels_reader_voxel_by_voxel(shared_data):
    for path, _, _ in list_mosaics(shared_data):
        assert_equals_nibabel(pydicom.dcmread(path, force=True))


def test_real_mosaics_equal_dcm2niix_in_world_coordinates(shared_data):
    for path, reference_path, number in list_mosaics(shared_data):
        dataset = pydicom.dcmread(path, force=True)
        facts = read_frames(dataset)
        reference = nibabel.load(reference_path)
        array = np.asarray(reference.dataobj)
        array = array[..., number] if array.ndim == 4 else array
        assert array.shape == (facts.columns, facts.rows, len(facts.frames))
        inverse = np.linalg.inv(reference.affine) @ LPS_TO_RAS
        r, c = np.indices((facts.rows, facts.columns)).reshape(2, -1)
        for frame in facts.frames:
            row, column = frame.tile
            pixels = dataset.pixel_array[row : row + facts.rows, column : column + facts.columns]
            along_row, along_column = np.array(frame.orientation).reshape(2, 3)
            world = np.array(frame.position_mm) + np.outer(c, along_row * frame.spacing_mm[1])
            world = world + np.outer(r, along_column * frame.spacing_mm[0])
            there = world @ inverse[:3, :3].T + inverse[:3, 3]
            np.testing.assert_allclose(there, np.rint(there), atol=0.01)
            i, j, k = np.rint(there).astype(int).T
            np.testing.assert_array_equal(array[i, j, k], pixels.ravel())
