"""The rewrite: each activation its own module, the same logits, the same weights; and what is said
where that cannot be done."""

import copy

import pytest
import torch
from captum.attr import DeepLift, GuidedBackprop, Saliency
from explain_nets import Tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from medvision.errors import ExplanationError
from medvision.explain.network import (
    CERTIFICATE_LIMIT,
    canonicalise,
    hash_state,
    prove_canonical,
)
from medvision.explain.rewrite import ACTIVATIONS, FUNCTIONS
from medvision.explain.witness import find_hidden
from medvision.learn.backbones import BACKBONES, build_backbone, gradcam_layer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")

CPU = torch.device("cpu")
SIZE = (40, 33, 32)


def build(backbone, spatial_dims):
    torch.manual_seed(0)
    network = build_backbone(backbone, spatial_dims=spatial_dims, channels=1, n_classes=2)
    return network.eval(), torch.rand(2, 1, *SIZE[:spatial_dims])


class Functional(nn.Module):
    """The same rectifier in four ways of writing, none of them a module."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Conv2d(n, 4, 3, padding=1) for n in (1, 4, 4, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = functional.relu(self.layers[0](x), inplace=True)
        x = torch.relu(self.layers[1](x))
        x = self.layers[2](x).relu()
        x = self.layers[3](x).relu_()
        return self.head(functional.leaky_relu(x, 0.2).flatten(2).mean(2))


class Branching(nn.Module):
    """Asks for a value before it goes on, which no tracing can follow."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)

    def forward(self, x):
        x = self.stem(x)
        if x.mean() > 100:
            x = x / 100
        return self.head(functional.relu(x).flatten(2).mean(2))


