"""Each loss against its formula, written out image by image."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from medvision.learn.losses import Loss, compute_losses


def slow(row, label, *, weights, gamma, smoothing, is_focal):
    exponentials = [math.exp(x) for x in row]
    shares = [x / sum(exponentials) for x in exponentials]
    if is_focal:
        return -weights[label] * (1 - shares[label]) ** gamma * math.log(shares[label])
    wanted = [smoothing / len(row) + (1 - smoothing) * (n == label) for n in range(len(row))]
    return -weights[label] * sum(q * math.log(p) for q, p in zip(wanted, shares, strict=True))


@given(
    st.lists(st.lists(st.floats(-8, 8), min_size=3, max_size=3), min_size=1, max_size=5),
    st.sampled_from(["cross_entropy", "focal"]),
    st.floats(0, 4),
    st.floats(0, 0.5),
)
def test_losses_are_their_formulas(rows, name, gamma, smoothing):
    weights = [0.5, 1.0, 3.0]
    labels = [n % 3 for n in range(len(rows))]
    loss = Loss(
        name,
        torch.tensor(weights, dtype=torch.float64),
        focal_gamma=gamma,
        label_smoothing=smoothing if name == "cross_entropy" else 0.0,
    )
    ours = compute_losses(torch.tensor(rows, dtype=torch.float64), torch.tensor(labels), loss)
    expected = [
        slow(
            row,
            label,
            weights=weights,
            gamma=gamma,
            smoothing=smoothing,
            is_focal=name == "focal",
        )
        for row, label in zip(rows, labels, strict=True)
    ]
    assert ours.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_batch_of_equal_weights_has_torch_s_loss(smoothing):
    logits = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    loss = Loss("cross_entropy", torch.ones(4), label_smoothing=smoothing)
    theirs = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    assert compute_losses(logits, labels, loss).mean() == pytest.approx(float(theirs), rel=1e-6)


def test_a_weighted_batch_has_torch_s_loss():
    logits = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 1, 1, 0, 1, 1])
    weights = torch.tensor([1.75, 0.7])
    ours = compute_losses(logits, labels, Loss("cross_entropy", weights)).sum()
    theirs = functional.cross_entropy(logits, labels, weight=weights)
    assert ours / weights[labels].sum() == pytest.approx(float(theirs), rel=1e-6)


def test_focal_turns_from_what_is_right_already():
    logits = torch.tensor([[4.0, 0.0], [-4.0, 0.0]])
    labels = torch.tensor([0, 0])
    plain = compute_losses(logits, labels, Loss("cross_entropy", torch.ones(2)))
    focal = compute_losses(logits, labels, Loss("focal", torch.ones(2), focal_gamma=2.0))
    assert focal[0] / plain[0] < 0.001
    assert focal[1] / plain[1] > 0.9


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_has_a_finite_gradient_where_the_image_is_quite_right(gamma):
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = Loss("focal", torch.ones(2), focal_gamma=gamma)
    compute_losses(logits, torch.tensor([0]), loss).sum().backward()
    assert torch.isfinite(logits.grad).all()
