"""What a job found of its share of the cases, as plain values and arrays, and back again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from medvision.domain.attribution import Attribution, Check
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid
from medvision.explain.applicability import Refusal
from medvision.explain.bench import Finished, Written
from medvision.explain.case import Case
from medvision.explain.consistency_rows import CascadePoint, Consistency
from medvision.explain.likeness import Likeness
from medvision.explain.one import Explained
from medvision.explain.study import Share

Value = dict[str, Any]  # Read back by the names of the dataclasses that it was made of.
GetGrid = Callable[[int], NDArray[np.generic]]


def store_share(share: Share) -> tuple[Value, list[FloatGrid]]:
    """Return a share as plain values, with maps by their number, and the maps.

    Args:
        share: What a job found.

    Returns:
        (value, grids): plain JSON types, NaN and infinity among them; C-ordered arrays.
    """
    grids: list[FloatGrid] = []
    cases = [_store_case(done, grids) for done in share.finished]
    value = {
        "cases": cases,
        "networks": share.networks,
        "cascade": [asdict(point) for point in share.consistency.cascade],
        "likenesses": [asdict(row) for row in share.consistency.likenesses],
    }
    return value, grids


def load_share(value: Value, get_grid: GetGrid) -> Share:
    """Return a share as it was before it was stored.

    Args:
        value: As `store_share` returns it.
        get_grid: Returns the map of a number.

    Raises:
        LookupError, TypeError, ValueError: The value is not of a share.
    """
    consistency = Consistency(
        [CascadePoint(**held) for held in value["cascade"]],
        [Likeness(**held) for held in value["likenesses"]],
    )
    finished = [_load_case(held, get_grid) for held in value["cases"]]
    return Share(finished, value["networks"], consistency)


def _store_case(done: Finished, grids: list[FloatGrid]) -> Value:
    """Return a case, and add its maps to the others."""
    explained = done.explained
    return {
        "case": asdict(explained.case),
        "attributions": {
            method: _store_attribution(own, grids) for method, own in explained.attributions.items()
        },
        "refusals": {method: asdict(held) for method, held in explained.refusals.items()},
        "checks": [asdict(check) for check in explained.checks],
        "sanity_maps": _store_grids(explained.sanity_maps, grids),
        "control_maps": _store_grids(explained.control_maps, grids),
        "similarities": [[*key, held] for key, held in explained.similarities.items()],
        "written": {method: asdict(held) for method, held in done.written.items()},
        "spacing_mm": list(done.spacing_mm),
        "diameters_mm": list(done.diameters_mm),
    }


def _load_case(held: Value, get_grid: GetGrid) -> Finished:
    """Return a case with its maps."""
    explained = Explained(
        case=Case(**held["case"]),
        attributions={
            method: _load_attribution(own, get_grid) for method, own in held["attributions"].items()
        },
        refusals={method: Refusal(**own) for method, own in held["refusals"].items()},
        checks=[Check(**own) for own in held["checks"]],
        sanity_maps=_load_grids(held["sanity_maps"], get_grid),
        control_maps=_load_grids(held["control_maps"], get_grid),
        similarities={(name, check): own for name, check, own in held["similarities"]},
    )
    i, j, k = held["spacing_mm"]
    written = {method: Written(**own) for method, own in held["written"].items()}
    return Finished(explained, written, (i, j, k), held["diameters_mm"])


def _store_attribution(held: Attribution, grids: list[FloatGrid]) -> Value:
    """Return an attribution with numbers for its maps."""
    values = {**vars(held), "grid": _store_grid(held.grid, grids)}
    native = None if held.native is None else _store_grid(held.native, grids)
    return values | {"native": native}


def _load_attribution(held: Value, get_grid: GetGrid) -> Attribution:
    """Return an attribution with its maps."""
    native = None if held["native"] is None else _load_grid(held["native"], get_grid)
    return Attribution(**{**held, "grid": _load_grid(held["grid"], get_grid), "native": native})


def _store_grids(held: Mapping[str, FloatGrid], grids: list[FloatGrid]) -> Value:
    """Return names with numbers for their maps."""
    return {name: _store_grid(grid, grids) for name, grid in held.items()}


def _load_grids(held: Value, get_grid: GetGrid) -> dict[str, FloatGrid]:
    """Return names with their maps."""
    return {name: _load_grid(own, get_grid) for name, own in held.items()}


def _store_grid(grid: FloatGrid, grids: list[FloatGrid]) -> JsonValue:
    """Return a map's number, and the order in which its axes lie in memory.

    Sums over a map go along the memory: in another order their last digits are others.
    """
    axes: Sequence[int] = [int(n) for n in np.argsort([-abs(step) for step in grid.strides])]
    grids.append(np.ascontiguousarray(grid.transpose(axes)))
    return [len(grids) - 1, *axes]


def _load_grid(held: Sequence[int], get_grid: GetGrid) -> FloatGrid:
    """Return a map with its axes in memory as they were."""
    number, *axes = held
    return cast(FloatGrid, get_grid(number).transpose(np.argsort(axes)))
