"""Resampling equals a slow oracle, voxel by voxel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.io.stacking.resample import Resampling, plan_shares, resample


def interpolate(line, place):
    """The value at a place of a line, by hand; none outside."""
    if place < -1e-6 or place > len(line) - 1 + 1e-6:
        return np.nan
    place = min(max(place, 0.0), len(line) - 1.0)
    if abs(place - round(place)) <= 1e-6:
        return line[round(place)]
    low = int(np.floor(place))
    return line[low] * (low + 1 - place) + line[low + 1] * (place - low)


def resample_slowly(array, resampling):
    """The definition, without any trick: what lies outside is no number until the end."""
    n_i, n_j = (array.shape[d] + resampling.margins[d] for d in (0, 1))
    moved = np.empty((n_i, n_j, array.shape[2]))
    for k in range(array.shape[2]):
        offset_i, offset_j = resampling.offsets[k] if resampling.offsets else (0.0, 0.0)
        wide = np.empty((n_i, array.shape[1]))
        for j in range(array.shape[1]):
            wide[:, j] = [interpolate(array[:, j, k], i - offset_i) for i in range(n_i)]
        for i in range(n_i):
            moved[i, :, k] = [interpolate(wide[i], j - offset_j) for j in range(n_j)]
    result = np.empty((n_i, n_j, len(resampling.lower)))
    for k, (lower, share) in enumerate(zip(resampling.lower, resampling.shares, strict=True)):
        result[:, :, k] = moved[:, :, lower]
        if share > 0:
            result[:, :, k] = moved[:, :, lower] * (1 - share) + moved[:, :, lower + 1] * share
    return np.where(np.isnan(result), array.min(), result)


@st.composite
def cases(draw):
    shape = draw(st.tuples(*[st.integers(1, 5)] * 2, st.integers(2, 5)))
    array = np.random.default_rng(draw(st.integers(0, 99))).integers(-999, 999, shape)
    count = draw(st.integers(1, 6))
    lower = [draw(st.integers(0, shape[2] - 2)) for _ in range(count)]
    shares = [draw(st.sampled_from([0.0, 0.25]) | st.floats(0.01, 0.99)) for _ in range(count)]
    offset = st.sampled_from([0.0, 1.0]) | st.floats(0, 2)
    offsets = [(draw(offset), draw(offset)) for _ in range(shape[2])]
    is_moved = draw(st.booleans())
    return array, Resampling(
        tuple(lower),
        tuple(shares),
        tuple(offsets) if is_moved else (),
        (2, 2) if is_moved else (0, 0),
    )


@settings(max_examples=150, deadline=None)
@given(cases())
def test_resampling_equals_the_slow_oracle(case):
    array, resampling = case
    result = resample(array, resampling)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, resample_slowly(array, resampling), atol=1e-2, rtol=1e-5)


def test_a_whole_shift_changes_no_value():
    array = np.random.default_rng(0).integers(0, 1000, (3, 4, 2)).astype(np.int16)
    offsets = ((0.0, 0.0), (1.0 + 1e-9, 2.0 - 1e-9))
    result = resample(array, Resampling((0, 1), (0.0, 0.0), offsets, (1, 2)))
    np.testing.assert_array_equal(result[1:, 2:, 1], array[:, :, 1])
    assert (result[0, :, 1] == array.min()).all()


def test_volumes_and_colours_are_resampled_one_by_one():
    array = np.random.default_rng(0).integers(0, 255, (3, 4, 3, 2, 3)).astype(np.uint8)
    resampling = Resampling(
        (0, 0, 1), (0.0, 0.5, 0.0), ((0.0, 0.0), (0.3, 0.2), (0.6, 0.4)), (1, 1)
    )
    array[0, 0, 0] = 0
    result = resample(array, resampling)
    assert result.shape == (4, 5, 3, 2, 3)
    np.testing.assert_allclose(result[..., 1, 2], resample(array[..., 1, 2], resampling), rtol=1e-6)


def test_voxels_without_a_number_spread_no_further_than_they_must():
    array = np.ones((2, 2, 3))
    array[0, 0, 1] = np.nan
    result = resample(array, Resampling((0, 0, 2), (0.0, 0.5, 0.0)))
    assert np.isnan(result).sum() == 1
    assert np.isnan(result[0, 0, 1])


def test_inputs_stay_as_they_are():
    array = np.arange(24.0).reshape(2, 3, 4)
    before = array.copy()
    resample(array, Resampling((0, 1), (0.5, 0.0), ((0.0, 0.0),) * 4))
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("step", [0.5, 1.0, 0.7])
def test_planned_shares_reproduce_the_heights(step):
    heights = np.array([0.0, 1.0, 1.9, 4.2, 5.0])
    count = int(5.0 / step + 1e-9) + 1
    lower, shares = plan_shares(heights, count=count, step_mm=step)
    assert max(lower) <= 4
    assert all(share == 0 or place < 4 for place, share in zip(lower, shares, strict=True))
    padded = np.append(heights, 0)
    made = [padded[a] * (1 - s) + padded[a + 1] * s for a, s in zip(lower, shares, strict=True)]
    np.testing.assert_allclose(made, step * np.arange(count), atol=1e-5)
