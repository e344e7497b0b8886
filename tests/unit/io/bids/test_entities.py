"""What paths of a BIDS dataset say; and gradients against a turn done by hand."""

import numpy as np
import pytest
from geometry_strategies import affines
from hypothesis import given

from medvision.io.bids.entities import (
    guess_modality,
    guess_part,
    guess_role,
    is_bids,
    is_outside,
)
from medvision.io.bids.gradients import format_bvec, parse_directions, rotate_directions


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("sub-01/anat/sub-01_T1w.nii.gz", "original"),
        ("derivatives/fmriprep/sub-01/anat/sub-01_T1w.nii.gz", "derived"),
        ("sub-01/anat/sub-01_desc-preproc_T1w.nii.gz", "derived"),
        ("sub-01/anat/sub-01_T1map.nii.gz", "derived"),
        ("sub-01/anat/sub-01_UNIT1.nii", "derived"),
        ("sub-01/dwi/sub-01_ADC.nii.gz", "derived"),
        ("sub-01/anat/sub-01_mask.nii.gz", "derived"),
        ("roadmap.nii", "original"),
        ("derivatives.nii", "original"),
        ("sub-01/func/sub-01_task-desc_bold.nii.gz", "original"),
    ],
)
def test_roles_of_paths(path, role):
    assert guess_role(path) == role


@pytest.mark.parametrize(
    ("path", "outside"),
    [
        ("sourcedata/sub-01/x.dcm", True),
        ("code/a.py", True),
        ("sub-01/sourcedata/x.nii", False),
        ("derivatives/x.nii", False),
        ("x.nii", False),
    ],
)
def test_source_data_and_code_lie_outside(path, outside):
    assert is_outside(path) == outside


def test_a_dataset_is_known_by_its_description(tmp_path):
    assert not is_bids(tmp_path)
    (tmp_path / "dataset_description.json").write_text("{}")
    assert is_bids(tmp_path)


def test_parts_and_modalities_of_paths():
    path = "sub-01/anat/sub-01_echo-2_part-phase_MEGRE.nii.gz"
    assert guess_part(path) == (("component", "P"), ("echo-number", 2.0))
    assert guess_part("sub-01/anat/sub-01_T1w.nii.gz") == ()
    assert guess_modality(path) == "MR"
    assert guess_modality("sub-01/pet/sub-01_pet.nii.gz") == "PT"
    assert guess_modality("sub-01/func/sub-01_task-x_cbv.nii.gz") == "MR"
    assert guess_modality("scan_ct.nii") == "CT"
    assert guess_modality("pet/scan.nii") == "unknown"


@given(affines())
def test_gradients_turn_with_the_axes_of_the_image(affine):
    directions = np.array([[0, 0, 0], [1, 0, 0], [0, 0.6, 0.8]], float)
    turned = rotate_directions(directions, affine)
    for given_lps, found in zip(directions, turned, strict=True):
        ras = given_lps * [-1, -1, 1]
        for axis in range(3):
            column = affine[:3, axis]
            expected = float(ras @ column / np.linalg.norm(column))
            is_flipped = axis == 0 and np.linalg.det(affine[:3, :3]) > 0
            assert abs(found[axis] - (-expected if is_flipped else expected)) < 1e-9


@pytest.mark.parametrize(
    ("b_values", "directions"),
    [
        ([], []),
        ([0, 1000], [""]),
        ([0, 1000], ["", ""]),
        ([0, -5], ["", "1,0,0"]),
        ([0, "many"], ["", "1,0,0"]),
        ([0, 1000], ["", "0,0,0"]),
        ([0, 1000], ["", "1,0"]),
        ([0, float("nan")], ["", "1,0,0"]),
    ],
)
def test_a_series_without_all_its_directions_has_none(b_values, directions):
    assert parse_directions(b_values, directions) is None


def test_directions_become_unit_vectors():
    found = parse_directions([0, 5, 1000], ["", "", "0,3,4"])
    np.testing.assert_allclose(found, [[0, 0, 0], [0, 0, 0], [0, 0.6, 0.8]])
    assert format_bvec(found) == "0 0 0\n0 0 0.6\n0 0 0.8\n"
