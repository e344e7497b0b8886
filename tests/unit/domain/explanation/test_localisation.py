"""Rank accuracy, Otsu's outline and random places, each against a plain loop."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.explanation.localisation import (
    compute_iou,
    compute_otsu_threshold,
    compute_placement_sums,
    compute_rank_accuracy,
    outline,
    share_top,
)

SHAPE = (6, 5, 4)


def make_grid(seed, *, levels=None):
    rng = np.random.default_rng(seed)
    grid = rng.normal(size=SHAPE).astype(np.float32)
    return grid if levels is None else np.round(grid * levels) / levels


def make_mask(seed, n=17):
    flat = np.zeros(np.prod(SHAPE), bool)
    flat[np.random.default_rng(seed).choice(flat.size, n, replace=False)] = True
    return flat.reshape(SHAPE)


def slow_rank_accuracy(grid, mask):
    values = [(float(grid[v]), bool(mask[v])) for v in itertools.product(*map(range, SHAPE))]
    values.sort(key=lambda pair: -pair[0])
    return sum(inside for _, inside in values[: int(mask.sum())]) / int(mask.sum())


@pytest.mark.parametrize("seed", range(5))
def test_rank_accuracy_is_that_of_sorting_voxel_by_voxel(seed):
    grid, mask = make_grid(seed), make_mask(seed + 50)
    assert compute_rank_accuracy(grid, mask) == pytest.approx(slow_rank_accuracy(grid, mask))


def test_equal_voxels_share_the_places_that_are_left():
    grid = np.array([[[3.0, 1.0, 1.0, 1.0]]], np.float32)
    assert share_top(grid, 2).ravel().tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])
    flat, mask = np.ones(SHAPE, np.float32), make_mask(0)
    assert compute_rank_accuracy(flat, mask) == pytest.approx(mask.mean()), "a flat map is chance"


@given(st.integers(0, 10_000), st.integers(1, 119), st.sampled_from([1, 3, None]))
def test_as_many_voxels_count_as_were_asked_for(seed, n, levels):
    shares = share_top(make_grid(seed, levels=levels), n)
    assert shares.sum() == pytest.approx(n)
    assert shares.min() >= 0
    assert shares.max() <= 1


def slow_otsu(values):
    edges = np.linspace(values.min(), values.max(), 257)
    places = np.minimum(np.searchsorted(edges, values, side="right") - 1, 255)
    middles = (edges[:-1] + edges[1:])[places] / 2
    best = (-1.0, None)
    for cut in range(255):
        low, high = middles[places <= cut], middles[places > cut]
        if len(low) and len(high):
            spread = len(low) * len(high) * (low.mean() - high.mean()) ** 2
            if spread > best[0] * (1 + 1e-12):
                best = (spread, edges[cut + 1])
    return best[1]


@pytest.mark.parametrize("seed", range(6))
def test_otsus_threshold_is_the_best_of_all_cuts(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(0, 1, 200), rng.normal(5, 1, 60)])
    assert compute_otsu_threshold(values) == pytest.approx(slow_otsu(values))
    assert 1 < compute_otsu_threshold(values) < 4


def test_the_outline_looks_at_positive_values_alone():
    grid = np.full(SHAPE, -50.0, np.float32)
    grid[2:4, 2:4, 1:3] = 1.0
    assert np.array_equal(outline(grid), grid > 0)
    assert not outline(-np.ones(SHAPE, np.float32)).any()
    assert not outline(np.ones(SHAPE, np.float32)).any()


def test_iou_counts_voxels():
    a, b = make_mask(1), make_mask(2, n=30)
    pairs = list(zip(a.ravel(), b.ravel(), strict=True))
    expected = sum(x and y for x, y in pairs) / sum(x or y for x, y in pairs)
    assert compute_iou(a, b) == pytest.approx(expected)


def test_random_places_are_rolls_of_the_mask():
    values, mask = make_grid(3).astype(np.float64), make_mask(4)
    found = compute_placement_sums(values, mask, n=40, rng=np.random.default_rng(7))
    shifts = np.random.default_rng(7).integers(0, SHAPE, size=(40, 3))
    rolled = [values[np.roll(mask, shift, axis=(0, 1, 2))].sum() for shift in shifts]
    assert found == pytest.approx(rolled)
