"""Rank correlation and entropy of maps, against plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from medvision.domain.explanation.map_statistics import compute_entropy, compute_rank_correlation

VALUES = st.lists(st.integers(-4, 4), min_size=8, max_size=8)


def to_grid(values):
    return np.array(values, dtype=np.float32).reshape(2, 2, 2)


def correlate_slowly(a, b):
    """Count, voxel by voxel, how many values lie below, and correlate the places."""

    def rank(values):
        return [
            sum(other < value for other in values) + (sum(v == value for v in values) + 1) / 2
            for value in values
        ]

    x, y = rank(a), rank(b)
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((p - mean_x) * (q - mean_y) for p, q in zip(x, y, strict=True))
    below = sum((p - mean_x) ** 2 for p in x) * sum((q - mean_y) ** 2 for q in y)
    return above / math.sqrt(below) if below else math.nan


def measure_slowly(values):
    total = sum(abs(value) for value in values)
    if total == 0:
        return math.nan
    shares = [abs(value) / total for value in values]
    return -sum(p * math.log(p) for p in shares if p) / math.log(len(values))


@given(VALUES, VALUES)
def test_rank_correlation_is_that_of_a_plain_count_ties_sharing_their_rank(a, b):
    expected = correlate_slowly(a, b)
    found = compute_rank_correlation(to_grid(a), to_grid(b))
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
    if math.isfinite(expected):
        assert found == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)


@given(VALUES)
def test_entropy_is_that_of_a_plain_sum_and_does_not_know_scale_or_sign(values):
    expected = measure_slowly(values)
    for factor in (1, -3.5, 1e-6):
        found = compute_entropy(to_grid(values) * np.float32(factor))
        assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_a_map_and_its_negative_are_opposite_and_a_constant_has_no_order():
    grid = to_grid([1, 2, 3, 4, 5, 6, 7, 8])
    assert compute_rank_correlation(grid, grid) == pytest.approx(1)
    assert compute_rank_correlation(grid, -grid) == pytest.approx(-1)
    assert math.isnan(compute_rank_correlation(grid, np.ones_like(grid)))


def test_entropy_runs_from_one_voxel_to_all_alike():
    spread = np.ones((3, 4, 5), dtype=np.float32)
    single = np.zeros_like(spread)
    single[1, 2, 3] = -7
    assert compute_entropy(spread) == pytest.approx(1)
    assert compute_entropy(single) == 0
    assert math.isnan(compute_entropy(np.zeros_like(spread)))
    assert math.isnan(compute_entropy(np.ones((1, 1, 1), dtype=np.float32)))
