"""A learning curve read backwards, against a fine walk along it and against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.scorecard.curve import compute_ends, invert_curve

SIZES = (10.0, 20.0, 40.0, 80.0)


def walk(values, *, wanted: float) -> float:
    """Walk along the straight lines in small steps, until the value was seen."""
    best, places = -np.inf, np.linspace(np.log(10), np.log(80), 3001)
    for place in places:
        best = max(best, float(np.interp(place, np.log(SIZES), np.maximum.accumulate(values))))
        if best >= wanted:
            return float(np.exp(place))
    return np.inf


@given(st.lists(st.floats(0.4, 1), min_size=4, max_size=4), st.floats(0.4, 1))
def test_the_number_is_where_a_walk_along_the_curve_meets_the_value(values, wanted):
    found = invert_curve(SIZES, np.array(values), wanted=wanted)
    assert found == pytest.approx(walk(np.array(values), wanted=wanted), rel=2e-3)


def test_a_value_half_way_is_reached_at_the_geometric_mean():
    found = invert_curve(SIZES, np.array([0.6, 0.7, 0.8, 0.9]), wanted=0.75)
    assert found == pytest.approx(np.sqrt(20 * 40))


def test_a_value_that_is_never_reached_is_not_made_up():
    assert invert_curve(SIZES, np.array([0.6, 0.7, 0.8, 0.9]), wanted=0.91) == np.inf


def test_a_value_that_the_smallest_share_has_needs_no_more_than_that():
    assert invert_curve(SIZES, np.array([0.6, 0.7, 0.8, 0.9]), wanted=0.5) == 10


@given(
    values=st.lists(st.floats(0.4, 1), min_size=4, max_size=4),
    wanted=st.lists(st.floats(0.4, 1), min_size=2, max_size=2),
)
def test_more_is_never_reached_with_fewer(values, wanted):
    low, high = sorted(wanted)
    curve = np.array(values)
    assert invert_curve(SIZES, curve, wanted=low) <= invert_curve(SIZES, curve, wanted=high)


@given(st.lists(st.floats(0.4, 1), min_size=4, max_size=4), st.integers(0, 3))
def test_the_curves_own_values_are_reached_no_later_than_where_they_are(values, place):
    curve = np.array(values)
    assert invert_curve(SIZES, curve, wanted=curve[place]) <= SIZES[place] * (1 + 1e-9)


def test_an_interval_whose_upper_end_is_not_reached_says_so():
    low, high = compute_ends(np.array([*np.arange(1.0, 96.0), *[np.inf] * 5]), 0.95)
    assert low <= 4
    assert high == np.inf
    low, high = compute_ends(np.arange(1001.0), 0.95)
    assert (low, high) == pytest.approx((25, 975))
