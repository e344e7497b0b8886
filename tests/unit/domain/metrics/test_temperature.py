"""Temperature: closed form, grid, and what has no best temperature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.domain.metrics.temperature import (
    FITTED,
    LARGEST,
    LEAST,
    compute_nll,
    fit_temperature,
)


def draw(seed: int, n_images: int = 40, n_classes: int = 3, scale: float = 1.0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, n_images)
    logits = generator.normal(size=(n_images, n_classes)) + 1.2 * np.eye(n_classes)[labels]
    return scale * logits, labels


def pair(margins, right):
    """Logits of two classes with given margins for the class that is (not) right."""
    labels = np.arange(len(margins)) % 2
    signs = np.where(labels == 1, 1, -1) * np.where(right, 1, -1)
    return np.stack([-signs * np.array(margins) / 2, signs * np.array(margins) / 2], 1), labels


def test_equal_margins_give_the_temperature_that_makes_accuracy_the_probability():
    """Closed form: with one margin m and a share q right, sigmoid(m / T) = q."""
    logits, labels = pair([4.0] * 10, right=[True] * 8 + [False] * 2)
    found = fit_temperature(logits, labels)
    assert found.value == pytest.approx(4 / np.log(0.8 / 0.2), rel=1e-8)
    assert (found.rule, found.n) == (FITTED, 10)


@given(seed=st.integers(0, 200), scale=st.floats(0.3, 6))
@settings(max_examples=40, deadline=None)
def test_no_temperature_of_a_fine_grid_is_better(seed, scale):
    logits, labels = draw(seed, scale=scale)
    found = fit_temperature(logits, labels)
    grid = np.exp(np.linspace(np.log(LEAST), np.log(LARGEST), 400))
    best = min(compute_nll(logits / t, labels) for t in grid)
    assert found.nll_after == compute_nll(logits / found.value, labels)
    assert found.nll_after <= found.nll_before + 1e-12
    if found.rule == FITTED:
        assert found.nll_after <= best + 1e-12


@given(seed=st.integers(0, 50), factor=st.floats(0.5, 2))
@settings(max_examples=25, deadline=None)
def test_logits_stretched_by_a_factor_have_the_temperature_stretched_by_it(seed, factor):
    logits, labels = draw(seed, n_images=200)
    assert fit_temperature(factor * logits, labels).value == pytest.approx(
        factor * fit_temperature(logits, labels).value, rel=1e-6
    )


def test_the_loss_is_that_of_plain_probabilities():
    logits, labels = draw(3)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    plain = -np.mean([np.log(row[label]) for row, label in zip(shares, labels, strict=True)])
    assert compute_nll(logits, labels) == pytest.approx(plain)


def test_validation_that_is_all_right_keeps_one_and_says_why():
    logits, labels = pair([1.0, 2.0, 3.0, 4.0], right=[True] * 4)
    found = fit_temperature(logits, labels)
    assert found.value == 1
    assert "every validation image is predicted right" in found.rule
    assert found.nll_after == found.nll_before


def test_validation_that_is_predicted_no_better_than_evenly_keeps_one_and_says_why():
    logits, labels = pair([1.0, 2.0, 1.0, 2.0], right=[True, False, False, True])
    found = fit_temperature(-logits + 0.0, labels)
    assert (found.value, "no better than evenly" in found.rule) == (1, True)


def test_constant_logits_keep_one():
    found = fit_temperature(np.zeros((6, 3)), np.array([0, 1, 2, 0, 1, 2]))
    assert found.value == 1


def test_one_class_or_no_image_keeps_one_and_says_why():
    logits, _ = draw(0)
    assert "one class" in fit_temperature(logits, np.zeros(40, dtype=np.intp)).rule
    empty = fit_temperature(np.empty((0, 2)), np.empty(0, dtype=np.intp))
    assert (empty.value, empty.nll_before, empty.n) == (1, None, 0)
    assert "no validation images" in empty.rule


def test_what_lies_beyond_a_bound_is_the_bound_and_says_so():
    nearly = pair([1.0] * 99 + [0.001], right=[True] * 99 + [False])
    low = fit_temperature(nearly[0], nearly[1])
    assert (low.value, "least allowed" in low.rule) == (LEAST, True)
    hardly = pair([9.0] * 100, right=[True] * 51 + [False] * 49)
    high = fit_temperature(10 * hardly[0], hardly[1])
    assert (high.value, "largest allowed" in high.rule) == (LARGEST, True)


def test_a_table_with_nine_digits_reproduces_the_temperature():
    value = fit_temperature(*draw(5)).value
    assert float(f"{value:.9g}") == value
