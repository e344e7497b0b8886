"""Statistics on maps, each against a slow and plain oracle."""

import itertools

import numpy as np
import pytest

from medvision.domain.attribution import (
    compute_distance_mm,
    compute_relevance_mass,
    compute_similarity,
    find_peak,
    is_empty,
)
from medvision.domain.explanation.localisation import compute_placement_masses


def noise(seed, shape=(9, 8, 10)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def slow_similarity(a, b, window=7):
    """SSIM window by window, straight from the formula."""
    x, y = (np.clip(np.abs(m) / np.quantile(np.abs(m), 0.99), 0, 1) for m in (a, b))
    sizes = [min(window, n) for n in a.shape]
    values = []
    for start in itertools.product(
        *(range(n - size + 1) for n, size in zip(a.shape, sizes, strict=True))
    ):
        box = tuple(slice(s, s + size) for s, size in zip(start, sizes, strict=True))
        p, q = x[box].astype(float).ravel(), y[box].astype(float).ravel()
        covariance = ((p - p.mean()) * (q - q.mean())).mean()
        values.append(
            (2 * p.mean() * q.mean() + 1e-4)
            * (2 * covariance + 9e-4)
            / ((p.mean() ** 2 + q.mean() ** 2 + 1e-4) * (p.var() + q.var() + 9e-4))
        )
    return np.mean(values)


@pytest.mark.parametrize("shape", [(9, 8, 10), (12, 11, 1), (4, 9, 5)])
def test_similarity_is_the_formula_window_by_window(shape):
    a, b = noise(1, shape), noise(2, shape)
    assert compute_similarity(a, b) == pytest.approx(slow_similarity(a, b), abs=1e-6)


def test_similarity_of_a_map_to_itself_is_one_whatever_its_scale_and_sign():
    assert compute_similarity(noise(1), -3 * noise(1)) == pytest.approx(1)
    assert compute_similarity(noise(1), noise(2)) < 0.5


def test_one_hot_voxel_does_not_make_maps_alike():
    a, b = noise(1), noise(2)
    a[0, 0, 0] = b[8, 7, 9] = 1000
    assert compute_similarity(a, b) < 0.5


def test_similarity_of_maps_with_few_voxels_is_still_scaled():
    grid = np.zeros((9, 8, 10), np.float32)
    grid[4, 4, 4] = 7
    assert compute_similarity(grid, 2 * grid) == pytest.approx(1)
    assert compute_similarity(grid, np.roll(grid, 3, axis=0)) < 1


def test_similarity_to_an_empty_map_is_finite_and_low():
    assert 0 <= compute_similarity(noise(1), np.zeros((9, 8, 10), np.float32)) < 0.5


def test_only_a_map_of_zeros_is_empty():
    grid = np.zeros((3, 3, 3), np.float32)
    assert is_empty(grid)
    grid[1, 1, 1] = -1e-30
    assert not is_empty(grid)


def test_the_peak_of_a_plateau_is_its_middle_and_not_its_corner():
    grid = np.zeros((11, 11, 11), np.float32)
    grid[2:7, 3:8, 4:9] = 2
    assert find_peak(grid) == (4, 5, 6)


def test_the_peak_of_a_negative_map_is_its_largest_value():
    grid = -np.ones((4, 4, 4), np.float32)
    grid[3, 0, 2] = -0.5
    assert find_peak(grid) == (3, 0, 2)


def test_distance_to_a_mask_is_in_mm_along_a_sheared_grid():
    affine = np.array([[2.0, 0, 1.0, 5], [0, 3.0, 0, 0], [0, 0, 4.0, 0], [0, 0, 0, 1]])
    mask = np.zeros((5, 5, 5), bool)
    mask[1, 1, 1] = mask[4, 4, 4] = True
    expected = min(
        np.linalg.norm(affine[:3, :3] @ (np.array(inside) - [1, 2, 3]))
        for inside in [(1, 1, 1), (4, 4, 4)]
    )
    assert compute_distance_mm(mask, (1, 2, 3), affine=affine) == pytest.approx(expected)
    assert compute_distance_mm(mask, (4, 4, 4), affine=affine) == 0


def test_relevance_mass_counts_positive_values_only():
    grid = np.array([[[1.0, 3.0, -100.0]]], np.float32)
    mask = np.array([[[True, False, True]]])
    assert compute_relevance_mass(grid, mask) == pytest.approx(0.25)
    assert np.isnan(compute_relevance_mass(-np.abs(grid), mask))


def test_relevance_mass_at_random_places_is_the_masks_share_on_average():
    grid = noise(3, (6, 5, 4))
    mask = np.zeros(grid.shape, bool)
    mask[4:, 3:, :2] = True
    masses = compute_placement_masses(grid, mask, n=4000, rng=np.random.default_rng(0))
    assert masses.mean() == pytest.approx(mask.mean(), rel=0.05)
    positive = np.maximum(grid, 0)
    places = {
        float(positive[np.roll(mask, shift, axis=(0, 1, 2))].sum() / positive.sum())
        for shift in itertools.product(range(6), range(5), range(4))
    }
    assert all(min(abs(mass - place) for place in places) < 1e-6 for mass in masses[:50])
