"""Cascading randomisation: which layers are drawn anew at which stage, and what the maps do."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from explain_nets import Detector, Linear, Tiny, make_lesion_image, make_settings
from torch import nn

from medvision.domain.attribution import Attribution, compute_similarity
from medvision.domain.explanation.map_statistics import compute_entropy, compute_rank_correlation
from medvision.explain import sight as sight_module
from medvision.explain.cascade import MAX_STAGES, cascade, list_stages
from medvision.explain.case import Case
from medvision.explain.consistency import measure_consistency
from medvision.explain.one import Explained, Plan
from medvision.explain.redraw import list_layers
from medvision.explain.reduced import attribute_reduced, derive_draws, get_native
from medvision.explain.sight import Room
from medvision.explain.visits import Bounds
from medvision.runtime.seeds import derive_seed

CLASSES = ("benign", "nodule")
CASE = Case("image-1", "subject-1", "transfer", 0, 0, "nodule", "nodule", "nodule", "rule")


class Deep(nn.Module):
    """Twenty layers, so that stages have several."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(*(nn.Conv3d(1, 1, 1) for _ in range(19)))
        self.head = nn.Linear(1, 2)

    def forward(self, x):
        return self.head(self.layers(x).flatten(2).mean(2))


def find_changed(network, twin):
    """Name, parameter by parameter, the layers that differ."""
    pairs = zip(network.named_parameters(), twin.named_parameters(), strict=True)
    return {name.rpartition(".")[0] for (name, a), (_, b) in pairs if not torch.equal(a, b)}


def test_stages_go_from_the_head_alone_to_every_layer():
    stages = list_stages(Deep())
    assert [stage.number for stage in stages] == list(range(MAX_STAGES + 1))
    assert (stages[0].layer, stages[0].n_layers) == ("", 0)
    assert (stages[1].layer, stages[1].n_layers) == ("head", 1)
    assert (stages[-1].layer, stages[-1].n_layers) == ("layers.0", 20)
    steps = [b.n_layers - a.n_layers for a, b in pairwise(stages[1:])]
    assert set(steps) <= {2, 3}, "the layers below the head are cut evenly"


def test_a_network_of_few_layers_has_a_stage_for_each_and_one_layer_one_stage():
    assert [stage.layer for stage in list_stages(Tiny())] == [
        *("", "head", "second", "norm", "first")
    ]
    single = list_stages(Linear(torch.ones(1, 4, 4, 4)))
    assert [(stage.number, stage.n_layers) for stage in single] == [(0, 0), (1, 1)]


def test_each_stage_changes_the_layers_from_the_top_down_and_keeps_those_of_the_stage_before():
    network = Deep()
    names = list_layers(network)[::-1]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    held = {}
    for stage, twin in cascade(network, seed=3):
        assert find_changed(network, twin) == set(names[: stage.n_layers])
        state = twin.state_dict()
        assert all(torch.equal(state[name], value) for name, value in held.items())
        changed = tuple(names[: stage.n_layers])
        held = {k: v.clone() for k, v in state.items() if k.rpartition(".")[0] in changed}
    assert all(torch.equal(before[k], value) for k, value in network.state_dict().items())


def test_every_layer_is_drawn_by_a_seed_of_its_own_as_a_plain_loop_draws_it():
    network = Deep()
    *_, (_, twin) = cascade(network, seed=3)
    for name in list_layers(network):
        layer = twin.get_submodule(name)
        plain = type(layer)(1, 2) if name == "head" else nn.Conv3d(1, 1, 1)
        torch.manual_seed(derive_seed(3, "cascade", name))
        plain.reset_parameters()
        assert torch.equal(plain.weight, layer.weight)


def explain_case(network, method, array):
    """What the consistency of one image stands on: its trained network's reduced map."""
    image = torch.tensor(array)[None]
    settings = make_settings()
    found = attribute_reduced(
        network,
        image,
        method=method,
        target=1,
        layer="second",
        settings=settings,
        seed=derive_draws(5, CASE.image_id, method=method),
    )
    plan = Plan((method,), settings, 5, 10, 4)
    return Explained(CASE, {}, {}, [], {method: get_native(found)}, {}), plan, image


def follow(monkeypatch, network, method="saliency"):
    """Return the cascade of one image through a network."""
    array, _ = make_lesion_image(1)
    done, plan, image = explain_case(network, method, array)
    room = Room(network, "second", CLASSES, {})
    monkeypatch.setattr("medvision.explain.consistency.open_room", lambda *_, **__: room)
    monkeypatch.setattr("medvision.explain.consistency.load_tensor", lambda *_, **__: image)
    held = measure_consistency(
        [done],
        selection=[CASE],
        rings={},
        predictions=[],
        hands=None,
        plan=plan,
        bounds=Bounds(0, 0, 0.01, 1),
        task="classification",
    )
    assert held.likenesses == []
    return held.cascade, done, image


def make_network():
    network = Tiny(seed=2).eval()
    network.act = nn.ReLU()
    return network.requires_grad_(requires_grad=False)


def test_the_curve_is_that_of_a_plain_loop_over_the_twins(monkeypatch):
    network = make_network()
    points, done, image = follow(monkeypatch, network)
    trained = done.sanity_maps["saliency"]
    assert (points[0].ssim, points[0].stage) == (pytest.approx(1), 0)
    assert points[0].rank_correlation == pytest.approx(1)
    for point, (stage, twin) in zip(points[1:], cascade(network, seed=5), strict=True):
        x = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(twin(x)[0, 1], x)
        grid = gradient[0].sum(0).numpy()
        assert (point.stage, point.layer) == (stage.number, stage.layer)
        assert point.ssim == pytest.approx(compute_similarity(trained, grid), abs=1e-4)
        expected = compute_rank_correlation(trained, grid)
        assert point.rank_correlation == pytest.approx(expected, abs=1e-4)
        assert point.entropy == pytest.approx(compute_entropy(grid), abs=1e-5)
    assert points[-1].ssim < 0.9, "the map depends on the weights"


def test_a_map_that_ignores_the_weights_has_a_flat_curve(monkeypatch):
    def look_at_edges(network, image, **_):
        grid = np.abs(np.gradient(image[0, 0].numpy(), axis=0)).astype(np.float32)
        return Attribution(grid, "edges", 1, None, {}, 0.0, 0.0)

    monkeypatch.setattr(sight_module, "attribute_reduced", look_at_edges)
    monkeypatch.setattr(f"{__name__}.attribute_reduced", look_at_edges)
    points, *_ = follow(monkeypatch, make_network())
    assert len(points) == 5
    assert all(point.ssim == pytest.approx(1) for point in points)
    assert all(point.rank_correlation == pytest.approx(1) for point in points)
    assert {point.entropy for point in points} == {points[0].entropy}


def test_a_map_that_is_empty_is_said_to_be_so_and_not_measured(monkeypatch):
    network = Detector(threshold=100.0).eval()
    network.second = nn.Identity()
    points, *_ = follow(monkeypatch, network)
    assert points[0].ssim is None
    assert points[0].entropy is None
    assert {point.reason for point in points} == {"the map is zero everywhere"}
