"""The bounded scan against pydicom on every DICOM file that the tests can reach."""

from collections import Counter
from pathlib import Path

import pydicom.data
import pytest
from dicom_bytes import compare, is_trusted
from dicoms import CR, MR, Plan, build_slice, make_volume, write_radiograph, write_series
from phantoms import small_cohort
from pydicom.uid import ImplicitVRLittleEndian

SHIPPED = Path(pydicom.data.data_manager.DATA_ROOT)


def compare_all(root: Path) -> Counter[str]:
    """Compare every file below a folder, whatever it is; count the trusted."""
    counts: Counter[str] = Counter()
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix != ".py":
            content = path.read_bytes()
            is_scanned = compare(content)
            counts["trusted" if is_scanned else "distrusted"] += 1
    return counts


def test_every_shipped_file_is_told_as_pydicom_tells_it_or_not_at_all():
    assert compare_all(SHIPPED / "test_files")["trusted"] >= 40
    assert compare_all(SHIPPED / "charset_files")["trusted"] >= 12


def test_every_file_of_the_phantom_is_told_as_pydicom_tells_it_or_not_at_all():
    counts = compare_all(small_cohort().destination)
    assert counts["trusted"] > counts["distrusted"]


def test_files_of_the_tests_own_builders_are_trusted(tmp_path):
    volume = make_volume()
    write_series(tmp_path / "ct", Plan(volume))
    write_series(
        tmp_path / "mr", Plan(volume, sop_class=MR, modality="MR", extra={"EchoTime": 4.6})
    )
    write_radiograph(tmp_path / "cr", volume[:, :, 0], sop_class=CR, PatientAge="045Y")
    assert compare_all(tmp_path) == {"trusted": 11}
    dataset = build_slice(Plan(volume), 0)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(tmp_path / "implicit", enforce_file_format=True)
    assert is_trusted((tmp_path / "implicit").read_bytes())


@pytest.mark.shared
def test_every_file_of_the_shared_folder_is_told_as_pydicom_tells_it(shared_data):
    counts = compare_all(shared_data / "dicom")
    assert counts["trusted"] >= 600
