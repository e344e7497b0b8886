"""What lies beside a NIfTI file is read by an allow-list, from near and from above."""

import json

import numpy as np
import pytest
from geometry_strategies import affines
from hypothesis import given

from medvision.io.bids.facts import read_facts, read_gradients
from medvision.io.bids.gradients import restore_directions, rotate_directions

PATH = "sub-01/func/sub-01_task-rest_bold.nii.gz"
AFFINE = np.diag([-2.0, 2, 3, 1])


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_sidecars_are_inherited_and_the_nearest_has_the_last_word(tmp_path):
    write(tmp_path / "task-rest_bold.json", {"RepetitionTime": 2, "EchoTime": 0.03})
    write(tmp_path / "task-move_bold.json", {"FlipAngle": 90})
    write(tmp_path / "sub-02_bold.json", {"FlipAngle": 80})
    write(tmp_path / "T1w.json", {"FlipAngle": 9})
    own = {"EchoTime": 0.04, "PatientName": "CANARY", "ScanningSequence": "CANARY"}
    write((tmp_path / PATH).with_name("sub-01_task-rest_bold.json"), own)
    facts = read_facts(tmp_path, PATH)
    assert facts.fields == {"RepetitionTime": 2.0, "EchoTime": 0.04}
    assert (facts.role, facts.part, facts.modality) == ("original", (), "MR")


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00", "[" * 100_000])
def test_a_sidecar_that_is_none_says_nothing(tmp_path, content):
    write(tmp_path / "scan.json", content)
    assert read_facts(tmp_path, "scan.nii").fields == {}
    assert read_facts(tmp_path / "missing", "archive.zip!scan.nii").fields == {}


def test_gradients_beside_an_image_come_in_the_subjects_axes(tmp_path):
    write(tmp_path / "x.bval", "0 1000 1000\n")
    write(tmp_path / "x.bvec", "0 1 0\n0 0 -0.6\n0 0 0.8\n")
    assert read_gradients(tmp_path / "x.nii.gz", AFFINE, n_volumes=3) == {
        "Axis": "b-value",
        "AxisValues": [0.0, 1000.0, 1000.0],
        "GradientDirections": ["", "1,0,0", "0,0.6,0.8"],
    }


@pytest.mark.parametrize("bval", ["0 1000", "0 -1 5", "a b c", "0 nan 1000", ""])
def test_gradients_that_do_not_fit_are_none(tmp_path, bval):
    write(tmp_path / "x.bval", bval)
    assert read_gradients(tmp_path / "x.nii", AFFINE, n_volumes=3) == {}


def test_b_values_without_directions_still_name_the_axis(tmp_path):
    write(tmp_path / "x.bval", "0\n1000\n1000\n")
    write(tmp_path / "x.bvec", "0 1\n0 0\n0 0\n")
    found = read_gradients(tmp_path / "x.nii", AFFINE, n_volumes=3)
    assert found == {"Axis": "b-value", "AxisValues": [0.0, 1000.0, 1000.0]}


@given(affines())
def test_directions_come_back(affine):
    directions = np.array([[0, 0, 0], [1, 0, 0], [0, 0.6, 0.8]], float)
    back = restore_directions(rotate_directions(directions, affine), affine)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.allclose(axes.T @ axes, np.eye(3), atol=1e-9):
        np.testing.assert_allclose(back, directions, atol=1e-9)
