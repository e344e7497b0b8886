"""Randomised weights: what is drawn anew, and what the similarity is held against."""

import numpy as np
import pytest
import torch
from explain_nets import Linear, Tiny

from medvision.domain.attribution import compute_similarity
from medvision.explain.methods.noisy import seeded
from medvision.explain.sanity import (
    MAX_PAIRS,
    choose_pairs,
    compute_pair_similarity,
    randomise_weights,
)


def changed(network, twin):
    state = twin.state_dict()
    return {n for n, value in network.state_dict().items() if not torch.equal(value, state[n])}


def test_top_redraws_the_head_alone_and_full_every_layer():
    network = Tiny()
    torch.nn.init.uniform_(network.norm.weight)
    assert changed(network, randomise_weights(network, depth="top", seed=0)) == {
        "head.weight",
        "head.bias",
    }
    full = changed(network, randomise_weights(network, depth="full", seed=0))
    assert {"first.weight", "norm.weight", "second.weight", "head.weight"} <= full


def test_the_generators_of_no_gpu_are_seeded(monkeypatch):
    network = Tiny()
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda _: pytest.fail("a GPU is seeded"))
    randomise_weights(network, depth="full", seed=1)
    with seeded(3):
        torch.rand(1)


def test_the_draw_obeys_its_seed_and_leaves_torchs_generator_alone():
    network = Tiny()
    before = torch.random.get_rng_state()
    first, again, other = (
        randomise_weights(network, depth="full", seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert changed(first, again) == set()
    assert "first.weight" in changed(first, other)


def test_a_layer_that_cannot_reset_itself_is_drawn_with_its_own_spread():
    network = Linear(torch.full((1, 30, 30, 30), 2.0) + torch.randn(1, 30, 30, 30) * 5)
    twin = randomise_weights(network, depth="full", seed=0)
    assert float(twin.weight.detach().std()) == pytest.approx(
        float(network.weight.detach().std()), rel=0.05
    )
    assert abs(float(twin.weight.detach().mean())) < 0.2


def test_all_pairs_are_taken_until_there_are_more_than_fifty():
    assert choose_pairs(1, seed=0) == []
    assert len(choose_pairs(10, seed=0)) == 45
    pairs = choose_pairs(12, seed=0)
    assert len(set(pairs)) == MAX_PAIRS == 50
    assert pairs == choose_pairs(12, seed=0) != choose_pairs(12, seed=1)
    assert all(a < b < 12 for a, b in pairs)


def test_pair_similarity_is_the_mean_over_the_pairs():
    maps = [np.random.default_rng(n).random((8, 8, 8)).astype(np.float32) for n in range(3)]
    expected = np.mean([compute_similarity(maps[a], maps[b]) for a, b in [(0, 1), (0, 2), (1, 2)]])
    found, n_pairs = compute_pair_similarity(maps, seed=0)
    assert (found, n_pairs) == (pytest.approx(expected), 3)
    assert np.isnan(compute_pair_similarity(maps[:1], seed=0)[0])
