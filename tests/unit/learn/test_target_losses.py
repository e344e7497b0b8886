"""Losses, weights and scores of findings and values, against formulas, torch and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from medvision.learn.losses import Loss, compute_losses, weigh_images
from medvision.learn.scores import compute_finding_weights, score

NAN = math.nan
LABELS = torch.tensor([[1.0, 0.0, NAN], [0.0, 1.0, 1.0], [NAN, NAN, 0.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([[0.5, 2.0], [1.0, 1.0], [0.7, 3.0]], dtype=torch.float64)


def slow(logit, label, *, weights, gamma, smoothing, is_focal):
    if math.isnan(label):
        return 0.0
    p = 1 / (1 + math.exp(-logit))
    right = p if label else 1 - p
    weight = weights[1] if label else weights[0]
    if is_focal:
        return -weight * (1 - right) ** gamma * math.log(right)
    share = smoothing / 2
    return -weight * ((1 - share) * math.log(right) + share * math.log(1 - right))


@given(
    st.lists(st.floats(-8, 8), min_size=9, max_size=9),
    st.sampled_from(["cross_entropy", "focal"]),
    st.floats(0, 4),
    st.floats(0, 0.5),
)
def test_findings_losses_are_their_formulas(values, name, gamma, smoothing):
    logits = torch.tensor(values, dtype=torch.float64).reshape(3, 3)
    smoothing = smoothing if name == "cross_entropy" else 0.0
    loss = Loss(name, WEIGHTS, focal_gamma=gamma, label_smoothing=smoothing, task="multilabel")
    kinds = {"gamma": gamma, "smoothing": smoothing, "is_focal": name == "focal"}
    expected = [
        sum(
            slow(float(x), float(y), weights=w.tolist(), **kinds)
            for x, y, w in zip(row, truth, WEIGHTS, strict=True)
        )
        for row, truth in zip(logits, LABELS, strict=True)
    ]
    ours = compute_losses(logits, LABELS, loss)
    assert ours.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_known_findings_have_torch_s_loss_with_positive_weights():
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    labels = (torch.rand(8, 3, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    ratio = torch.tensor([2.0, 5.0, 0.5])
    loss = Loss("cross_entropy", torch.stack([torch.ones(3), ratio], 1), task="multilabel")
    theirs = functional.binary_cross_entropy_with_logits(
        logits, labels, pos_weight=ratio, reduction="sum"
    )
    assert float(compute_losses(logits, labels, loss).sum()) == pytest.approx(float(theirs))


def test_an_unknown_finding_moves_no_weight():
    logits = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    compute_losses(
        logits, LABELS, Loss("cross_entropy", WEIGHTS, task="multilabel")
    ).sum().backward()
    assert logits.grad is not None
    assert ((logits.grad == 0) == LABELS.isnan()).all()


def test_an_image_weighs_as_its_known_findings_do():
    loss = Loss("cross_entropy", WEIGHTS, task="multilabel")
    assert weigh_images(LABELS, loss).tolist() == pytest.approx([3.0, 4.5, 0.7])
    values = Loss("mse", torch.ones(1), task="regression")
    assert weigh_images(torch.tensor([1.0, -2.0]), values).tolist() == [1, 1]


@pytest.mark.parametrize(("name", "expected"), [("mse", [0.25, 9.0]), ("huber", [0.125, 2.5])])
def test_losses_of_values_are_their_formulas(name, expected):
    loss = Loss(name, torch.ones(1), task="regression")
    outputs, values = torch.tensor([[1.5], [-2.0]]), torch.tensor([1.0, 1.0])
    assert compute_losses(outputs, values, loss).tolist() == pytest.approx(expected)


def test_each_finding_weighs_as_much_in_all_and_both_its_sides_too():
    labels = np.array([[1, 0], [0, 0], [0, 1], [0, np.nan]], np.float32)
    weights = compute_finding_weights(labels)
    for n, column in enumerate(labels.T):
        sides = [(column == value).sum() * weights[n, value] for value in (0, 1)]
        assert sides[0] == pytest.approx(sides[1])
        assert sum(sides) == pytest.approx((~np.isnan(column)).sum())


def test_findings_are_scored_where_they_are_known():
    rng = np.random.default_rng(0)
    labels = (rng.random((40, 3)) < 0.4).astype(np.float32)
    labels[:10, 1] = np.nan
    labels[:, 2] = 0
    logits = rng.normal(0, 1, (40, 3)).astype(np.float32)
    found = score(logits, labels, task="multilabel", class_weights=np.ones((3, 2)), unit=1.0)
    # The third finding is in no image: it has no area, and the mean is of the other two.
    areas = [roc_auc_score(labels[k:, n], logits[k:, n]) for n, k in ((0, 0), (1, 10))]
    assert found.auc == pytest.approx(np.mean(areas))
    known = ~np.isnan(labels)
    assert found.accuracy == pytest.approx(((logits > 0) == (labels == 1))[known].mean())
    entries = functional.binary_cross_entropy_with_logits(
        torch.from_numpy(logits[known]), torch.from_numpy(labels[known])
    )
    assert found.loss == pytest.approx(float(entries), rel=1e-6)
    assert set(found.figures) == {"validation_accuracy", "validation_auc"}


def test_a_value_s_mean_absolute_error_is_in_its_own_unit():
    outputs = np.array([[0.5], [-1.0]], np.float32)
    labels = np.array([0.0, 1.0], np.float32)
    found = score(outputs, labels, task="regression", class_weights=np.ones(1), unit=12.0)
    assert found.mae == pytest.approx(12 * 1.25)
    assert found.loss == pytest.approx((0.25 + 4) / 2)
    assert found.figures == {"validation_mae": found.mae}
