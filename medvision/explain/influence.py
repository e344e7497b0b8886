"""TracIn: what each train image did to the loss of another, by the last layer's gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from captum.influence import TracInCPFast
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import TensorDataset

Floats = NDArray[np.floating]

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (B, C) float64, labels) -> sum of the images' losses, a scalar."""


@dataclass(frozen=True)
class LastLayer:
    """A network's last layer at one checkpoint, and what it was given.

    Args:
        weight: (C, P).
        bias: (C,).
        learning_rate: Of the step in which the checkpoint was left.
        train: (M, P) features of train images.
        cases: (N, P) features of explained images.
    """

    weight: Floats
    bias: Floats
    learning_rate: float
    train: Floats
    cases: Floats


def compute_influence(
    layers: Sequence[LastLayer], *, train_labels: Tensor, case_labels: Tensor, loss: Loss
) -> NDArray[np.float64]:
    """Compute the influence of M train images on the losses of N others, by TracInCP.

    It is the sum over checkpoints of learning rate times the product of both images' gradients in
    the last layer: what a step of gradient descent on the train image alone would have taken off
    the other's loss. The bias counts as the weight of a feature that is always 1, which Captum's
    own way with it leaves out.

    Args:
        layers: The last layer at each checkpoint; the sum over none is 0.
        train_labels: Labels as the loss takes them, (M, ...).
        case_labels: (N, ...).
        loss: What the network was trained to make small.

    Returns:
        (N, M) in nats: above 0 where the train image lowered the loss, below 0 where it raised it.

    Source:
        Pruthi et al. 2020, "Estimating training data influence by tracing gradient descent",
        NeurIPS, arXiv:2002.08484, section 3.3 (checkpoints) and appendix F (last layer); Captum's
        TracInCPFast.
    """
    total = np.zeros((len(case_labels), len(train_labels)))
    for layer in layers:
        total += _trace(layer, train_labels=train_labels, case_labels=case_labels, loss=loss)
    return total


def _trace(
    layer: LastLayer, *, train_labels: Tensor, case_labels: Tensor, loss: Loss
) -> NDArray[np.float64]:
    """Return one checkpoint's part of the sum, (N, M)."""
    weights = torch.from_numpy(np.column_stack([layer.weight, layer.bias]).astype(np.float64))
    head = nn.Linear(weights.shape[1], weights.shape[0], bias=False, dtype=torch.float64)
    head.weight.data.copy_(weights)
    train, cases = _add_one(layer.train), _add_one(layer.cases)
    tracer = TracInCPFast(
        head,
        head,
        TensorDataset(train, train_labels),
        checkpoints=[layer.learning_rate],
        # The head has the checkpoint's weights already: what is loaded is the rate alone.
        checkpoints_load_func=lambda _, rate: rate,
        loss_fn=_Sum(loss),
        batch_size=len(train),
    )
    found: NDArray[np.float64] = tracer.influence((cases, case_labels)).detach().numpy()
    return found


class _Sum(nn.Module):
    """A loss that says that it is a sum, which Captum asks."""

    reduction = "sum"

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the sum of the images' losses."""
        return self.loss(logits, labels)


def _add_one(features: Floats) -> Tensor:
    """Return features (n, P + 1) float64, the last of them 1."""
    ones = np.ones(len(features))
    return torch.from_numpy(np.column_stack([features, ones]).astype(np.float64))
