"""Real images that nobody here wrote: converted as dcm2niix does it, or refused; never wrong."""

import shutil
from collections import Counter

import nibabel
import numpy as np
import pydicom
import pytest
from dicoms import write_radiograph
from ingesting import ingest

from medvision.errors import DataError
from medvision.io.tables import read_table

pytestmark = pytest.mark.shared


def list_reasons(source, out):
    """Ingest a folder and count the files of each reason."""
    try:
        ingest(source, out)
    except DataError as error:
        assert "at least one usable image" in str(error)  # noqa: PT017 - nothing usable is no crash
    rows = read_table(out / "ingest" / "sources.tsv")
    return Counter(row["reason"] or row["verdict"] for row in rows)


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


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("dcm_qa_nih", {"repeated-positions": 600, "mosaic-not-supported": 8}),
        ("dcm_qa_ts", {"mosaic-not-supported": 9}),
        ("dcm_qa_enh", {"repeated-positions": 5}),
    ],
)
def test_time_series_and_mosaics_are_refused_not_flattened(shared_data, tmp_path, folder, expected):
    found = list_reasons(shared_data / "dicom" / folder / "In", tmp_path)
    found.pop("not-an-image", None)
    assert found == expected


@pytest.mark.parametrize("number", [4, 5, 6, 7])
def test_one_volume_of_a_real_series_equals_dcm2niix(shared_data, tmp_path, number):
    root = shared_data / "dicom" / "dcm_qa_nih"
    reference = root / "Ref" / f"DCM2NIIX_regression_test_{number}.nii"
    files = sorted((root / "In" / "20180918GE" / f"mr_000{number}").glob("*"))
    first: dict[tuple[float, ...], tuple[int, str]] = {}
    for path in files:
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        except pydicom.errors.InvalidDicomError:
            continue
        position = tuple(map(float, dataset.ImagePositionPatient))
        entry = (int(dataset.InstanceNumber), str(path))
        first[position] = min(first.get(position, entry), entry)
    (tmp_path / "in").mkdir()
    for n, (_, path) in enumerate(first.values()):
        shutil.copy(path, tmp_path / "in" / str(n * 7919 % 97))
    image = nibabel.load(reference)
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert_same_world(result.load_only(), (image.get_fdata()[..., 0], image.affine))


@pytest.mark.parametrize(
    ("echo_ms", "name", "unit"),
    [
        (0.0, "Philips_WIP_B0_NS_801_e2_fieldmaphz.nii", 1.0),
        # dcm2niix undoes Philips' private scale as well: rescale slope times scale slope.
        (1.52, "Philips_WIP_B0_NS_801_e1.nii", 1.27985347985347 * 8.448640073766e-06),
    ],
)
def test_one_part_of_a_real_enhanced_object_equals_dcm2niix(
    shared_data, tmp_path, echo_ms, name, unit
):
    root = shared_data / "dicom" / "dcm_qa_enh"
    (path,) = [item for item in (root / "In" / "Philips").rglob("*") if item.is_file()]
    dataset = pydicom.dcmread(path)
    groups = dataset.PerFrameFunctionalGroupsSequence
    echoes = [float(group.MREchoSequence[0].EffectiveEchoTime) for group in groups]
    kept = [n for n, echo in enumerate(echoes) if echo == echo_ms]
    frames = dataset.pixel_array[kept]
    dataset.PerFrameFunctionalGroupsSequence = [groups[n] for n in kept]
    dataset.NumberOfFrames = len(kept)
    dataset.PixelData = frames.tobytes()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    (tmp_path / "in").mkdir()
    dataset.save_as(tmp_path / "in" / "x")
    result = ingest(tmp_path / "in", tmp_path / "out")
    image = nibabel.load(root / "Ref" / name)
    # The reference of the field map is off by up to 0.006 Hz: a fortieth of one stored unit.
    expected = (image.get_fdata() * unit, image.affine)
    assert_same_world(result.load_only(), expected, within=0.006)


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
