"""TracIn against plain autograd, and against what a step of gradient descent really does."""

import numpy as np
import pytest
import torch
from torch import nn

from medvision.explain.influence import LastLayer, compute_influence
from medvision.learn.losses import Loss, compute_losses

N_TRAIN, N_CASES, N_FEATURES = 7, 3, 5


def draw(task, *, seed=0, n_outputs=3):
    """Two checkpoints' last layers with what they are given, labels, and a loss."""
    generator = np.random.default_rng(seed)
    layers = [
        LastLayer(
            generator.normal(size=(n_outputs, N_FEATURES)),
            generator.normal(size=n_outputs),
            rate,
            generator.normal(size=(N_TRAIN, N_FEATURES)).astype(np.float32),
            generator.normal(size=(N_CASES, N_FEATURES)).astype(np.float32),
        )
        for rate in (0.1, 0.02)
    ]
    shape = {"classification": (), "multilabel": (n_outputs,), "regression": ()}[task]
    weights = {
        "classification": generator.uniform(0.5, 2, n_outputs),
        "multilabel": generator.uniform(0.5, 2, (n_outputs, 2)),
        "regression": np.ones(1),
    }[task]
    labels = []
    for n_images in (N_TRAIN, N_CASES):
        if task == "regression":
            labels.append(torch.from_numpy(generator.normal(size=n_images)))
        else:
            n_values = n_outputs if task == "classification" else 2
            drawn = torch.from_numpy(generator.integers(0, n_values, (n_images, *shape)))
            labels.append(drawn if task == "classification" else drawn.double())
    if task == "multilabel":
        labels[0][0, 1] = float("nan")
    return layers, labels, torch.from_numpy(weights)


LOSSES = [
    ("classification", "cross_entropy", 0.0),
    ("classification", "focal", 0.1),
    ("multilabel", "cross_entropy", 0.0),
    ("regression", "huber", 0.0),
]


def walk(layers, labels, loss):
    """Oracle: one image after another through a linear layer, by autograd, gradients multiplied."""
    total = np.zeros((N_CASES, N_TRAIN))
    for layer in layers:
        head = nn.Linear(N_FEATURES, len(layer.bias)).double()
        head.weight.data = torch.from_numpy(layer.weight)
        head.bias.data = torch.from_numpy(layer.bias)

        def gradient(row, label, head=head):
            image = torch.from_numpy(row).double()[None]
            value = compute_losses(head(image), label[None], loss).sum()
            return torch.cat([g.flatten() for g in torch.autograd.grad(value, head.parameters())])

        for n, case in enumerate(layer.cases):
            for m, train in enumerate(layer.train):
                product = gradient(case, labels[1][n]) @ gradient(train, labels[0][m])
                total[n, m] += layer.learning_rate * float(product)
    return total


@pytest.mark.parametrize(("task", "name", "smoothing"), LOSSES)
def test_influence_is_the_product_of_autograds_gradients(task, name, smoothing):
    layers, labels, weights = draw(task, n_outputs=1 if task == "regression" else 3)
    loss = Loss(name, weights, label_smoothing=smoothing, task=task)
    found = compute_influence(
        layers,
        train_labels=labels[0],
        case_labels=labels[1],
        loss=lambda logits, own: compute_losses(logits, own, loss).sum(),
    )
    np.testing.assert_allclose(found, walk(layers, labels, loss), rtol=1e-9, atol=1e-12)


def test_it_is_what_a_small_step_on_the_train_image_takes_off_the_other_loss():
    layers, labels, weights = draw("classification", seed=1)
    layer, loss, rate = layers[0], Loss("cross_entropy", weights), 1e-6
    layer = LastLayer(layer.weight, layer.bias, rate, layer.train, layer.cases)
    found = compute_influence(
        [layer],
        train_labels=labels[0],
        case_labels=labels[1],
        loss=lambda logits, own: compute_losses(logits, own, loss).sum(),
    )
    for m in range(N_TRAIN):
        head = nn.Linear(N_FEATURES, 3).double()
        head.weight.data, head.bias.data = map(torch.from_numpy, (layer.weight, layer.bias))
        head.weight.data, head.bias.data = head.weight.data.clone(), head.bias.data.clone()

        def measure(head=head):
            logits = head(torch.from_numpy(layer.cases).double())
            return compute_losses(logits, labels[1], loss).detach().numpy()

        before = measure()
        image = torch.from_numpy(layer.train[m]).double()[None]
        compute_losses(head(image), labels[0][m][None], loss).sum().backward()
        for parameter in head.parameters():
            parameter.data -= rate * parameter.grad
        np.testing.assert_allclose(before - measure(), found[:, m], rtol=1e-3, atol=1e-11)


def test_of_no_checkpoint_it_is_nothing():
    _, labels, _ = draw("classification")
    found = compute_influence(
        [], train_labels=labels[0], case_labels=labels[1], loss=lambda logits, _: logits.sum()
    )
    assert found.shape == (N_CASES, N_TRAIN)
    assert not found.any()
