"""Through the pipeline and back: a point in mm stays where it is, on any grid."""

import numpy as np
import pytest
from geometry_oracles import (
    erode_inside,
    find_centroid_mm,
    list_world_points,
    resample_with_simpleitk,
)
from geometry_strategies import affines, shapes, spacings_mm
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.domain.geometry import compute_orientation, compute_spacing_mm
from medvision.domain.volume import resample_grid
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan

PLAIN = {
    "spatial_dims": 3,
    "orientation": "RAS",
    "spacing_mm": (3.0, 3.0, 3.0),
    "intensity": "none",
    "window": (0.0, 1.0),
    "percentiles": (1.0, 99.0),
    "normalise_within": "image",
    "crop_foreground": False,
    "foreground_units": "scaled",
    "foreground_above": 0.05,
    "sizing": "pad",
    "size": (24, 24, 24),
}
SLOPE = np.array([0.3, -0.2, 0.5])


def run_pipeline(grid, affine, **changes):
    transform = build_executor(build_plan(**{**PLAIN, **changes}))
    volume = transform(grid, affine)
    return volume.array[0], volume.affine


def make_ramp(affine, shape):
    """Return an image whose value is a linear function of the place in mm.

    Trilinear interpolation samples it exactly, so that any error of an affine is seen at once.
    """
    return (list_world_points(affine, shape) @ SLOPE).astype(np.float32)


def make_blob(affine, shape, *, at_mm, sigma_mm):
    distance = np.linalg.norm(list_world_points(affine, shape) - at_mm, axis=-1)
    return np.exp(-0.5 * (distance / sigma_mm) ** 2).astype(np.float32)


def assert_values_are_where_the_affine_says(array, affine, *, source, shape, margin, tolerance):
    inside = erode_inside(source, shape, to_affine=affine, to_shape=array.shape, margin=margin)
    expected = list_world_points(affine, array.shape) @ SLOPE
    assert inside.any()
    assert np.abs(array - expected)[inside].max() < tolerance


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_oracle_sees_an_affine_that_is_a_tenth_of_a_voxel_off(axis):
    affine, shape = np.diag([1.0, 2.0, 3.0, 1.0]), (10, 10, 10)
    array, tensor_affine = run_pipeline(make_ramp(affine, shape), affine)
    wrong = tensor_affine.copy()
    wrong[:3, 3] += 0.1 * wrong[:3, axis]
    with pytest.raises(AssertionError):
        assert_values_are_where_the_affine_says(
            array, wrong, source=affine, shape=shape, margin=0.5, tolerance=2e-3
        )


@settings(max_examples=30, deadline=None)
@given(
    affine=affines(),
    shape=shapes(),
    spacing_mm=st.none() | spacings_mm,
    orientation=st.none() | st.sampled_from(["RAS", "LPS", "RAI", "LAS"]),
)
def test_padded_voxels_are_where_their_affine_says(affine, shape, spacing_mm, orientation):
    array, tensor_affine = run_pipeline(
        make_ramp(affine, shape), affine, spacing_mm=spacing_mm, orientation=orientation
    )
    assert array.shape == PLAIN["size"]
    assert_values_are_where_the_affine_says(
        array, tensor_affine, source=affine, shape=shape, margin=0.0, tolerance=2e-3
    )


@settings(max_examples=30, deadline=None)
@given(affine=affines(), shape=shapes(6, 24))
def test_resized_voxels_are_where_their_affine_says_to_half_a_voxel(affine, shape):
    array, tensor_affine = run_pipeline(
        make_ramp(affine, shape),
        affine,
        spacing_mm=None,
        orientation=None,
        sizing="resize",
        size=(12, 12, 12),
    )
    # The mean over whole source voxels may lie half a source voxel off the new voxel's centre.
    half_voxel = 0.5 * np.abs(SLOPE @ affine[:3, :3]).sum()
    assert_values_are_where_the_affine_says(
        array, tensor_affine, source=affine, shape=shape, margin=1.0, tolerance=half_voxel + 2e-3
    )


@settings(max_examples=15, deadline=None)
@given(affine=affines(), factors=st.tuples(*[st.integers(1, 3)] * 3))
def test_resizing_by_whole_factors_is_exact(affine, factors):
    shape = tuple(6 * factor for factor in factors)
    array, tensor_affine = run_pipeline(
        make_ramp(affine, shape),
        affine,
        spacing_mm=None,
        orientation=None,
        sizing="resize",
        size=(6, 6, 6),
    )
    assert_values_are_where_the_affine_says(
        array, tensor_affine, source=affine, shape=shape, margin=0.0, tolerance=2e-3
    )


@settings(max_examples=20, deadline=None)
@given(affine=affines(), shape=shapes(), threshold=st.floats(0.2, 0.8))
def test_cropped_voxels_are_where_their_affine_says(affine, shape, threshold):
    ramp = make_ramp(affine, shape)
    above = float(np.quantile(ramp, threshold))
    array, tensor_affine = run_pipeline(
        ramp, affine, spacing_mm=None, crop_foreground=True, foreground_above=above
    )
    held = array > array.min()
    assert held.any()
    expected = list_world_points(tensor_affine, array.shape) @ SLOPE
    np.testing.assert_allclose(array[held], expected[held], atol=2e-3)


