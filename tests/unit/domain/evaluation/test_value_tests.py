"""The test of two arms' errors: every sign tried, copies, equal arms, and how often it errs."""

from itertools import product

import numpy as np
import pytest

from medvision.domain.evaluation.value_tests import compare_errors, compute_flip_p


def flip_by_definition(gaps):
    """Every combination of signs, one at a time."""
    sums = [
        abs(sum(s * g for s, g in zip(signs, gaps, strict=True)))
        for signs in product((-1, 1), repeat=len(gaps))
    ]
    return np.mean([value >= abs(sum(gaps)) - 1e-12 for value in sums])


@pytest.mark.parametrize("seed", range(5))
def test_p_is_the_share_of_all_signs_with_a_sum_as_large(seed):
    gaps = np.random.default_rng(seed).normal(0.4, 1, 10).round(1)
    assert compute_flip_p(gaps, seed=0) == pytest.approx(flip_by_definition(gaps), abs=0.02)


def test_p_is_never_nothing_and_at_most_one():
    assert compute_flip_p(np.ones(60), seed=0) == pytest.approx(1 / 10_000)
    assert compute_flip_p(np.array([1.0]), seed=0) == 1.0


def test_copies_of_images_are_no_evidence():
    """The planted fault: taken as subjects of their own, copies make any difference certain."""
    rng = np.random.default_rng(1)
    a, b = np.abs(rng.normal(0, 5, 40)), np.abs(rng.normal(0, 6, 40))
    alone = np.arange(40)
    once = compare_errors({"A": a, "B": b}, clusters=alone, seed=0)
    copied = {"A": np.tile(a, 6), "B": np.tile(b, 6)}
    many = compare_errors(copied, clusters=np.tile(alone, 6), seed=0)
    assert (many.p, many.statistic, many.n_unequal) == (once.p, once.statistic, once.n_unequal)
    faulty = compare_errors(copied, clusters=np.arange(240), seed=0)
    assert faulty.p < 0.5 * once.p


def test_the_subjects_with_the_smaller_error_are_counted():
    errors = {"A": np.array([1.0, 1.0, 3.0, 2.0]), "B": np.array([2.0, 2.0, 2.5, 2.0])}
    found = compare_errors(errors, clusters=np.arange(4), seed=0)
    assert (found.statistic, found.n_unequal, found.n_subjects) == (2.0, 3, 4)
    assert found.kind == "errors"


def test_arms_that_err_alike_are_not_tested():
    errors = np.array([1.0, 2.0])
    found = compare_errors({"A": errors, "B": errors.copy()}, clusters=np.arange(2), seed=0)
    assert found.p is None
    assert found.method == "not tested: both err alike on all subjects"


def test_equal_networks_are_called_unlike_as_rarely_as_they_should():
    rng, n_found = np.random.default_rng(2), 0
    for _ in range(200):
        gaps = rng.standard_t(4, 25)
        n_found += compute_flip_p(gaps, seed=1) < 0.05
    assert 1 <= n_found <= 20
