"""The canonical copy, its certificate, and batches of one fixed size."""

import pytest
import torch
from explain_nets import Tiny
from torch import nn

from medvision.explain.network import (
    canonicalise,
    compute_certificate,
    hash_state,
    pad_batches,
    reference_precision,
)

CPU = torch.device("cpu")


def test_the_copy_is_rewritten_and_the_original_is_not():
    network = Tiny().train()
    found = canonicalise(network, device=CPU)
    assert {change.was for change in found.rewrites} == {"call 2 of act", "works in place"}
    assert not found.network.act.inplace
    assert found.network.act_call2 is not found.network.act
    assert not hasattr(network, "act_call2")
    assert not found.network.training
    assert network.act.inplace
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_certificate_of_a_copy_is_zero_and_of_another_network_is_not():
    network, batch = Tiny().train(), torch.randn(2, 1, 16, 16, 16)
    twin = canonicalise(network, device=CPU).network
    assert compute_certificate(network, twin, batch=batch) == 0
    assert network.training, "comparing must not change the mode"
    with torch.no_grad():
        network.head.bias[1] += 0.5
    assert compute_certificate(network, twin, batch=batch) == pytest.approx(0.5, rel=1e-5)


def test_the_hash_sees_one_weight_and_one_buffer():
    network = Tiny()
    before = hash_state(network)
    assert before == hash_state(Tiny())
    with torch.no_grad():
        network.second.weight[0, 0, 0, 0, 0] *= 1.01
    after = hash_state(network)
    network.norm.running_mean[2] += 1e-6
    assert len({before, after, hash_state(network)}) == 3


class Counting(nn.Module):
    """Remembers the sizes of its batches."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, x):
        self.sizes.append(len(x))
        return x.flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize("n_rows", [1, 3, 4, 9])
def test_the_network_sees_whole_batches_only_and_every_row_once(n_rows):
    network, rows = Counting(), torch.rand(n_rows, 1, 3, 3)
    rows.requires_grad_()
    outputs = pad_batches(network, batch_size=4)(rows)
    assert set(network.sizes) == {4}
    torch.testing.assert_close(outputs, rows.flatten(1).sum(1, keepdim=True))
    (gradient,) = torch.autograd.grad(outputs.sum(), rows)
    torch.testing.assert_close(gradient, torch.ones_like(rows))


def test_logits_do_not_depend_on_companions():
    network, rows = Tiny().eval(), torch.randn(7, 1, 16, 16, 16)
    forward = pad_batches(network, batch_size=4)
    with torch.no_grad():
        together, alone = forward(rows), [forward(row[None]) for row in rows]
    assert torch.equal(together, torch.cat(alone))


def test_precision_is_restored_after_use():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with reference_precision():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
