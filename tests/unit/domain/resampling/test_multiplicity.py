"""Holm's correction against the closed test that it shortens; p-values against the interval."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.resampling.bootstrap import compute_interval
from medvision.domain.resampling.multiplicity import adjust_holm, compute_p_value


def adjust_by_closed_test(p_values):
    """A finding holds where Bonferroni rejects every set of hypotheses that contains it."""
    n = len(p_values)
    return [
        max(
            min(1.0, len(held) * min(p_values[i] for i in held))
            for size in range(1, n + 1)
            for held in combinations(range(n), size)
            if own in held
        )
        for own in range(n)
    ]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values):
    assert adjust_holm(p_values) == pytest.approx(adjust_by_closed_test(p_values))


def test_holm_gives_the_textbook_values():
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_holm([]) == []


@given(shift=st.floats(-3, 3), seed=st.integers(0, 50))
def test_a_p_value_below_one_in_twenty_goes_with_an_interval_without_zero(shift, seed):
    replicates = np.random.default_rng(seed).normal(shift, 1, 999)
    low, high = compute_interval(replicates, 0.95)
    p = compute_p_value(replicates)
    if p < 0.045:
        assert not low <= 0 <= high
    if p > 0.055:
        assert low <= 0 <= high


def test_a_p_value_is_never_below_what_the_resamples_can_tell():
    assert compute_p_value(np.ones(999)) == pytest.approx(0.002)
    assert compute_p_value(np.zeros(999)) == 1
