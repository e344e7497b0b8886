"""One case: its maps by every method, the controls, and what was measured on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from medvision.domain.attribution import Attribution, Check, compute_similarity
from medvision.domain.volume import FloatGrid
from medvision.explain.applicability import Refusal, judge_attribution
from medvision.explain.case import Case, CaseImage
from medvision.explain.checks import DEPTHS, SOURCES
from medvision.explain.checks.maps import CaseMaps
from medvision.explain.checks.table import check_maps
from medvision.explain.controls import build_controls, compute_centre_prior
from medvision.explain.grids import map_to_source
from medvision.explain.methods import InapplicableError
from medvision.explain.names import CENTRE, EDGE, is_control
from medvision.explain.twins import (
    Rivals,
    Twins,
    find_other_class,
    keep_blind,
    make_rivals,
)
from medvision.explain.work import Networks, Plan, Work

__all__ = ["DEPTHS", "Explained", "Networks", "Plan", "explain_case"]


@dataclass(frozen=True)
class Explained:
    """What one case gave.

    Args:
        case: The case.
        attributions: Method to its map on the array's grid.
        refusals: Method that does not apply, to the reason; it has no map.
        checks: Rows that need no other case; the randomisation rows come later.
        sanity_maps: Method to the trained network's map that stands in pairs of cases.
        similarities: (method or control, check) to the SSIM with the randomised network's map.
        control_maps: Control to its map that stands in pairs of cases.
    """

    case: Case
    attributions: dict[str, Attribution]
    refusals: dict[str, Refusal]
    checks: list[Check]
    sanity_maps: dict[str, FloatGrid]
    similarities: dict[tuple[str, str], float]
    control_maps: dict[str, FloatGrid] = field(default_factory=dict)


def explain_case(
    case: Case, image: CaseImage, *, networks: Networks, plan: Plan
) -> tuple[Explained, dict[str, FloatGrid]]:
    """Attribute one prediction by every method and measure the maps.

    Args:
        case: Whose prediction.
        image: Its array and geometry.
        networks: The network that never saw the image, and its randomised twins.
        plan: Methods, their parameters, and those of the checks.

    Returns:
        (explained, maps): maps on the array's grid, rows of checks and what the cohort's checks
        need; method or control to map on the source's grid.
    """
    device = next(networks.network.parameters()).device
    tensor = torch.tensor(image.array, dtype=torch.float32, device=device)[None]
    work = Work(case, image, tensor, networks, plan)
    found = _attribute_all(work)
    maps = _gather(work, found)
    own = {name: twins.own for name, twins in maps.twins.items()}
    explained = Explained(
        case=case,
        attributions=found.attributions,
        refusals=found.refusals,
        checks=check_maps(maps) + _list_refusals(work, found.refusals),
        sanity_maps={name: grid for name, grid in own.items() if not is_control(name)},
        control_maps={name: grid for name, grid in own.items() if is_control(name)},
        similarities=_compare_with_randomised(maps.twins),
    )
    return explained, {
        name: grid
        for name, grid in maps.on_source.items()
        if name in found.attributions or is_control(name)
    }


@dataclass(frozen=True)
class _Found:
    """What the methods gave: maps, why there is none, and rivals; and which class is the other."""

    attributions: dict[str, Attribution]
    refusals: dict[str, Refusal]
    rivals: list[Rivals]
    other: int | None


def _attribute_all(work: Work) -> _Found:
    """Make the maps and their rivals, and tell of each method that does not apply the reason."""
    found = _Found({}, {}, [], find_other_class(work))
    for method in work.plan.methods:
        if method in work.networks.refused:
            found.refusals[method] = Refusal(work.networks.refused[method])
            continue
        try:
            shown = work.attribute(work.networks.network, method, settings=work.plan.settings)
            reason = judge_attribution(shown)
            if reason is None:
                found.rivals.append(make_rivals(work, method, shown=shown, other=found.other))
        except InapplicableError as error:
            reason = Refusal(error.message.removeprefix(f"{method}: "))
        if reason is None:
            found.attributions[method] = shown
        else:
            found.refusals[method] = reason
    return found


def _gather(work: Work, found: _Found) -> CaseMaps:
    """Put the maps of methods and controls together, and lay them on the source's grid."""
    image, plan = work.image, work.plan
    blind = build_controls(
        image, image_id=work.case.image_id, block=plan.settings.occlusion_stride, seed=plan.seed
    )
    attributions = dict(found.attributions)
    twins = {name: keep_blind(grid) for name, grid in blind.items()}
    for rivals in found.rivals:
        attributions |= rivals.attributions
        twins |= rivals.twins
    grids = {name: attribution.grid for name, attribution in attributions.items()} | blind
    laid = grids | {CENTRE: compute_centre_prior(blind[EDGE].shape)}
    on_source = {name: _map_back(image, grid) for name, grid in laid.items()}
    return CaseMaps(work, grids, on_source, attributions, twins, found.other)


def _list_refusals(work: Work, refusals: Mapping[str, Refusal]) -> list[Check]:
    """Return every check of a refused method as not applicable, with the reason."""
    return [
        work.about(method).row(check, "NOT APPLICABLE", reason=f"refused: {reason}")
        for method, reason in refusals.items()
        for check in SOURCES
    ]


def _map_back(image: CaseImage, grid: FloatGrid) -> FloatGrid:
    """Return a map on the source's grid."""
    return map_to_source(
        grid,
        image.tensor_affine,
        source_affine=image.source_affine,
        source_shape=image.source_shape,
    )


def _compare_with_randomised(twins: Mapping[str, Twins]) -> dict[tuple[str, str], float]:
    """Return the similarity of each map to that of each randomised network."""
    return {
        (name, check): compute_similarity(held.own, grid)
        for name, held in twins.items()
        for check, grid in held.randomised.items()
    }