@settings(max_examples=20, deadline=None)
@given(
    affine=affines(spacing_mm=st.tuples(*[st.floats(1.0, 5.0)] * 3)),
    offset=st.tuples(*[st.floats(-3.0, 3.0)] * 3),
)
def test_a_planted_blob_stays_in_place_there_and_back(affine, offset):
    shape = (22, 22, 22)
    coarsest = max(*compute_spacing_mm(affine), 3.0)
    centre = (affine @ [*(np.array(shape) - 1) / 2, 1])[:3] + offset
    # Narrow enough to lie within the image wherever its voxels are smallest.
    sigma_mm = min(1.2 * coarsest, 3.0 * min(compute_spacing_mm(affine)))
    blob = make_blob(affine, shape, at_mm=centre, sigma_mm=sigma_mm)
    array, tensor_affine = run_pipeline(blob, affine, size=(44, 44, 44))
    there = find_centroid_mm(array, tensor_affine, above=0.3)
    back = find_centroid_mm(
        resample_grid(
            array, tensor_affine, to_affine=affine, to_shape=shape, nearest=False, fill=0.0
        ),
        affine,
        above=0.3,
    )
    assert np.linalg.norm(there - centre) < 0.5 * coarsest
    assert np.linalg.norm(back - centre) < 0.5 * coarsest


@settings(max_examples=20, deadline=None)
@given(affine=affines(), shape=shapes(), spacing_mm=spacings_mm)
def test_pipeline_agrees_with_simpleitk(affine, shape, spacing_mm):
    grid = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    array, tensor_affine = run_pipeline(grid, affine, spacing_mm=spacing_mm)
    expected = resample_with_simpleitk(
        grid, affine, to_affine=tensor_affine, to_shape=array.shape, nearest=False, fill=0.0
    )
    inside = erode_inside(affine, shape, to_affine=tensor_affine, to_shape=array.shape, margin=0.0)
    np.testing.assert_allclose(array[inside], expected[inside], atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(affine=affines(), shape=shapes(), spacing_mm=spacings_mm)
def test_result_has_the_orientation_and_spacing_asked_for(affine, shape, spacing_mm):
    grid = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    _, tensor_affine = run_pipeline(grid, affine, spacing_mm=spacing_mm, orientation="LPS")
    # MONAI leaves a grid alone, its affine with it, that is within a micrometre of the one asked.
    np.testing.assert_allclose(compute_spacing_mm(tensor_affine), spacing_mm, atol=2e-3)
    strength = np.sort(np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)), axis=0)
    if (strength[2] - strength[1] > 0.05).all():
        assert compute_orientation(tensor_affine) == "LPS"


@settings(max_examples=20, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.1, 2.0)] * 2),
    shape=st.tuples(*[st.integers(6, 40)] * 2),
    sizing=st.sampled_from(["pad", "resize"]),
)
def test_2d_pixels_are_where_their_affine_says(spacing, shape, sizing):
    affine = np.diag([-spacing[0], -spacing[1], 1.0, 1.0])
    ramp = make_ramp(affine, (*shape, 1))
    array, tensor_affine = run_pipeline(
        ramp, affine, spatial_dims=2, sizing=sizing, size=(16, 16, 9)
    )
    assert array.shape == (16, 16, 1)
    half_pixel = 0.5 * np.abs(SLOPE @ affine[:3, :3]).sum()
    assert_values_are_where_the_affine_says(
        array,
        tensor_affine,
        source=affine,
        shape=(*shape, 1),
        margin=0.0 if sizing == "pad" else np.array([1.0, 1.0, 0.0]),
        tolerance=2e-3 if sizing == "pad" else half_pixel,
    )


@pytest.mark.parametrize("shape", [(20, 20, 1), (1, 20, 20)])
def test_one_voxel_thick_volume_keeps_its_place(shape):
    affine = np.diag([1.0, 1.0, 20.0, 1.0])
    array, tensor_affine = run_pipeline(
        make_ramp(affine, shape), affine, spacing_mm=(1.0, 1.0, 5.0)
    )
    assert_values_are_where_the_affine_says(
        array, tensor_affine, source=affine, shape=shape, margin=0.0, tolerance=2e-3
    )


@settings(max_examples=15, deadline=None)
@given(affine=affines(), tilt=st.floats(-0.4, 0.4))
def test_tilted_gantry_keeps_its_place(affine, tilt):
    sheared = affine.copy()
    sheared[:3, 2] += tilt * sheared[:3, 1] / np.linalg.norm(sheared[:3, 1])
    shape = (12, 12, 12)
    array, tensor_affine = run_pipeline(make_ramp(sheared, shape), sheared, size=(36, 36, 36))
    assert_values_are_where_the_affine_says(
        array, tensor_affine, source=sheared, shape=shape, margin=0.0, tolerance=2e-3
    )
    directions = tensor_affine[:3, :3] / 3.0
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=5e-3)
