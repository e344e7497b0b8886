"""Validation figures against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from medvision.learn.scores import compute_class_weights, compute_scores


def draw(n_classes):
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(n_classes), [40, 20, 10][:n_classes])
    logits = generator.normal(size=(len(labels), n_classes)).astype(np.float32).round(1)
    logits[np.arange(len(labels)), labels] += 1
    return logits, labels


def softmax(logits):
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_agree_with_scikit_learn(n_classes):
    logits, labels = draw(n_classes)
    weights = compute_class_weights(labels, n_classes)
    scores = compute_scores(logits, labels, class_weights=weights)
    shares = softmax(logits)
    expected = roc_auc_score(labels, shares[:, 1] if n_classes == 2 else shares, multi_class="ovr")
    assert scores.auc == pytest.approx(expected, abs=1e-12)
    assert scores.loss == pytest.approx(log_loss(labels, shares, sample_weight=weights[labels]))
    assert scores.accuracy == (logits.argmax(1) == labels).mean()


def test_absent_class_has_no_auc():
    logits, labels = draw(2)
    scores = compute_scores(logits[:40], labels[:40], class_weights=np.ones(2))
    assert scores.auc is None


def test_class_weights_give_every_class_the_same_weight_in_all():
    labels = np.repeat([0, 1], [30, 10])
    weights = compute_class_weights(labels, 2)
    assert weights[0] * 30 == pytest.approx(weights[1] * 10)
    assert weights[labels].mean() == pytest.approx(1)
