"""What is refused, and why: no rule, nothing to guide, a wrong sum, a map under another name."""

import pytest
import torch
from explain_nets import Detector, Linear, Tiny, make_settings
from torch import nn
from torch.nn import functional

from medvision.config.explain import REFUSED
from medvision.config.model import build_study
from medvision.errors import ConfigError
from medvision.explain.applicability import find_refusals, judge_attribution
from medvision.explain.methods import METHODS, InapplicableError, attribute, paths
from medvision.explain.network import prove_canonical
from medvision.explain.own_inputs import own_inputs
from medvision.learn.backbones import build_backbone

CPU = torch.device("cpu")
GUIDED = {"guided_backprop", "guided_gradcam"}


def refuse(network, image):
    canonical, proof = prove_canonical(network.eval(), device=CPU, batch=image)
    return canonical, find_refusals(canonical.network, proof, methods=tuple(METHODS))


def run(network, image, method, **changes):
    canonical, _ = prove_canonical(network.eval(), device=CPU, batch=image)
    settings = make_settings(**changes)
    return attribute(
        canonical.network,
        image,
        method=method,
        target=1,
        layer="act",
        settings=settings,
        seed=0,
    )


@pytest.mark.parametrize(
    ("backbone", "refused"),
    [
        ("small", set()),
        ("resnet18", set()),
        ("squeezenet1_1", set()),
        ("mobilenet_v2", {"deeplift", *GUIDED}),
        ("efficientnet_b0", {"deeplift", *GUIDED}),
    ],
)
def test_each_backbone_is_refused_what_its_activations_do_not_allow(backbone, refused):
    network = build_backbone(backbone, spatial_dims=2, channels=1, n_classes=2)
    _, reasons = refuse(network, torch.rand(1, 1, 33, 40))
    assert set(reasons) == refused
    kind = {"mobilenet_v2": "ReLU6", "efficientnet_b0": "Swish"}.get(backbone, "")
    assert all(kind in reason for reason in reasons.values())


@pytest.mark.parametrize(
    "activation",
    [*(nn.SiLU, nn.GELU, nn.ReLU6, nn.Hardswish, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink)],
)
def test_deeplift_is_refused_where_it_has_no_rule(activation):
    network = Tiny(2)
    network.act = activation()
    _, reasons = refuse(network, torch.rand(1, 1, 16, 16))
    assert activation.__name__ in reasons["deeplift"]
    assert set(reasons) == {"deeplift", *GUIDED}


def test_a_network_with_relu_and_something_else_is_not_guided():
    network = nn.Sequential(Tiny(2), nn.LeakyReLU())
    _, reasons = refuse(network, torch.rand(1, 1, 16, 16))
    assert set(reasons) == GUIDED
    assert "LeakyReLU" in reasons["guided_backprop"]


class Branching(Tiny):
    """Tiny with functions, in code that cannot be followed."""

    def forward(self, x):
        if float(x.detach().sum()) == 0:
            return x
        x = functional.relu(self.first(x))
        return self.head(self.act(self.second(x)).flatten(2).mean(2))


def test_what_needs_the_rewrite_is_refused_where_code_cannot_be_followed_and_others_go_on():
    image = torch.rand(1, 1, 16, 16)
    canonical, reasons = refuse(Branching(2), image)
    assert set(reasons) == {"deeplift", *GUIDED}
    assert "function relu" in reasons["deeplift"]
    assert canonical.untraced[""] in reasons["deeplift"]
    for method in set(METHODS) - set(reasons):
        assert run(Branching(2), image, method).grid.any(), method


class Aliasing(Tiny):
    """Uses a layer's output again after an activation changed it in place."""

    def forward(self, x):
        x = self.second(self.first(x))
        return self.head((self.act(x) + x).flatten(2).mean(2))


def test_gradcam_is_refused_where_its_layer_may_be_changed_before_it_is_looked_at():
    _, reasons = refuse(Aliasing(2), torch.rand(1, 1, 16, 16))
    assert "works in place" in reasons["layer_gradcam"]
    assert "changed a logit by" in reasons["layer_gradcam"]
    assert "saliency" not in reasons


