"""Real images that nobody here wrote: converted as dcm2niix does it, or refused; never wrong."""

from collections import Counter

import nibabel
import numpy as np
import pytest
from dicoms import write_radiograph
from ingesting import ingest

pytestmark = pytest.mark.shared


def assert_same_world(found, expected, *, within=1e-3):
    """Hold two images, (array, affine) each, to equal values at equal places in mm."""
    array, affine = found
    reference, reference_affine = expected
    assert sorted(array.shape) == sorted(reference.shape)
    index = np.stack(np.indices(array.shape), axis=-1).reshape(-1, 3)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    inverse = np.linalg.inv(reference_affine)
    there = world @ inverse[:3, :3].T + inverse[:3, 3]
    # Within a hundredth of a voxel: references are float32.
    np.testing.assert_allclose(there, np.rint(there), atol=0.01)
    i, j, k = np.rint(there).astype(int).T
    np.testing.assert_allclose(reference[i, j, k], array.ravel(), rtol=1e-5, atol=within)


FOLDERS = {
    "dcm_qa_nih": {"converted": 608},
    # One image in seven transfer syntaxes under one SeriesInstanceUID.
    "dcm_qa_ts": {"converted": 1, "duplicate": 8},
    "dcm_qa_enh": {"converted": 5},
}


@pytest.fixture(scope="module")
def converted(shared_data, tmp_path_factory):
    """Every folder of real DICOM, all volumes kept."""
    return {
        name: ingest(
            shared_data / "dicom" / name / "In", tmp_path_factory.mktemp(name), volume="4d"
        )
        for name in FOLDERS
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_of_real_series_is_used(converted, folder):
    verdicts = dict(converted[folder].summary.verdicts)
    verdicts.pop("non-image", None)
    assert verdicts == FOLDERS[folder]


def list_references(shared_data, folder):
    """References whose input is there."""
    return sorted((shared_data / "dicom" / folder / "Ref").glob("*.nii"))


@pytest.mark.parametrize("folder", ["dcm_qa_nih", "dcm_qa_ts", "dcm_qa_enh"])
def test_time_series_mosaics_and_enhanced_objects_equal_dcm2niix(shared_data, converted, folder):
    result = converted[folder]
    ours = [result.load(row) for row in result.manifest]
    references = list_references(shared_data, folder)
    assert references
    for path in references:
        image = nibabel.load(path)
        scale = PHILIPS_SCALES.get(path.name, 1.0)
        expected = (image.get_fdata() * scale, image.affine)
        assert any(is_same_world(found, expected) for found in ours), path.name


PHILIPS_SCALES = {
    # dcm2niix undoes Philips' private scale as well: rescale slope times scale slope.
    "Philips_WIP_B0_NS_801_e1.nii": 1.27985347985347 * 8.448640073766e-06,
}


def is_same_world(found, expected):
    """Say whether two images, volume by volume, hold equal values at equal places."""
    (array, affine), (reference, reference_affine) = found, expected
    if sorted(array.shape[:3]) != sorted(reference.shape[:3]) or array.ndim != reference.ndim:
        return False
    volumes = array.reshape(*array.shape[:3], -1), reference.reshape(*reference.shape[:3], -1)
    try:
        for one, other in zip(*(np.moveaxis(item, -1, 0) for item in volumes), strict=True):
            # The reference of the field map is off by up to 0.006 Hz: a fortieth of a stored unit.
            assert_same_world((one, affine), (other, reference_affine), within=0.006)
    except (AssertionError, IndexError):
        return False
    return True


def test_open_ms_is_converted_voxel_by_voxel(shared_data, tmp_path):
    source = shared_data / "open_ms"
    result = ingest(source, tmp_path, workers=2)
    assert len(result.manifest) == 12
    assert result.summary.n_subjects == 6
    digests = set()
    for row in result.manifest:
        array, affine = result.load(row)
        digests.add((array.shape, float(array.sum()), tuple(np.round(affine.ravel(), 3))))
    expected = set()
    for path in source.rglob("*.nii.gz"):
        image = nibabel.load(path)
        array = image.get_fdata()
        key = (array.shape, float(array.sum()), tuple(np.round(image.affine.ravel(), 3)))
        expected.add(key)
    assert digests == expected


def test_equal_radiographs_of_pneumoniamnist_have_equal_digests(shared_data, tmp_path):
    data = np.load(shared_data / "pneumoniamnist" / "pneumoniamnist.npz")
    train = {image.tobytes(): n for n, image in enumerate(data["train_images"])}
    twins = [
        (n, train[i.tobytes()]) for n, i in enumerate(data["val_images"]) if i.tobytes() in train
    ]
    assert len(twins) == 8
    for n, m in twins:
        write_radiograph(tmp_path / "in", data["val_images"][n], uid=f"1.2.1.{n}")
        write_radiograph(tmp_path / "in", data["train_images"][m], uid=f"1.2.2.{m}")
    rows = ingest(tmp_path / "in", tmp_path / "out").manifest
    assert len(rows) == 16
    assert sorted(Counter(row["pixel_digest"] for row in rows).values()) == [2] * 8
