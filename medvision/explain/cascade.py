"""Cascading randomisation: layer by layer from the top, what becomes of a map."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from medvision.explain.redraw import list_layers, redraw
from medvision.runtime.seeds import derive_seed

MAX_STAGES = 8


@dataclass(frozen=True)
class Stage:
    """How far down from the top the weights are random.

    Args:
        number: 0 for the network as trained.
        layer: Dotted name of the deepest layer drawn anew; "" at 0.
        n_layers: Layers drawn anew so far.
    """

    number: int
    layer: str
    n_layers: int


def list_stages(network: nn.Module) -> tuple[Stage, ...]:
    """Return the stages of a network's cascade, stage 0 being the network as trained.

    The layers with parameters of their own are taken from the last registered to the first. The
    last, the head, is a stage of its own; the others are cut into at most `MAX_STAGES` - 1 runs
    of equal length, or nearly so.

    Args:
        network: Canonical network.

    Returns:
        At most `MAX_STAGES` + 1 stages; the last has every layer.
    """
    names = list_layers(network)[::-1]
    ends = [1, *_cut(len(names) - 1)]
    stages = [
        Stage(number, names[end - 1], end)
        for number, end in enumerate(ends, 1)
        if end <= len(names)
    ]
    return (Stage(0, "", 0), *stages)


def _cut(n_below: int) -> list[int]:
    """Return how many layers are drawn anew at the end of each run below the head."""
    n_runs = min(MAX_STAGES - 1, n_below)
    return [1 + n_below * run // n_runs for run in range(1, n_runs + 1)]


def cascade(network: nn.Module, *, seed: int) -> Iterator[tuple[Stage, nn.Module]]:
    """Randomise a copy of a network stage by stage from the top.

    Each layer has a seed of its own, so that what a stage draws does not depend on where the
    stages are cut.

    Args:
        network: Canonical network; it is not changed.
        seed: Seed of the draws.

    Yields:
        (stage, twin) from stage 1 on; the twin is one module that the next step changes further.

    Source:
        Adebayo 2018, arXiv:1810.03292 (cascading randomisation).
    """
    device = next(network.parameters()).device
    twin = copy.deepcopy(network).cpu()
    names, done = list_layers(twin)[::-1], 0
    for stage in list_stages(network)[1:]:
        twin.cpu()
        for name in names[done : stage.n_layers]:
            redraw([twin.get_submodule(name)], seed=derive_seed(seed, "cascade", name))
        done = stage.n_layers
        yield stage, twin.to(device)
