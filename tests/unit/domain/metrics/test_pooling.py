"""Pooling: against the plain mean of probabilities, and its bound on the loss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medvision.domain.metrics.pooling import pool_logits

MEMBERS = arrays(np.float64, (3, 5, 4), elements=st.floats(-30, 30))
LABELS = arrays(np.intp, 5, elements=st.integers(0, 3))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


@given(logits=MEMBERS)
def test_pooled_classes_have_the_mean_of_the_probabilities(logits):
    assert softmax(pool_logits(logits, "softmax")) == pytest.approx(softmax(logits).mean(axis=0))


@given(logits=MEMBERS)
def test_pooled_findings_have_the_mean_of_the_probabilities(logits):
    assert sigmoid(pool_logits(logits, "sigmoid")) == pytest.approx(sigmoid(logits).mean(axis=0))


def test_pooled_values_are_the_mean_of_the_values():
    assert pool_logits(np.array([[[1.0]], [[4.0]]]), "identity").tolist() == [[2.5]]


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_one_member_keeps_its_own_logits_bit_for_bit(link):
    logits = np.random.default_rng(0).normal(size=(1, 6, 3)).astype(np.float32)
    assert np.array_equal(pool_logits(logits, link), logits[0])


@given(logits=MEMBERS, labels=LABELS)
@settings(max_examples=60)
def test_the_pool_never_loses_more_than_its_members_do_on_average(logits, labels):
    """Jensen: of the log loss and of the squared error, image by image."""
    rows = np.arange(5)
    pooled = pool_logits(logits, "softmax")

    def loss(z):
        return np.logaddexp.reduce(z, axis=-1) - z[..., rows, labels]

    def brier(z):
        return ((softmax(z) - np.eye(4)[labels]) ** 2).sum(axis=-1)

    assert (loss(pooled) <= loss(logits).mean(axis=0) + 1e-9).all()
    assert (brier(pooled) <= brier(logits).mean(axis=0) + 1e-9).all()


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_members_that_are_very_sure_do_not_saturate(link):
    pooled = pool_logits(np.array([[[900.0, -900.0]], [[800.0, -800.0]]]), link)
    assert np.isfinite(pooled).all()
    assert pooled[0, 0] > pooled[0, 1]


def test_the_order_of_the_members_does_not_matter():
    logits = np.random.default_rng(1).normal(size=(4, 6, 3))
    assert pool_logits(logits[::-1], "softmax") == pytest.approx(pool_logits(logits, "softmax"))
