"""Nodules: where the masks say, a few slices long, and like a vessel in any one of them."""

import json
from functools import cache

import nibabel
import numpy as np
import phantoms
import pydicom
import pytest

from medvision.domain.geometry import LPS_TO_RAS, transform_points
from medvision.phantom.scan import Scan, draw_scan
from medvision.phantom.subject import Subject, draw_chest, draw_subjects

SIZE = (64, 64, 24)


@cache
def _draw_people() -> tuple[Subject, ...]:
    return draw_subjects(3, subjects=24, prevalence=0.5, nifti_fraction=0.0)


@cache
def _draw_positive_scans() -> tuple[Scan, ...]:
    positive = [subject for subject in _draw_people() if subject.label == "nodule"]
    return tuple(draw_scan(3, subject, visit=0, size=SIZE) for subject in positive)


def _read_dicom_affine(slices: list[pydicom.Dataset]) -> np.ndarray:
    """Build the affine from the headers alone (PS3.3 C.7.6.2.1.1), independent of the writer."""
    first, last = slices[0], slices[-1]
    between_rows, between_columns = (float(value) for value in first.PixelSpacing)
    direction = np.array(first.ImageOrientationPatient, float)
    start, end = (np.array(s.ImagePositionPatient, float) for s in (first, last))
    affine = np.eye(4)
    affine[:3, 0] = direction[:3] * between_columns
    affine[:3, 1] = direction[3:] * between_rows
    affine[:3, 2] = (end - start) / (len(slices) - 1)
    affine[:3, 3] = start
    return LPS_TO_RAS @ affine


def _read_series(scan: dict) -> tuple[np.ndarray, np.ndarray]:
    """Read a series as (HU (I, J, K), affine) with nothing but pydicom."""
    folder = phantoms.small_cohort().destination / "archive"
    slices = [pydicom.dcmread(folder / name) for name in scan["files"]]
    slices.sort(
        key=lambda s: np.dot(
            np.cross(s.ImageOrientationPatient[:3], s.ImageOrientationPatient[3:]),
            np.array(s.ImagePositionPatient, float),
        )
    )
    hu = [s.pixel_array.T * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices]
    return np.stack(hu, axis=2), _read_dicom_affine(slices)


def _list_positive() -> list[tuple[dict, str]]:
    truth = json.loads((phantoms.small_cohort().destination / "truth.json").read_text())
    masks = {(r["subject"], r["image"]): r["mask"] for r in phantoms.small_cohort().rows}
    return [
        (s, masks.get((s["subject"], ""), "") or masks[s["subject"], s["series_uid"]])
        for s in truth["scans"]
        if s["nodules"] and s["source"] == "dicom"
    ]


def test_masks_lie_on_the_nodules_of_the_decoded_files() -> None:
    positive = _list_positive()
    assert len({scan["scanner"] for scan, _ in positive}) >= 3
    for scan, mask_path in positive:
        hu, affine = _read_series(scan)
        mask = nibabel.load(phantoms.small_cohort().destination / mask_path)
        inside = np.asarray(mask.dataobj) > 0
        np.testing.assert_allclose(mask.affine, affine, atol=1e-3)
        lung = hu[hu < -500].mean()
        assert hu[inside].mean() > lung + 400
        # A mask put elsewhere, as by a flipped axis, covers lung or body, not the nodule.
        assert np.median(hu[inside]) > np.median(hu[inside[::-1]]) - 300


def test_truth_gives_the_place_of_each_nodule_in_patient_millimetres() -> None:
    for scan, _ in _list_positive():
        hu, affine = _read_series(scan)
        centres = np.array([nodule["centre_mm"] for nodule in scan["nodules"]])
        voxels = np.rint(transform_points(np.linalg.inv(affine), centres)).astype(int)
        assert all(hu[tuple(voxel)] > -500 for voxel in voxels)


@pytest.mark.parametrize("shift", [(0, 0, 4), (6, 0, 0), (0, -6, 0)])
def test_a_shifted_mask_is_darker(shift: tuple[int, int, int]) -> None:
    """The tests above can fail: masks a few voxels off cover much of the lung."""
    right, wrong = [], []
    for scan in _draw_positive_scans():
        inside = scan.mask > 0
        right.append(scan.hu[inside].mean())
        wrong.append(scan.hu[np.roll(inside, shift, axis=(0, 1, 2))].mean())
    assert np.mean(right) > np.mean(wrong) + 250


def test_nodules_span_two_to_five_slices() -> None:
    for scan in _draw_positive_scans():
        thickness = np.linalg.norm(scan.grid.affine[:3, 2])
        for nodule in scan.nodules:
            assert 2 <= 2 * nodule.radii_mm[2] / thickness <= 5


def test_every_subject_has_a_vessel_like_its_nodules_in_one_slice() -> None:
    for subject in _draw_people():
        contents = draw_chest(3, subject).contents
        for vessel, nodule in zip(contents.vessels, contents.nodules, strict=False):
            area = nodule.radii_mm[0] * nodule.radii_mm[1]
            assert vessel.radius_mm**2 == pytest.approx(area)
            assert vessel.hu == nodule.hu
            points = np.array(vessel.points_mm)
            assert np.ptp(points[:, 2]) > 2 * np.ptp(points[:, :2], axis=0).max() / 2
            assert np.ptp(points[:, 2]) > 3 * nodule.radii_mm[2]


def test_in_one_slice_vessel_and_nodule_are_equally_bright_and_large() -> None:
    differences = []
    for scan in _draw_positive_scans():
        contents = draw_chest(3, scan.subject).contents
        for vessel, nodule in zip(contents.vessels, contents.nodules, strict=False):
            middle = np.array(vessel.points_mm[2])
            disc = [
                _measure_disc(scan, np.array(centre), radius_mm=vessel.radius_mm)
                for centre in (middle, nodule.centre_mm)
            ]
            differences.append(disc[0] - disc[1])
    # A tenth of their contrast to the lung: slices seldom meet the middle of a nodule.
    assert abs(np.mean(differences)) < 90


def test_along_z_vessel_and_nodule_differ() -> None:
    beyond = []
    for scan in _draw_positive_scans():
        contents = draw_chest(3, scan.subject).contents
        for vessel, nodule in zip(contents.vessels, contents.nodules, strict=False):
            step = np.array([0, 0, 2 * nodule.radii_mm[2]])
            after = np.array(vessel.points_mm[3])
            beyond.append(
                _measure_disc(scan, after, radius_mm=4)
                - _measure_disc(scan, np.array(nodule.centre_mm) + step, radius_mm=4)
            )
    assert np.mean(beyond) > 300


def _measure_disc(scan: Scan, centre_mm: np.ndarray, *, radius_mm: float) -> float:
    """Return the mean HU of a disc in the slice nearest to a point."""
    inverse = np.linalg.inv(scan.grid.affine)
    middle = transform_points(inverse, centre_mm[None])[0]
    k = int(np.clip(np.rint(middle[2]), 0, scan.grid.shape[2] - 1))
    i, j = np.ogrid[: scan.grid.shape[0], : scan.grid.shape[1]]
    spacing = np.linalg.norm(scan.grid.affine[:3, :2], axis=0)
    distance = np.hypot((i - middle[0]) * spacing[0], (j - middle[1]) * spacing[1])
    return float(scan.hu[:, :, k][distance <= radius_mm].mean())
