"""Values as labels: what is a number, and bins that folds can spread."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.labels.values import build_value, check_values, name_bins, parse_values
from medvision.errors import LabelError


@pytest.mark.parametrize("text", ["old", "nan", "inf", "1,5", "63 y"])
def test_what_is_no_finite_number_is_refused_with_its_line(text):
    with pytest.raises(LabelError, match="labels line 3: label must be a finite number"):
        check_values([{"label": "1.5"}, {"label": text}])


def test_a_missing_value_is_no_fault_here():
    check_values([{"label": "n/a"}, {"label": ""}, {"label": "-1e3"}])


def test_equal_values_are_nothing_to_learn():
    with pytest.raises(LabelError, match="values must differ"):
        build_value(["3", "3.0"], name="age")
    assert build_value(["3", "4"], name="age").names == ("age",)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=80), st.integers(1, 6))
def test_bins_are_of_whole_ranges_that_do_not_overlap(values, needed):
    labels = [str(value) for value in values]
    bins = name_bins(labels, n_groups=len(values), needed=needed)
    by_bin = {}
    for label in labels:
        by_bin.setdefault(bins[label], []).append(float(label))
    ranges = sorted((min(held), max(held)) for held in by_bin.values())
    assert all(a[1] < b[0] for a, b in pairwise(ranges))
    assert len(by_bin) <= 5
    if len(values) < 4 * needed:
        assert set(bins.values()) == {"all"}


def test_bins_hold_about_equally_many():
    labels = [str(n) for n in range(100)]
    counts = np.unique(list(name_bins(labels, n_groups=100, needed=3).values()), return_counts=True)
    np.testing.assert_array_equal(counts[1], 20)
    np.testing.assert_array_equal(parse_values(["1", "2.5"]), [1, 2.5])
