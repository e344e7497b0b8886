"""Affines against nibabel, and the refusal of impossible ones."""

import nibabel as nib
import numpy as np
import pytest
from geometry_strategies import affines
from hypothesis import given

from medvision.domain.geometry import (
    check_affine,
    compute_index_map,
    compute_orientation,
    compute_spacing_mm,
    transform_points,
)
from medvision.errors import GeometryError


@given(affine=affines())
def test_spacing_is_what_nibabel_reads(affine):
    np.testing.assert_allclose(compute_spacing_mm(affine), nib.affines.voxel_sizes(affine))


@pytest.mark.parametrize("code", ["RAS", "LPS", "LAS", "PIR", "SRA", "AIL"])
def test_orientation_of_aligned_axes_is_what_nibabel_reads(code):
    orientation = nib.orientations.axcodes2ornt(tuple(code))
    affine = np.linalg.inv(nib.orientations.inv_ornt_aff(orientation, (5, 5, 5)))
    assert "".join(nib.aff2axcodes(affine)) == code
    assert compute_orientation(affine) == code


@pytest.mark.parametrize("degrees", [-40, -10, 10, 40])
def test_orientation_of_oblique_axes_is_the_nearest(degrees):
    angle = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert compute_orientation(affine) == "RAS"
    assert compute_orientation(affine @ np.diag([-1, 1, -1, 1])) == "LAI"


@given(source=affines(), target=affines())
def test_index_map_leads_over_the_same_point_in_mm(source, target):
    voxels = np.array([[0.0, 0, 0], [3, 1, 2], [-1, 7.5, 4]])
    mapped = transform_points(compute_index_map(source, target), voxels)
    np.testing.assert_allclose(
        transform_points(target, mapped), transform_points(source, voxels), atol=1e-6
    )


@given(affine=affines())
def test_possible_affines_pass(affine):
    check_affine(affine, where="image")


def test_microscopic_spacing_passes():
    check_affine(np.diag([2e-4, 2e-4, 1e-3, 1.0]), where="image")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[:3], r"affine must be \(4, 4\), got \(3, 4\)"),
        (lambda a: np.where(a == 1, np.nan, a), "affine must be finite"),
        (lambda a: a + _last_row(), "last row must be"),
        (lambda a: a @ np.diag([1.0, 1, 0, 1]), "spacing must be above 0 mm"),
        (lambda a: a[:, [0, 0, 2, 3]], "affine must be invertible"),
    ],
)
def test_impossible_affines_are_refused_by_name(change, message):
    with pytest.raises(GeometryError, match=f"sub-1: .*{message}"):
        check_affine(change(np.eye(4)), where="sub-1")


def _last_row():
    matrix = np.zeros((4, 4))
    matrix[3, 0] = 1
    return matrix