def test_guided_methods_are_refused_where_a_copy_of_the_input_makes_another_network():
    network, image = Aliasing(2).eval(), torch.rand(1, 1, 16, 16)
    with torch.no_grad(), own_inputs(network):
        copied = network(image)
    with torch.no_grad():
        assert (copied - network(image)).abs().max() > 1e-3, "what they would explain instead"
    _, reasons = refuse(network, image)
    assert "works in place" in reasons["guided_backprop"]
    assert "works in place" in reasons["guided_gradcam"]


class Constant(Tiny):
    """A ReLU works on weights alone, of which no gradient is asked."""

    def __init__(self):
        super().__init__(2)
        self.gate, self.weight = nn.ReLU(), nn.Parameter(torch.ones(1))

    def forward(self, x):
        return super().forward(x) * self.gate(self.weight)


def test_a_rectified_weight_stops_no_guided_method():
    image = torch.rand(1, 1, 16, 16)
    guided = run(Constant(), image, "guided_backprop")
    plain = run(Tiny(2), image, "guided_backprop")
    torch.testing.assert_close(torch.tensor(guided.grid), torch.tensor(plain.grid))


class Gated(nn.Module):
    """A product of two branches: no rule of DeepLift is for it, and no module says so."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3)
        self.act, self.head = nn.Sigmoid(), nn.Linear(4, 2)

    def forward(self, x):
        x = self.first(x) * self.act(5 * self.second(x))
        return 50 * self.head(x.flatten(2).mean(2))


def test_deeplift_with_a_wrong_sum_is_refused_with_both_figures():
    network, image = Gated(), torch.rand(1, 1, 16, 16)
    _, reasons = refuse(network, image)
    assert "deeplift" not in reasons, "nothing but its sum tells"
    found = run(network, image, "deeplift")
    refusal = judge_attribution(found)
    assert f"by {found.completeness_error:.3g} of" in str(refusal)
    assert "misses the change of the logit" in refusal.reason
    assert judge_attribution(run(network, image, "integrated_gradients")) is None
    assert judge_attribution(run(Tiny(2), image, "deeplift")) is None


def test_want_of_memory_is_no_reason_why_a_method_does_not_apply(monkeypatch):
    def fail(network):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(paths, "build_deeplift", fail)
    with pytest.raises(torch.OutOfMemoryError):
        run(Tiny(2), torch.rand(1, 1, 16, 16), "deeplift")


class AlmostLinear(Gated):
    """The change of its logit is small, and so is what the sum misses of it."""

    def forward(self, x):
        return super().forward(x) / 1000


def test_a_small_change_of_the_logit_excuses_no_wrong_sum():
    image = torch.rand(1, 1, 16, 16)
    found = run(AlmostLinear(), image, "deeplift")
    assert found.completeness_error < 0.01
    assert found.completeness_error > 0.02 * abs(found.output_difference)
    assert judge_attribution(found) is not None


def test_deeplift_that_captum_cannot_run_is_refused_and_not_an_error():
    network = Tiny(2).eval()  # one ReLU, called twice, and nobody has rewritten it
    with pytest.raises(InapplicableError, match="Captum cannot follow"):
        attribute(
            network,
            torch.rand(1, 1, 16, 16),
            method="deeplift",
            target=1,
            layer="act",
            settings=make_settings(),
            seed=0,
        )


def test_a_guided_map_that_is_the_plain_gradient_is_refused():
    bright = torch.full((1, 1, 8, 8, 8), 0.9)
    found = run(Detector(), bright, "guided_backprop")
    assert "plain gradient" in judge_attribution(found).reason
    assert judge_attribution(run(Detector(), bright, "saliency")) is None


def test_a_guided_map_of_nothing_is_empty_and_not_refused():
    found = run(Linear(torch.zeros(1, 8, 8)), torch.rand(1, 1, 8, 8), "guided_backprop")
    assert not found.grid.any()
    assert judge_attribution(found) is None


@pytest.mark.parametrize("method", sorted(REFUSED))
def test_a_method_that_is_not_offered_is_refused_by_the_configuration_with_the_reason(method):
    with pytest.raises(ConfigError, match=REFUSED[method][:20]):
        build_study({"explain": {"methods": [method]}})


def test_the_configuration_knows_every_method():
    study = build_study({"explain": {"methods": list(METHODS)}})
    assert study.explain.methods == tuple(METHODS)
    with pytest.raises(ConfigError, match="named once"):
        build_study({"explain": {"methods": ["saliency", "saliency"]}})
