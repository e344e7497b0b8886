"""The generated folder: equal bytes, equal chances, and what labels and masks promise."""

import csv
import gzip
import json
import struct
from pathlib import Path

import nibabel
import numpy as np
import phantoms
import pydicom
import pytest

from medvision.errors import ConfigError, StorageError
from medvision.phantom.cohort import generate_cohort
from medvision.runtime.files import hash_fast


def _hash_tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hash_fast(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _read_labels(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    cached = phantoms.small_cohort()
    again = phantoms.generate_small_cohort(tmp_path / "again", faults=True)
    assert _hash_tree(again.destination) == _hash_tree(cached.destination)


def test_another_seed_gives_other_pixels_and_names(tmp_path: Path) -> None:
    options = {"subjects": 6, "prevalence": 0.5, "size": (16, 16, 8), "nifti_fraction": 0.0}
    trees = [
        _hash_tree(
            generate_cohort(tmp_path / str(seed), seed=seed, faults=False, **options).destination
            / "archive"
        )
        for seed in (1, 2)
    ]
    assert not set(trees[0]) & set(trees[1])
    assert not set(trees[0].values()) & set(trees[1].values())


def test_a_second_cohort_replaces_the_first_whole(tmp_path: Path) -> None:
    options = {"prevalence": 0.5, "size": (16, 16, 8), "nifti_fraction": 0.0, "faults": False}
    generate_cohort(tmp_path / "a", seed=1, subjects=8, **options)
    generate_cohort(tmp_path / "a", seed=2, subjects=6, **options)
    generate_cohort(tmp_path / "b", seed=2, subjects=6, **options)
    assert _hash_tree(tmp_path / "a") == _hash_tree(tmp_path / "b")


def test_archive_is_flat_and_its_names_tell_nothing() -> None:
    truth = phantoms.small_cohort()
    files = sorted((truth.destination / "archive").iterdir())
    assert all(path.is_file() for path in files)
    for path in files:
        stem = path.name.removesuffix(".nii.gz")
        assert len(stem) in (10, 12), path.name
        assert set(stem) <= set("0123456789abcdef"), path.name
    numbers = {}
    for path in files:
        if not path.name.endswith(".nii.gz"):
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True)
            except pydicom.errors.InvalidDicomError:
                continue
            numbers.setdefault(header.SeriesInstanceUID, []).append(header.InstanceNumber)
    in_order = [
        order in (sorted(order), sorted(order)[::-1])
        for order in numbers.values()
        if len(order) > 3
    ]
    assert in_order
    assert not any(in_order)


def test_listing_digests_are_those_of_the_files() -> None:
    truth = phantoms.small_cohort()
    assert truth.archive_digests == _hash_tree(truth.destination / "archive")


def test_key_is_private_to_its_owner_and_depends_on_the_seed_alone() -> None:
    truth = phantoms.small_cohort()
    key = truth.destination / "pseudonym.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(key.read_text().strip())) == 32


def test_compressed_files_hold_no_time_and_no_name() -> None:
    truth = phantoms.small_cohort()
    files = sorted(truth.destination.rglob("*.nii.gz"))
    assert files
    for path in files:
        head = path.read_bytes()[:10]
        assert struct.unpack("<I", head[4:8])[0] == 0
        assert head[3] == 0


def test_labels_name_every_subject_and_masks_exist_for_nodules_only() -> None:
    truth = phantoms.small_cohort()
    rows = _read_labels(truth.destination)
    content = json.loads((truth.destination / "truth.json").read_text())
    assert rows == list(truth.rows)
    assert {row["subject"] for row in rows} == {
        *content["base_subjects"],
        *content["extra_subjects"],
    }
    assert len(content["base_subjects"]) == 12
    for row in rows:
        assert bool(row["mask"]) == (row["label"] == "nodule")
        assert not row["mask"] or (truth.destination / row["mask"]).is_file()


def test_base_cohort_keeps_the_prevalence_whatever_the_faults() -> None:
    rows = [
        _read_labels(phantoms.small_cohort(faults=faults).destination) for faults in (True, False)
    ]
    content = json.loads((phantoms.small_cohort().destination / "truth.json").read_text())
    base = {r["subject"]: r["label"] for r in rows[0] if r["subject"] in content["base_subjects"]}
    assert base == {row["subject"]: row["label"] for row in rows[1]}
    assert sum(label == "nodule" for label in base.values()) == 6


def test_label_tables_headers_agree_with_the_files() -> None:
    truth = phantoms.small_cohort()
    rows = {row["subject"]: row for row in truth.rows}
    seen = set()
    for path in (truth.destination / "archive").iterdir():
        if path.name.endswith(".nii.gz"):
            seen.add(path.name.removesuffix(".nii.gz"))
            continue
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        except pydicom.errors.InvalidDicomError:
            continue
        row = rows[header.PatientID]
        seen.add(header.PatientID)
        assert header.PatientSex == row["sex"]
        assert int(header.PatientAge[:3]) == int(row["age"])
        assert row["site"] in header.InstitutionName.lower()
    assert seen == set(rows)


def test_nifti_stores_hu_on_the_grid_of_the_truth() -> None:
    truth = phantoms.small_cohort()
    scans = [scan for scan in truth.scans if scan["source"] == "nifti"]
    assert len(scans) == 3
    for scan in scans:
        image = nibabel.load(truth.destination / "archive" / scan["files"][0])
        assert list(image.shape) == scan["shape"]
        np.testing.assert_allclose(image.affine, scan["affine"], atol=1e-4)
        hu = image.get_fdata()
        assert -1100 < hu.min() < -900
        assert 100 < hu.max() < 700


def test_faults_without_a_dicom_subject_are_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nifti_fraction"):
        generate_cohort(
            tmp_path,
            seed=1,
            subjects=6,
            prevalence=0.5,
            size=(16, 16, 8),
            nifti_fraction=1.0,
            faults=True,
        )


def test_a_destination_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        generate_cohort(
            tmp_path / "file",
            seed=1,
            subjects=6,
            prevalence=0.5,
            size=(16, 16, 8),
            nifti_fraction=0.0,
            faults=False,
        )


def test_masks_are_binary_and_share_the_grid_of_their_scan() -> None:
    truth = phantoms.small_cohort()
    grids = {(json.dumps(s["affine"]), tuple(s["shape"])): s["mask_voxels"] for s in truth.scans}
    masks = sorted((truth.destination / "masks").iterdir())
    assert len(masks) >= 6
    for path in masks:
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))
        values = np.asarray(image.dataobj)
        assert image.get_data_dtype() == np.uint8
        assert set(np.unique(values)) == {0, 1}
        matches = [
            count
            for (affine, shape), count in grids.items()
            if shape == values.shape and np.allclose(json.loads(affine), image.affine, atol=1e-4)
        ]
        assert int(values.sum()) in matches
