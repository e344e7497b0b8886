"""How far a recomputed map may be from the one handed over, with float64 as arbiter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.explanation.recomputed import (
    TOLERANCE,
    compare_maps,
    compute_relative_distance,
)

GRID = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
ZERO = np.zeros_like(GRID)


def compute_slowly(held, wanted):
    above = sum((float(a) - float(b)) ** 2 for a, b in zip(held.flat, wanted.flat, strict=True))
    below = sum(float(b) ** 2 for b in wanted.flat)
    return (above / below) ** 0.5


@given(st.floats(0.5, 2), st.integers(0, 99))
def test_the_distance_is_the_plain_sum(factor, seed):
    other = np.random.default_rng(seed).normal(size=GRID.shape).astype(np.float32)
    held = (factor * GRID + 0.1 * other).astype(np.float32)
    assert compute_relative_distance(held, GRID) == pytest.approx(compute_slowly(held, GRID))


def test_empty_and_broken_maps_have_an_answer():
    assert compute_relative_distance(ZERO, ZERO) == 0
    assert compute_relative_distance(GRID, ZERO) == float("inf")
    assert compute_relative_distance(ZERO, GRID) == 1
    assert compute_relative_distance(np.full_like(GRID, np.nan), GRID) == float("inf")


def never():
    raise AssertionError("float64 was asked without need")


def test_float64_is_asked_only_in_doubt():
    assert compare_maps(GRID, GRID, compute_precise=never).closeness == "bit-equal"
    near = GRID * np.float32(1 + TOLERANCE / 2)
    assert compare_maps(near, GRID, compute_precise=never).closeness == "within tolerance"


@pytest.mark.parametrize(
    ("held", "own", "closeness"),
    [
        (1.001, 1.002, "within float32's own error"),
        (1.001, 0.9995, "within float32's own error"),
        (1.003, 1.001, "another map"),
        (1.001, 1.0, "another map"),
    ],
)
def test_a_map_may_be_as_inexact_as_float32_is_here_and_not_more(held, own, closeness):
    found = compare_maps(
        (GRID * np.float32(held)).astype(np.float32),
        (GRID * np.float32(own)).astype(np.float32),
        compute_precise=lambda: GRID,
    )
    assert found.closeness == closeness
    assert found.arbiter is not None


def test_a_method_that_draws_has_no_arbiter():
    found = compare_maps(GRID * np.float32(1.001), GRID, compute_precise=None)
    assert (found.closeness, found.arbiter) == ("another map", None)


def test_nan_is_another_map():
    broken = GRID.copy()
    broken[0, 0, 0] = np.nan
    assert compare_maps(broken, GRID, compute_precise=lambda: GRID).closeness == "another map"
