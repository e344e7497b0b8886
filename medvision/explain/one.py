"""One case: its maps by every method, the controls, and what was measured on them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from medvision.domain.attribution import Attribution, Check, compute_similarity
from medvision.domain.volume import FloatGrid
from medvision.explain.applicability import Refusal, judge_attribution
from medvision.explain.case import Case, CaseImage
from medvision.explain.checks import DEPTHS, SOURCES
from medvision.explain.checks.maps import CaseMaps
from medvision.explain.checks.table import check_maps
from medvision.explain.controls import build_controls
from medvision.explain.grids import map_to_source
from medvision.explain.methods import InapplicableError
from medvision.explain.reduced import get_native
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
        similarities: (method, check) to the SSIM with the randomised network's map.
    """

    case: Case
    attributions: dict[str, Attribution]
    refusals: dict[str, Refusal]
    checks: list[Check]
    sanity_maps: dict[str, FloatGrid]
    similarities: dict[tuple[str, str], float]


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
        need; method to map on the source's grid.
    """
    device = next(networks.network.parameters()).device
    tensor = torch.tensor(image.array, dtype=torch.float32, device=device)[None]
    work = Work(case, image, tensor, networks, plan)
    attributions, sanity_maps, refusals = _attribute_all(work)
    block = plan.settings.occlusion_stride
    controls = build_controls(image, image_id=case.image_id, block=block, seed=plan.seed)
    grids = {name: attribution.grid for name, attribution in attributions.items()} | controls
    source_maps = {name: _map_back(image, grid) for name, grid in grids.items()}
    checks = check_maps(CaseMaps(work, grids, source_maps, attributions))
    explained = Explained(
        case=case,
        attributions=attributions,
        refusals=refusals,
        checks=checks + _list_refusals(work, refusals),
        sanity_maps=sanity_maps,
        similarities=_compare_with_randomised(work, sanity_maps),
    )
    return explained, {method: source_maps[method] for method in attributions}


def _attribute_all(
    work: Work,
) -> tuple[dict[str, Attribution], dict[str, FloatGrid], dict[str, Refusal]]:
    """Return the maps, those for comparison, and of each method that does not apply the reason."""
    plan, refused = work.plan, work.networks.refused
    attributions: dict[str, Attribution] = {}
    sanity_maps: dict[str, FloatGrid] = {}
    refusals: dict[str, Refusal] = {}
    for method in plan.methods:
        if method in refused:
            refusals[method] = Refusal(refused[method])
            continue
        try:
            found = work.attribute(work.networks.network, method, settings=plan.settings)
            reason = judge_attribution(found)
            if reason is None:
                sanity_maps[method] = _draw(work, work.networks.network, method=method)
        except InapplicableError as error:
            refusals[method] = Refusal(error.message.removeprefix(f"{method}: "))
            continue
        if reason is None:
            attributions[method] = found
        else:
            refusals[method] = reason
    return attributions, sanity_maps, refusals


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


def _draw(work: Work, network: nn.Module, *, method: str) -> FloatGrid:
    """Make a map that is only compared with other networks' maps."""
    return get_native(work.attribute_reduced(network, method))


def _compare_with_randomised(
    work: Work, sanity_maps: Mapping[str, FloatGrid]
) -> dict[tuple[str, str], float]:
    """Return the similarity of each method's map to that of each randomised twin."""
    return {
        (method, check): compute_similarity(
            grid, _draw(work, work.networks.randomised[depth], method=method)
        )
        for method, grid in sanity_maps.items()
        for check, depth in DEPTHS.items()
    }
