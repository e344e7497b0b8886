"""Each planted fault lies in the archive as truth.json says, beside an intact base cohort."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import phantoms
import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from medvision.phantom.faults import FAULTS


@cache
def _read_truth() -> dict:
    return json.loads((phantoms.small_cohort().destination / "truth.json").read_text())


def _get_fault(kind: str) -> dict:
    (fault,) = [fault for fault in _read_truth()["faults"] if fault["kind"] == kind]
    return fault


def _list_paths(names: list[str]) -> list[Path]:
    return [phantoms.small_cohort().destination / "archive" / name for name in names]


def _read_slices(names: list[str]) -> list[pydicom.Dataset]:
    """Read the slices of a series in the order of their places along the normal."""
    slices = [pydicom.dcmread(path) for path in _list_paths(names)]
    return sorted(slices, key=_measure_position)


def _measure_position(dataset: pydicom.Dataset) -> float:
    direction = np.array(dataset.ImageOrientationPatient, float)
    normal = np.cross(direction[:3], direction[3:])
    return float(normal @ np.array(dataset.ImagePositionPatient, float))


def _find_scan(subject: str) -> dict:
    return next(scan for scan in _read_truth()["scans"] if scan["subject"] == subject)


def test_every_kind_is_planted_once_with_a_known_verdict() -> None:
    faults = _read_truth()["faults"]
    assert [fault["kind"] for fault in faults] == list(FAULTS)
    assert {fault["verdict"] for fault in faults} == {
        "converted",
        "duplicate",
        "refused",
        "non-image",
    }
    assert all(path.is_file() for fault in faults for path in _list_paths(fault["files"]))


def test_scans_and_faults_account_for_every_file() -> None:
    truth = _read_truth()
    named = [name for scan in truth["scans"] for name in scan["files"]]
    planted = {name for fault in truth["faults"] for name in fault["files"]}
    files = {path.name for path in (phantoms.small_cohort().destination / "archive").iterdir()}
    assert len(named) == len(set(named))
    assert set(named) | planted == files


@pytest.mark.parametrize("name", ["series_uid", "files"])
def test_a_clean_cohort_holds_the_same_base_scans(name: str) -> None:
    clean = {str(scan[name]) for scan in phantoms.small_cohort(faults=False).scans}
    assert len(clean) == 12
    assert clean < {str(scan[name]) for scan in phantoms.small_cohort().scans}


def test_only_the_series_with_a_gap_has_uneven_steps() -> None:
    steps = [
        np.diff([_measure_position(s) for s in _read_slices(scan["files"])])
        for scan in _read_truth()["scans"]
        if scan["source"] == "dicom"
    ]
    assert all(np.allclose(step, step[0], rtol=1e-6) for step in steps)
    step = np.diff(
        [_measure_position(s) for s in _read_slices(_get_fault("missing-slice")["files"])]
    )
    assert sorted(np.rint(step / step.min())) == [1.0] * (len(step) - 1) + [2.0]
    assert step[0] == pytest.approx(step[-1])


def test_duplicates_equal_an_instance_of_their_subject_pixel_for_pixel() -> None:
    fault = _get_fault("duplicate-instances")
    originals = {s.SOPInstanceUID: s for s in _read_slices(_find_scan(fault["subject"])["files"])}
    copies = _read_slices(fault["files"])
    assert len(copies) == 2
    for copy in copies:
        original = originals[copy.SOPInstanceUID]
        np.testing.assert_array_equal(copy.pixel_array, original.pixel_array)
        assert copy.ImagePositionPatient == original.ImagePositionPatient


def test_no_other_instances_share_a_uid() -> None:
    planted = set(_get_fault("duplicate-instances")["files"])
    uids = []
    for path in (phantoms.small_cohort().destination / "archive").iterdir():
        if path.name in planted or path.name.endswith(".nii.gz"):
            continue
        try:
            uids.append(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        except InvalidDicomError:
            continue
    assert len(uids) == len(set(uids))


def test_localizer_says_so_and_has_a_series_of_its_own() -> None:
    fault = _get_fault("localizer")
    (image,) = _read_slices(fault["files"])
    scan = _find_scan(fault["subject"])
    assert "LOCALIZER" in image.ImageType
    assert image.StudyInstanceUID == scan["study_uid"]
    assert image.SeriesInstanceUID != scan["series_uid"]
    assert image.pixel_array.shape == (image.Rows, image.Columns)


def test_truncated_file_lacks_half_of_its_pixels() -> None:
    (path,) = _list_paths(_get_fault("truncated-file")["files"])
    header = pydicom.dcmread(path, stop_before_pixels=True)
    needed = header.Rows * header.Columns * 2
    assert needed / 2 < path.stat().st_size < needed / 2 + 4096
    with pytest.raises((ValueError, AttributeError, EOFError)):
        _ = pydicom.dcmread(path).pixel_array


def test_non_image_object_is_a_structured_report_without_pixels() -> None:
    (path,) = _list_paths(_get_fault("non-image-object")["files"])
    report = pydicom.dcmread(path)
    assert report.SOPClassUID.name == "Basic Text SR Storage"
    assert "PixelData" not in report


def test_text_file_is_no_dicom() -> None:
    (path,) = _list_paths(_get_fault("text-file")["files"])
    assert path.read_text().isascii()
    with pytest.raises(InvalidDicomError):
        pydicom.dcmread(path)


def test_same_image_lies_under_two_subjects_without_a_uid_in_common() -> None:
    fault = _get_fault("same-image-two-subjects")
    pairs = [_read_slices(_find_scan(fault[key])["files"]) for key in ("subject", "related")]
    for one, other in zip(*pairs, strict=True):
        np.testing.assert_array_equal(one.pixel_array, other.pixel_array)
        assert one.PatientID != other.PatientID
        for uid in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            assert one[uid].value != other[uid].value
    rows = {row["subject"]: row for row in phantoms.small_cohort().rows}
    assert rows[fault["subject"]]["label"] == rows[fault["related"]]["label"]


def test_no_other_two_scans_are_equal() -> None:
    fault = _get_fault("same-image-two-subjects")
    pixels = {
        scan["series_uid"]: _read_slices(scan["files"])[5].pixel_array.tobytes()
        for scan in _read_truth()["scans"]
        if scan["source"] == "dicom" and scan["subject"] != fault["subject"]
    }
    assert len(set(pixels.values())) == len(pixels)


def test_subject_with_two_studies_names_its_images_in_the_labels() -> None:
    fault = _get_fault("two-studies")
    scans = [scan for scan in _read_truth()["scans"] if scan["subject"] == fault["subject"]]
    assert len({scan["study_uid"] for scan in scans}) == 2
    rows = phantoms.small_cohort().rows
    named = {row["image"] for row in rows if row["subject"] == fault["subject"]}
    assert named == {scan["series_uid"] for scan in scans}
    assert all(not row["image"] for row in rows if row["subject"] != fault["subject"])


def test_series_with_a_gap_has_a_label_but_is_no_scan() -> None:
    subject = _get_fault("missing-slice")["subject"]
    assert subject in {row["subject"] for row in phantoms.small_cohort().rows}
    assert subject not in {scan["subject"] for scan in _read_truth()["scans"]}
