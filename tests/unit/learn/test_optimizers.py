"""Learning rates by depth, and what an optimiser leaves alone."""

import copy

import pytest
import torch

from medvision.learn.backbones import BACKBONES, blocks, build_backbone
from medvision.learn.optimizers import build_optimizer, group_parameters, set_learning_rate


def make(name, model, *, decay=0.5):
    return build_optimizer(
        name,
        group_parameters(model, blocks("small"), depth_decay=decay),
        learning_rate=0.1,
        weight_decay=0.1,
        momentum=0.9,
    )


def test_each_depth_has_the_rate_that_is_stated():
    model = build_backbone("small", spatial_dims=2, channels=1, n_classes=2)
    optimizer = make("adamw", model)
    set_learning_rate(optimizer, 0.8)
    names = {id(p): name for name, p in model.named_parameters()}
    rates = {names[id(p)]: g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates["class_layers.out.weight"] == 0.8
    assert rates["features.norm5.weight"] == 0.4
    assert rates["features.transition1.conv.weight"] == 0.2
    assert rates["features.conv0.weight"] == rates["features.norm0.bias"] == 0.1


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_parameter_is_in_one_group(name):
    with torch.device("meta"):
        model = build_backbone(name, spatial_dims=2, channels=1, n_classes=2)
    groups = group_parameters(model, blocks(name), depth_decay=0.9)
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    assert len(groups) == len(blocks(name)) + 1


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_parameters_without_a_gradient_do_not_move_by_a_bit(name):
    model = build_backbone("small", spatial_dims=2, channels=1, n_classes=2)
    optimizer = make(name, model)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    model.class_layers.out.bias.grad = torch.ones(2)
    optimizer.step()
    moved = {key for key, t in model.state_dict().items() if not torch.equal(t, before[key])}
    assert moved == {"class_layers.out.bias"}


def test_sgd_is_nesterov_s_formula():
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    optimizer = build_optimizer(
        "sgd",
        group_parameters(model, (), depth_decay=1.0),
        learning_rate=0.1,
        weight_decay=0.2,
        momentum=0.9,
    )
    weight, speed = 1.0, 0.0
    for step in range(4):
        model.weight.grad = torch.full((1, 1), float(step) - 1.5)
        gradient = step - 1.5 + 0.2 * weight
        speed = 0.9 * speed + gradient
        weight -= 0.1 * (gradient + 0.9 * speed)
        optimizer.step()
        assert model.weight.item() == pytest.approx(weight, rel=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_fused_kernel_is_the_plain_formula_but_for_rounding(name):
    torch.manual_seed(0)
    fused = torch.nn.Linear(5, 3)
    plain = copy.deepcopy(fused)
    quick = build_optimizer(
        name,
        group_parameters(fused, (), depth_decay=1.0),
        learning_rate=0.01,
        weight_decay=0.1,
        momentum=0.9,
    )
    assert quick.defaults["fused"]
    slow = {
        "adamw": lambda: torch.optim.AdamW(
            plain.parameters(), lr=0.01, weight_decay=0.1, foreach=False
        ),
        "sgd": lambda: torch.optim.SGD(
            plain.parameters(),
            lr=0.01,
            weight_decay=0.1,
            momentum=0.9,
            nesterov=True,
            foreach=False,
        ),
    }[name]()
    for _ in range(10):
        for a, b in zip(fused.parameters(), plain.parameters(), strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        quick.step()
        slow.step()
    for a, b in zip(fused.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_where_torch_has_no_fused_kernel_the_plain_one_is_taken():
    model = torch.nn.Linear(2, 2, device="meta")
    assert not make_plain(model).defaults["fused"]


def make_plain(model):
    return build_optimizer(
        "adamw",
        group_parameters(model, (), depth_decay=1.0),
        learning_rate=0.1,
        weight_decay=0.0,
        momentum=0.0,
    )