class Aliasing(nn.Module):
    """Uses a tensor after it was rectified in place: out of place its logits are others."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.act, self.head = nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Linear(3, 2)

    def forward(self, x):
        x = self.stem(x)
        y = self.act(x)
        return self.head((x + y).flatten(2).mean(2))


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_every_backbone_is_rewritten_whole_and_answers_as_before(backbone, spatial_dims):
    network, images = build(backbone, spatial_dims)
    before = hash_state(network)
    canonical, proof = prove_canonical(network, device=CPU, batch=images)
    assert (proof.certificate, proof.hidden) == (0, ())
    assert hash_state(network) == canonical.state_hash == before
    places = [
        name
        for name, module in canonical.network.named_modules(remove_duplicate=False)
        if isinstance(module, ACTIVATIONS)
    ]
    assert len({id(canonical.network.get_submodule(name)) for name in places}) == len(places)
    assert not any(getattr(m, "inplace", False) for m in canonical.network.modules())


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_the_layer_of_gradcam_is_still_called_and_has_a_grid(backbone):
    network, images = build(backbone, 3)
    twin, shapes = canonicalise(network, device=CPU).network, []
    layer = twin.get_submodule(gradcam_layer(backbone))
    layer.register_forward_hook(lambda _, __, output: shapes.append(output.shape))
    twin(images)
    assert len(shapes) == 1
    assert len(shapes[0]) == images.ndim


def test_deeplift_raises_on_monais_resnet_and_not_on_its_copy():
    network, images = build("resnet18", 2)
    baseline = torch.zeros_like(images)
    with pytest.raises(RuntimeError, match=r"module.*more than once|reused|module only once"):
        DeepLift(network).attribute(images, baseline, target=1)
    twin = canonicalise(network, device=CPU).network
    assert DeepLift(twin).attribute(images, baseline, target=1).isfinite().all()


def test_guided_backprop_is_silently_saliency_without_the_rewrite():
    network, images = Functional().eval(), torch.randn(2, 1, 9, 8)
    plain = Saliency(network).attribute(images, target=1, abs=False)
    assert torch.equal(GuidedBackprop(network).attribute(images, target=1), plain)
    twin = canonicalise(network, device=CPU).network
    guided = GuidedBackprop(twin).attribute(images, target=1)
    assert torch.equal(Saliency(twin).attribute(images, target=1, abs=False), plain)
    assert not torch.allclose(guided, plain)


def test_every_way_of_writing_becomes_a_module_and_is_told():
    network, images = Functional().eval(), torch.randn(2, 1, 9, 8)
    assert [found.call for found in find_hidden(network, images)] == [
        *("function relu in place", "function relu", "function leaky_relu"),
    ]
    canonical, proof = prove_canonical(network, device=CPU, batch=images)
    assert (proof.certificate, proof.hidden) == (0, ())
    assert [change.was for change in canonical.rewrites] == [
        *("function relu", "function relu", "Tensor.relu", "Tensor.relu"),
        "function leaky_relu",
    ]
    assert canonical.network.leaky_relu.negative_slope == 0.2


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_function_has_the_module_that_computes_the_same(name):
    class One(nn.Module):
        def forward(self, x):
            return getattr(functional, name)(x)

    x = torch.randn(1000) * 4
    twin = canonicalise(One(), device=CPU).network
    assert torch.equal(twin(x), One()(x))
    assert isinstance(getattr(twin, name), FUNCTIONS[name])


def test_one_activation_at_two_places_becomes_two():
    act = nn.ReLU()
    network = nn.Sequential(nn.Conv2d(1, 2, 3), act, nn.Conv2d(2, 2, 3), act).eval()
    twin = canonicalise(network, device=CPU).network
    assert twin[1] is not twin[3]
    assert network[1] is network[3]


def test_a_copy_of_the_copy_computes_with_its_own_weights():
    first = canonicalise(Tiny(2).eval(), device=CPU).network
    second, image = copy.deepcopy(first), torch.rand(1, 1, 16, 16)
    nn.init.zeros_(second.head.weight)
    assert torch.equal(second(image)[0], second.head.bias)
    assert not torch.equal(first(image)[0], first.head.bias)


def test_code_that_cannot_be_followed_is_left_and_named():
    images = torch.rand(1, 1, 9, 8)
    canonical, proof = prove_canonical(Branching(), device=CPU, batch=images)
    assert canonical.rewrites == ()
    assert proof.certificate == 0
    assert "function relu" in proof.explain_hidden()
    assert "TraceError" in proof.explain_hidden()


@pytest.mark.parametrize("write", [lambda x: x.clamp(min=0), lambda x: torch.maximum(x, x * 0)])
def test_a_rectifier_in_disguise_is_left_and_named(write):
    class Disguised(Tiny):
        def forward(self, x):
            return self.head(write(self.second(self.act(self.first(x)))).flatten(2).mean(2))

    canonical, proof = prove_canonical(Disguised(2), device=CPU, batch=torch.rand(1, 1, 16, 16))
    assert [change.was for change in canonical.rewrites] == ["works in place"]
    assert "no module stands for it" in proof.explain_hidden()


def test_a_rewrite_that_changes_the_logits_is_taken_back():
    images = torch.rand(1, 1, 9, 8)
    rewritten = canonicalise(Aliasing(), device=CPU).network
    with torch.no_grad():
        assert (rewritten(images) - Aliasing()(images)).abs().max() > CERTIFICATE_LIMIT
    canonical, proof = prove_canonical(Aliasing(), device=CPU, batch=images)
    assert (canonical.rewrites, proof.certificate) == ((), 0)
    assert canonical.network.act.inplace
    assert "changed a logit by" in proof.explain_hidden()


class Restless(Tiny):
    """Drops channels by chance, whatever mode it is in."""

    def forward(self, x):
        return super().forward(functional.dropout(x, 0.5, training=True))


class Undefined(Tiny):
    """Its logits are no numbers."""

    def forward(self, x):
        return super().forward(x) * float("nan")


@pytest.mark.parametrize("kind", [Restless, Undefined])
def test_a_network_that_no_copy_answers_like_is_not_explained(kind):
    with pytest.raises(ExplanationError, match=r"must be within 0\.0001"):
        prove_canonical(kind(2), device=CPU, batch=torch.rand(1, 1, 16, 16))


class Mistraced(Tiny):
    """Its optional argument would be fixed by the rewrite, and changes the logits."""

    class Block(nn.Module):
        def forward(self, x, scale=1.0):
            return functional.relu(x) * scale

    def __init__(self):
        super().__init__(2)
        self.block = Mistraced.Block()

    def forward(self, x):
        x = self.block(self.first(x), 3.0)
        return self.head(self.act(self.second(x)).flatten(2).mean(2))


def test_what_works_in_place_is_undone_even_where_the_rest_cannot_be():
    canonical, proof = prove_canonical(Mistraced(), device=CPU, batch=torch.rand(1, 1, 16, 16))
    assert [change.was for change in canonical.rewrites] == ["works in place"]
    assert proof.certificate == 0
    assert "function relu" in proof.explain_hidden()


def test_an_activation_called_twice_is_seen_where_it_was_not_rewritten():
    found = find_hidden(Tiny(2).eval(), torch.rand(1, 1, 16, 16))
    assert {hidden.module for hidden in found} == {"act"}
    assert [hidden.call for hidden in found] == ["called 2 times", "works in place"]


WRITINGS = {
    "module": lambda self, x: self.act(x),
    "function": lambda _, x: functional.relu(x),
    "method": lambda _, x: x.relu(),
    "in place": lambda _, x: torch.relu_(x),
    "elu": lambda _, x: functional.elu(x, alpha=0.5),
    "tanh": lambda _, x: torch.tanh(x),
}


class Written(nn.Module):
    """A chain of convolutions, each followed by an activation written in one of several ways."""

    def __init__(self, ways):
        super().__init__()
        self.ways, self.act = ways, nn.ReLU(inplace=True)
        self.layers = nn.ModuleList(nn.Conv1d(2, 2, 3, padding=1) for _ in ways)

    def forward(self, x):
        for layer, way in zip(self.layers, self.ways, strict=True):
            x = WRITINGS[way](self, layer(x))
        return x.mean(2)


@settings(max_examples=40, deadline=None)
@given(ways=st.lists(st.sampled_from(sorted(WRITINGS)), min_size=1, max_size=6))
def test_however_activations_are_written_each_becomes_a_module_and_the_logits_stay(ways):
    network = Written(ways)
    before = hash_state(network)
    canonical, proof = prove_canonical(network, device=CPU, batch=torch.randn(2, 2, 7))
    assert (proof.certificate, proof.hidden, canonical.state_hash) == (0, (), before)
    calls = []
    for module in canonical.network.modules():
        if isinstance(module, ACTIVATIONS):
            module.register_forward_hook(lambda *_: calls.append(1))
    canonical.network(torch.randn(2, 2, 7))
    assert len(calls) == len(ways)
