"""Weight randomisation: a map must change when the network forgets what it learnt."""

import copy
from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
from torch import nn

from medvision.domain.attribution import Check, compute_similarity, is_empty
from medvision.domain.volume import FloatGrid
from medvision.explain.checks import DEPTHS, About, check_randomisation
from medvision.explain.one import Explained
from medvision.explain.redraw import list_layers, redraw
from medvision.runtime.seeds import derive_seed

MAX_PAIRS = 50
"""Pairs of cases that the comparator is the mean of; all, where there are fewer."""


def randomise_weights(network: nn.Module, *, depth: str, seed: int) -> nn.Module:
    """Return a copy with new weights, drawn as the layers themselves draw them.

    Args:
        network: Canonical network.
        depth: `top` for the last layer that has weights, `full` for every layer.
        seed: Seed of the draw.

    Source:
        Adebayo 2018, arXiv:1810.03292 (model parameter randomisation).
    """
    device = next(network.parameters()).device
    twin = copy.deepcopy(network).cpu()
    layers = [twin.get_submodule(name) for name in list_layers(twin)]
    redraw(layers[-1:] if depth == "top" else layers, seed=derive_seed(seed, "randomise", depth))
    return twin.to(device)


def choose_pairs(n_cases: int, *, seed: int) -> list[tuple[int, int]]:
    """Return pairs of cases: all of them, or `MAX_PAIRS` drawn by the seed."""
    pairs = list(combinations(range(n_cases), 2))
    if len(pairs) <= MAX_PAIRS:
        return pairs
    rng = np.random.default_rng(derive_seed(seed, "pairs"))
    return [pairs[index] for index in sorted(rng.choice(len(pairs), MAX_PAIRS, replace=False))]


def compute_pair_similarity(maps: Sequence[FloatGrid], *, seed: int) -> tuple[float, int]:
    """Return the mean similarity of trained maps of different cases, and the number of pairs.

    It says how alike two maps are that share a network but no image; a map that survives the
    loss of the weights better than that does not depend on them enough.

    Args:
        maps: One map of the trained network per case, none empty.
        seed: Seed of the draw of pairs.

    Source:
        Arun 2021, doi:10.1148/ryai.2021200267 (mean SSIM of 50 random pairs as threshold).
    """
    pairs = choose_pairs(len(maps), seed=seed)
    values = [compute_similarity(maps[a], maps[b]) for a, b in pairs]
    return (float(np.mean(values)) if values else float("nan")), len(pairs)


def check_randomisations(cases: Sequence[Explained], *, seed: int) -> list[Check]:
    """Hold every case's similarity to its randomised maps against that of pairs of cases.

    Args:
        cases: All explained cases.
        seed: Seed of the draw of pairs.

    Returns:
        One row per case, method or control, and depth.
    """
    rows = []
    held = [case.sanity_maps | case.control_maps for case in cases]
    for method in dict.fromkeys(name for maps in held for name in maps):
        shown = [
            (case, maps[method]) for case, maps in zip(cases, held, strict=True) if method in maps
        ]
        full = [grid for _, grid in shown if not is_empty(grid)]
        alike, n_pairs = compute_pair_similarity(full, seed=seed)
        for (case, grid), check in product(shown, DEPTHS):
            about = About(case.case.image_id, method)
            similarity = case.similarities[method, check]
            rows.append(
                about.empty(check)
                if is_empty(grid)
                else check_randomisation(
                    about, check, similarity=similarity, pair_similarity=alike, n_pairs=n_pairs
                )
            )
    return rows
