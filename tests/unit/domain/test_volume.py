"""Resampling against a slow plain loop, closed forms and SimpleITK."""

import numpy as np
import pytest
from geometry_oracles import erode_inside, list_world_points, resample_with_simpleitk
from geometry_strategies import affines, shapes
from hypothesis import given, settings

from medvision.domain.geometry import compute_index_map, transform_points
from medvision.domain.volume import format_shape, parse_shape, resample_grid
from medvision.errors import GeometryError


def make_noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def resample_slowly(grid, affine, *, to_affine, to_shape, fill):
    """Trilinear interpolation as the textbook writes it, one voxel after the other."""
    result = np.empty(to_shape)
    inverse = np.linalg.inv(affine)
    for index in np.ndindex(*to_shape):
        world = to_affine @ [*index, 1.0]
        point = (inverse @ world)[:3]
        if (point < -0.5 - 1e-6).any() or (point > np.array(grid.shape) - 0.5 + 1e-6).any():
            result[index] = fill
            continue
        point = np.clip(point, 0, np.array(grid.shape) - 1)
        low = np.floor(point).astype(int)
        total = 0.0
        for corner in np.ndindex(2, 2, 2):
            at = np.minimum(low + corner, np.array(grid.shape) - 1)
            share = np.abs(1 - np.array(corner) - (point - low))
            total += float(np.prod(share)) * float(grid[tuple(at)])
        result[index] = total
    return result


@settings(max_examples=25, deadline=None)
@given(affine=affines(), to_affine=affines(), shape=shapes(1, 6), to_shape=shapes(1, 6))
def test_trilinear_is_the_textbook_formula(affine, to_affine, shape, to_shape):
    # The grids' centres are laid onto each other, so that they overlap.
    to_affine[:3, 3] += (affine @ [*(np.array(shape) - 1) / 2, 1])[:3]
    to_affine[:3, 3] -= (to_affine @ [*(np.array(to_shape) - 1) / 2, 1])[:3]
    grid = make_noise(shape)
    result = resample_grid(
        grid, affine, to_affine=to_affine, to_shape=to_shape, nearest=False, fill=-7.0
    )
    expected = resample_slowly(grid, affine, to_affine=to_affine, to_shape=to_shape, fill=-7.0)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(affine=affines(), to_affine=affines(), shape=shapes(), to_shape=shapes())
def test_both_kinds_of_sampling_agree_with_simpleitk(affine, to_affine, shape, to_shape):
    to_affine[:3, 3] = affine[:3, 3]
    grid = make_noise(shape)
    inside = erode_inside(affine, shape, to_affine=to_affine, to_shape=to_shape, margin=0.0)
    target = {"to_affine": to_affine, "to_shape": to_shape, "fill": 0.0}
    linear = resample_grid(grid, affine, **target, nearest=False)
    expected = resample_with_simpleitk(grid, affine, **target, nearest=False)
    np.testing.assert_allclose(linear[inside], expected[inside], atol=1e-4)
    nearest = resample_grid(grid, affine, **target, nearest=True)
    expected = resample_with_simpleitk(grid, affine, **target, nearest=True)
    # Ties between two voxels may fall either way.
    voxels = np.stack(np.unravel_index(np.arange(np.prod(to_shape)), to_shape), axis=1)
    points = transform_points(compute_index_map(to_affine, affine), voxels.astype(float))
    clear = (np.abs(points - np.floor(points) - 0.5) > 1e-4).all(axis=1).reshape(to_shape)
    np.testing.assert_array_equal(nearest[inside & clear], expected[inside & clear])


@settings(max_examples=25, deadline=None)
@given(affine=affines(), to_affine=affines(), shape=shapes(4, 10))
def test_a_ramp_in_mm_is_sampled_exactly(affine, to_affine, shape):
    to_affine[:3, 3] = affine[:3, 3]
    slope = np.array([0.3, -0.2, 0.5])
    ramp = (list_world_points(affine, shape) @ slope).astype(np.float32)
    result = resample_grid(
        ramp, affine, to_affine=to_affine, to_shape=shape, nearest=False, fill=0.0
    )
    inside = erode_inside(affine, shape, to_affine=to_affine, to_shape=shape, margin=0.0)
    expected = list_world_points(to_affine, shape) @ slope
    np.testing.assert_allclose(result[inside], expected[inside], atol=2e-3)


def test_same_grid_is_returned_bit_equal():
    grid = make_noise((5, 6, 7))
    affine = np.diag([-2.0, -3.0, 4.0, 1.0])
    result = resample_grid(
        grid, affine, to_affine=affine, to_shape=(5, 6, 7), nearest=False, fill=0.0
    )
    np.testing.assert_array_equal(result, grid)


def test_outside_is_fill_and_the_outer_half_voxel_is_not():
    grid = np.ones((2, 2, 2), dtype=np.float32)
    shifted = np.eye(4)
    shifted[0, 3] = -1.4
    result = resample_grid(
        grid, np.eye(4), to_affine=shifted, to_shape=(4, 2, 2), nearest=False, fill=9.0
    )
    assert result[:, 0, 0].tolist() == [9.0, 1.0, 1.0, 9.0]


def test_values_keep_sign_and_scale_on_a_finer_grid():
    grid = np.full((4, 4, 4), -3.5, dtype=np.float32)
    fine = np.diag([0.5, 0.5, 0.5, 1.0])
    result = resample_grid(
        grid, np.eye(4), to_affine=fine, to_shape=(7, 7, 7), nearest=False, fill=0.0
    )
    assert (result == -3.5).all()


def test_nearest_keeps_a_mask_binary():
    mask = (make_noise((9, 9, 9)) > 0).astype(np.float32)
    fine = np.diag([0.37, 0.61, 0.5, 1.0])
    result = resample_grid(
        mask, np.eye(4), to_affine=fine, to_shape=(20, 14, 16), nearest=True, fill=0.0
    )
    assert set(np.unique(result)) == {0.0, 1.0}


def test_large_grids_are_sampled_in_blocks_that_join(monkeypatch):
    grid = make_noise((6, 7, 8))
    fine = np.diag([0.5, 0.7, 0.9, 1.0])
    whole = resample_grid(
        grid, np.eye(4), to_affine=fine, to_shape=(11, 9, 8), nearest=False, fill=0.0
    )
    monkeypatch.setattr("medvision.domain.volume._MAX_POINTS", 100)
    parts = resample_grid(
        grid, np.eye(4), to_affine=fine, to_shape=(11, 9, 8), nearest=False, fill=0.0
    )
    np.testing.assert_array_equal(parts, whole)


def test_shape_text_goes_there_and_back():
    assert format_shape((64, 64, 24)) == "64x64x24"
    assert parse_shape("64x64x24") == (64, 64, 24)


@pytest.mark.parametrize("text", ["64x64", "", "64x64x0", "axbxc", "1x2x3x4", "64x64x-2"])
def test_shape_text_of_another_kind_is_refused(text):
    with pytest.raises(GeometryError, match="shape must be such as 64x64x24"):
        parse_shape(text)
