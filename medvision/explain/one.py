"""One case: its maps by every method, the controls, and what was measured on them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medvision.domain.attribution import Attribution, Check, compute_similarity, is_empty
from medvision.domain.volume import FloatGrid
from medvision.explain.applicability import Refusal, judge_attribution
from medvision.explain.case import Case, CaseImage
from medvision.explain.checks import SOURCES, About, check_completeness, check_deletion
from medvision.explain.controls import build_controls
from medvision.explain.faithfulness import (
    compute_area,
    compute_deletion_curves,
    cut_blocks,
    draw_ranks,
    rank_blocks,
)
from medvision.explain.grids import map_to_source
from medvision.explain.localisation import (
    check_pointing,
    check_relevance_mass,
    compute_tolerance_mm,
    explain_inapplicable,
)
from medvision.explain.methods import InapplicableError, Settings, attribute
from medvision.explain.reduced import derive_draws, make_reduced_map
from medvision.runtime.seeds import derive_seed

DEPTHS = {"weight_randomisation_top": "top", "weight_randomisation": "full"}
"""Check to the depth to which the weights are randomised."""


@dataclass(frozen=True)
class Plan:
    """How cases are explained and checked; the fields of the configuration."""

    methods: tuple[str, ...]
    settings: Settings
    seed: int
    random_orders: int
    deletion_steps: int


@dataclass(frozen=True)
class Networks:
    """A canonical network, its layer and classes, and its twins with randomised weights.

    Args:
        network: The copy that is explained.
        layer: Dotted name of Grad-CAM's layer.
        classes: Classes in the order of the logits.
        randomised: Depth to the copy with random weights.
        refused: Method that does not apply to this network, to the reason.
    """

    network: nn.Module
    layer: str
    classes: tuple[str, ...]
    randomised: Mapping[str, nn.Module]
    refused: Mapping[str, str]


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


@dataclass(frozen=True)
class _Work:
    """One case at work."""

    case: Case
    image: CaseImage
    tensor: Tensor
    networks: Networks
    plan: Plan

    @property
    def target(self) -> int:
        return self.networks.classes.index(self.case.target)

    def attribute(self, network: nn.Module, method: str, *, settings: Settings) -> Attribution:
        """Attribute this case's logit of the given network."""
        return attribute(
            network,
            self.tensor,
            method=method,
            target=self.target,
            layer=self.networks.layer,
            settings=settings,
            seed=self.seed_of(method),
        )

    def seed_of(self, method: str) -> int:
        """Return the seed of what a method draws for this image."""
        return derive_draws(self.plan.seed, self.case.image_id, method=method)

    def about(self, method: str) -> About:
        return About(self.case.image_id, method)


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
    work = _Work(case, image, tensor, networks, plan)
    attributions, sanity_maps, refusals = _attribute_all(work)
    block = plan.settings.occlusion_stride
    controls = build_controls(image, image_id=case.image_id, block=block, seed=plan.seed)
    grids = {name: attribution.grid for name, attribution in attributions.items()} | controls
    source_maps = {name: _map_back(image, grid) for name, grid in grids.items()}
    checks = [check_completeness(work.about(m), a) for m, a in attributions.items()]
    checks += _check_deletions(work, grids) + _check_localisations(work, source_maps)
    explained = Explained(
        case=case,
        attributions=attributions,
        refusals=refusals,
        checks=[_mark_empty(work, check, grid=grids[check.method]) for check in checks]
        + _list_refusals(work, refusals),
        sanity_maps=sanity_maps,
        similarities=_compare_with_randomised(work, sanity_maps),
    )
    return explained, {method: source_maps[method] for method in attributions}


def _attribute_all(
    work: _Work,
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
                sanity_maps[method] = _make_sanity_map(work, work.networks.network, method=method)
        except InapplicableError as error:
            refusals[method] = Refusal(error.message.removeprefix(f"{method}: "))
            continue
        if reason is None:
            attributions[method] = found
        else:
            refusals[method] = reason
    return attributions, sanity_maps, refusals


def _list_refusals(work: _Work, refusals: Mapping[str, Refusal]) -> list[Check]:
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


def _mark_empty(work: _Work, check: Check, *, grid: FloatGrid) -> Check:
    """Return the row of a map that marks nothing as EMPTY, where the check applies to it."""
    if check.verdict == "NOT APPLICABLE" or not is_empty(grid):
        return check
    return work.about(check.method).empty(check.check)


def _check_deletions(work: _Work, grids: Mapping[str, FloatGrid]) -> list[Check]:
    """Hold every map's deletion curve against the same random orders."""
    plan = work.plan
    i, j, k = next(iter(grids.values())).shape
    blocks = cut_blocks((i, j, k), plan.settings.occlusion_stride)
    rng = np.random.default_rng(derive_seed(plan.seed, "orders", work.case.image_id))
    orders = [rank_blocks(grid, blocks) for grid in grids.values()]
    curves = compute_deletion_curves(
        work.networks.network,
        work.tensor,
        target=work.target,
        blocks=blocks,
        orders=orders + draw_ranks(blocks, n=plan.random_orders, rng=rng),
        steps=plan.deletion_steps,
        baseline=plan.settings.build_baseline(work.tensor),
        batch_size=plan.settings.batch_size,
    )
    areas = compute_area(curves)
    chance = areas[len(orders) :]
    return [
        check_deletion(work.about(name), float(area), random_areas=chance)
        for name, area in zip(grids, areas, strict=False)
    ]


def _check_localisations(work: _Work, maps: Mapping[str, FloatGrid]) -> list[Check]:
    """Hold every map against the mask, or say why that is not possible."""
    reason = explain_inapplicable(work.case, work.image)
    mask = work.image.mask
    rows = []
    for name, grid in maps.items():
        about = work.about(name)
        if mask is None or reason is not None:
            rows += [
                about.row(check, "NOT APPLICABLE", reason=str(reason))
                for check in ("pointing", "relevance_mass")
            ]
            continue
        affine, tolerance_mm = work.image.source_affine, compute_tolerance_mm(work.image)
        rows += [
            check_pointing(about, grid, mask=mask, affine=affine, tolerance_mm=tolerance_mm),
            check_relevance_mass(about, grid, mask=mask, seed=work.plan.seed),
        ]
    return rows


def _make_sanity_map(work: _Work, network: nn.Module, *, method: str) -> FloatGrid:
    """Make a map for comparison between networks: cheaper, and equally so for all of them."""
    return make_reduced_map(
        network,
        work.tensor,
        method=method,
        target=work.target,
        layer=work.networks.layer,
        settings=work.plan.settings,
        seed=work.seed_of(method),
    )


def _compare_with_randomised(
    work: _Work, sanity_maps: Mapping[str, FloatGrid]
) -> dict[tuple[str, str], float]:
    """Return the similarity of each method's map to that of each randomised twin."""
    return {
        (method, check): compute_similarity(
            grid, _make_sanity_map(work, work.networks.randomised[depth], method=method)
        )
        for method, grid in sanity_maps.items()
        for check, depth in DEPTHS.items()
    }
