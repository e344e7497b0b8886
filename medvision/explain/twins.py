"""What a map is compared with: the same made of random weights, and of another class."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from medvision.domain.attribution import Attribution
from medvision.domain.volume import FloatGrid
from medvision.explain.checks.randomisation import DEPTHS
from medvision.explain.methods.scene import PAIR
from medvision.explain.names import name_other_class, name_randomised
from medvision.explain.reduced import get_native
from medvision.explain.work import Work


@dataclass(frozen=True)
class Twins:
    """A map at reduced settings, and what the same way of making it gives elsewhere.

    Args:
        own: The map.
        randomised: Check to the map where the weights are random.
        other: The map of the other class; None where there is none.
    """

    own: FloatGrid
    randomised: Mapping[str, FloatGrid]
    other: FloatGrid | None


@dataclass(frozen=True)
class Rivals:
    """The two control maps of a method, and their twins.

    Args:
        attributions: Name of the control to its map, completeness held against what the
            prediction is.
        twins: Name of the method or control to its twins.
    """

    attributions: dict[str, Attribution]
    twins: dict[str, Twins]


def find_other_class(work: Work) -> int | None:
    """Return the class of the largest logit beside the one explained; None where there is none."""
    with torch.no_grad():
        logits = work.networks.network(work.tensor.expand(PAIR, *work.tensor.shape[1:]))[0]
    others = [index for index in range(len(logits)) if index != work.target]
    return max(others, key=lambda index: float(logits[index]), default=None)


def make_rivals(work: Work, method: str, *, shown: Attribution, other: int | None) -> Rivals:
    """Make the reduced maps of a method: three networks, and two classes where there are two.

    The control of random weights does not look at the trained ones: random weights leave it as it
    is. The control of the other class does, and is compared with the class explained.

    Args:
        work: The case and its networks.
        method: Name of the method.
        shown: The method's map, for what its sum is held against.
        other: Index of the other class.

    Raises:
        InapplicableError: The method does not apply.
    """
    networks = {"": work.networks.network} | {
        check: work.networks.randomised[depth] for check, depth in DEPTHS.items()
    }
    mine = _draw(work, method, networks=networks, target=work.target)
    grids = {name: get_native(found) for name, found in mine.items()}
    theirs = {} if other is None else _draw(work, method, networks=networks, target=other)
    others = {name: get_native(found) for name, found in theirs.items()}
    full = "weight_randomisation"
    attributions = {name_randomised(method): _hold(mine[full], shown)}
    twins = {
        method: Twins(grids[""], {name: grids[name] for name in DEPTHS}, others.get("")),
        name_randomised(method): Twins(
            grids[full], dict.fromkeys(DEPTHS, grids[full]), others.get(full)
        ),
    }
    if theirs:
        name = name_other_class(method)
        attributions[name] = _hold(theirs[""], shown)
        twins[name] = Twins(others[""], {key: others[key] for key in DEPTHS}, grids[""])
    return Rivals(attributions, twins)


def _draw(
    work: Work, method: str, *, networks: Mapping[str, nn.Module], target: int
) -> dict[str, Attribution]:
    """Make the reduced map of one class before each network."""
    return {
        name: work.attribute_reduced(network, method, target=target)
        for name, network in networks.items()
    }


def _hold(rival: Attribution, shown: Attribution) -> Attribution:
    """Hold a rival's sum against the change of the logit that it is shown for."""
    error = None
    if shown.completeness_error is not None:
        error = abs(float(rival.grid.astype("float64").sum()) - shown.output_difference)
    gate = {key: shown.parameters[key] for key in ("completeness_gate",) if key in shown.parameters}
    return replace(
        rival,
        parameters=rival.parameters | gate,
        output_difference=shown.output_difference,
        completeness_error=error,
    )


def keep_blind(grid: FloatGrid) -> Twins:
    """Return the twins of a map that is made without network and class: they are itself."""
    return Twins(grid, dict.fromkeys(DEPTHS, grid), grid)
