"""A compiled forward pass is the network's own but for its speed, and never a way to fail."""

import functools
import logging

import pytest
import torch
from fits import examples, fit
from toy_study import make_images

from medvision.learn import train
from medvision.learn.backbones import build_backbone
from medvision.learn.compiling import compile_forward

CPU = torch.device("cpu")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_backbone("small", spatial_dims=2, channels=1, n_classes=2)


def fail(_):
    raise OSError("no C++ compiler")


def fail_backwards(network):
    """What lazy compilers do: the forward pass is fine, the backward one is not."""

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(*given):
            return given[1].clone()

        @staticmethod
        def backward(*_):
            raise RuntimeError("BackendCompilerFailed: no Triton\nand much more")

    return lambda images: Broken.apply(network(images))


@pytest.mark.parametrize(("compiler", "said"), [(fail, "no C"), (fail_backwards, "no Triton")])
def test_what_cannot_be_compiled_is_trained_as_it_is_after_one_warning(
    model, caplog, compiler, said
):
    with caplog.at_level(logging.WARNING, logger="medvision"):
        forward = compile_forward(model, shape=(4, 1, 16, 16), device=CPU, compiler=compiler)
    assert forward is model
    assert len(caplog.records) == 1
    assert said in caplog.text
    assert "much more" not in caplog.text


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_the_trial_changes_nothing_and_names_stay(model, backend):
    before = {name: t.clone() for name, t in model.state_dict().items()}
    state = torch.get_rng_state()
    compiler = functools.partial(torch.compile, backend=backend)
    forward = compile_forward(model, shape=(4, 1, 16, 16), device=CPU, compiler=compiler)
    assert forward is not model
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())
    images = torch.randn(4, 1, 16, 16)
    assert torch.allclose(forward(images), model(images), atol=1e-5)


def test_a_compiled_training_is_the_plain_one_but_for_rounding(monkeypatch):
    images = examples(*make_images(20, seed=0, spatial_dims=2))
    seen = []

    def compile_eagerly(model, **names):
        seen.append(names["shape"])
        compiler = functools.partial(torch.compile, backend="eager")
        return compile_forward(model, compiler=compiler, **names)

    monkeypatch.setattr(train, "compile_forward", compile_eagerly)
    ends = []
    for switch in ("on", "off"):
        torch.manual_seed(0)
        model = build_backbone("small", spatial_dims=2, channels=1, n_classes=2)
        ends.append(fit(images, images, model=model, epochs=2, compile=switch, optimizer="sgd"))
    assert seen == [(8, 1, 16, 16)]
    on, off = (end.tensors for end in ends)
    assert list(on) == list(off)
    assert max(float((on[n].double() - off[n].double()).abs().max()) for n in on) < 1e-5
