"""Linear CKA against HSIC written out with its kernels, and what it must not see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.scorecard.similarity import compute_similarity
from medvision.errors import DataError


def draw(n: int, p: int, *, seed: int):
    return np.random.default_rng(seed).normal(size=(n, p))


def slow_plain(x, y) -> float:
    """Kornblith 2019, equations 3 and 4: tr(KHLH) with the n by n kernels."""
    n = len(x)
    centring = np.eye(n) - np.ones((n, n)) / n

    def hsic(a, b) -> float:
        return np.trace(a @ a.T @ centring @ b @ b.T @ centring) / (n - 1) ** 2

    return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


def slow_debiased(x, y) -> float:
    """Song 2012, equation 5, with sums over images written out."""
    n = len(x)

    def hsic(a, b) -> float:
        k = [[float(a[i] @ a[j]) * (i != j) for j in range(n)] for i in range(n)]
        m = [[float(b[i] @ b[j]) * (i != j) for j in range(n)] for i in range(n)]
        pairs = sum(k[i][j] * m[i][j] for i in range(n) for j in range(n))
        both = sum(map(sum, k)) * sum(map(sum, m)) / ((n - 1) * (n - 2))
        chain = sum(sum(k[i]) * sum(m[i]) for i in range(n))
        return (pairs + both - 2 * chain / (n - 2)) / (n * (n - 3))

    return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


@given(n=st.integers(5, 14), p=st.integers(1, 6), q=st.integers(1, 6), seed=st.integers(0, 99))
def test_both_estimators_equal_their_formulas_written_out(n, p, q, seed):
    x = draw(n, p, seed=seed)
    y = x[:, :1] + draw(n, q, seed=seed + 1)
    found = compute_similarity(x, y)
    assert found.plain == pytest.approx(slow_plain(x, y), rel=1e-9)
    if found.debiased is not None:
        assert found.debiased == pytest.approx(min(slow_debiased(x, y), 1), rel=1e-6, abs=1e-9)


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-5, 5), seed=st.integers(0, 99))
def test_turning_scaling_and_shifting_changes_nothing(scale, shift, seed):
    x, y = draw(20, 4, seed=seed), draw(20, 6, seed=seed + 1)
    turn = np.linalg.qr(draw(6, 6, seed=seed + 2))[0]
    one, other = compute_similarity(x, y), compute_similarity(x, scale * y @ turn + shift)
    assert other.plain == pytest.approx(one.plain, rel=1e-7)
    assert other.debiased == pytest.approx(one.debiased, rel=1e-6, abs=1e-8)


def test_stretching_one_direction_is_seen():
    x = draw(30, 4, seed=0)
    assert compute_similarity(x, x * [10, 1, 1, 1]).plain < 0.9


@given(n=st.integers(4, 30), p=st.integers(1, 8), seed=st.integers(0, 99))
def test_a_representation_equals_itself(n, p, seed):
    x = draw(n, p, seed=seed)
    found = compute_similarity(x, x)
    assert found.plain == pytest.approx(1)
    # With hardly more images than channels there may be no variation beyond chance.
    assert found.debiased is None or found.debiased == pytest.approx(1)


def test_unrelated_ones_are_told_apart_by_the_debiased_estimator_alone():
    found = [compute_similarity(draw(40, 200, seed=s), draw(40, 200, seed=s + 1)) for s in range(9)]
    assert np.mean([each.plain for each in found]) > 0.7
    assert abs(np.mean([each.debiased for each in found])) < 0.05


def test_what_cannot_be_told_is_none():
    x = draw(8, 3, seed=0)
    assert compute_similarity(x, np.full((8, 2), 0.1)).plain is None
    assert compute_similarity(x[:3], x[:3]).debiased is None
    assert compute_similarity(x[:3], x[:3]).plain == pytest.approx(1)


def test_other_images_and_broken_numbers_are_refused():
    x = draw(8, 3, seed=0)
    with pytest.raises(DataError, match="same images, got 8 and 7"):
        compute_similarity(x, x[:7])
    with pytest.raises(DataError, match="finite"):
        compute_similarity(x, x * np.nan)
