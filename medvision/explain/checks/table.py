"""The checks that need one case alone, by name: a further check is a further entry."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from medvision.domain.attribution import Check, MaskGrid, is_empty
from medvision.domain.volume import FloatGrid
from medvision.explain.checks.classes import check_class_sensitivity
from medvision.explain.checks.completeness import check_completeness
from medvision.explain.checks.deletion import check_deletion, check_insertion
from medvision.explain.checks.maps import CaseMaps
from medvision.explain.checks.overlap import check_iou, check_rank_accuracy
from medvision.explain.checks.row import LOCALISATION, About
from medvision.explain.localisation import (
    check_pointing,
    check_relevance_mass,
    compute_tolerance_mm,
)
from medvision.explain.names import CENTRE, EDGE

CheckMap = Callable[[CaseMaps, str], Check]
"""Holds the map of a name to one check."""


class CheckMask(Protocol):
    """Holds a map on the source's grid against the lesion's mask."""

    def __call__(self, about: About, grid: FloatGrid, *, mask: MaskGrid, seed: int) -> Check: ...


def _complete(maps: CaseMaps, name: str) -> Check:
    about = maps.work.about(name)
    if name not in maps.attributions:
        reason = "the control is made without the network, and promises no sum"
        return about.row("completeness", "NOT APPLICABLE", reason=reason)
    return check_completeness(about, maps.attributions[name])


def _delete(maps: CaseMaps, name: str) -> Check:
    areas, about = maps.deletion, maps.work.about(name)
    row = check_deletion(about, areas.of_maps[name], random_areas=areas.of_chance)
    return replace(row, edge_margin=areas.of_maps[EDGE] - areas.of_maps[name])


def _insert(maps: CaseMaps, name: str) -> Check:
    areas, about = maps.insertion, maps.work.about(name)
    row = check_insertion(about, areas.of_maps[name], random_areas=areas.of_chance)
    return replace(row, edge_margin=areas.of_maps[name] - areas.of_maps[EDGE])


def _part_classes(maps: CaseMaps, name: str) -> Check:
    about, twins, networks = maps.work.about(name), maps.twins[name], maps.work.networks
    if maps.other is None or twins.other is None:
        reason = "the network has one output"
        return about.row("class_sensitivity", "NOT APPLICABLE", reason=reason)
    return check_class_sensitivity(
        about,
        twins.own,
        twins.other,
        other_class=networks.classes[maps.other],
        is_opposite=networks.is_exclusive and len(networks.classes) == 2,
    )


def _point(maps: CaseMaps, name: str) -> Check:
    image = maps.work.image
    if image.mask is None or maps.unlocalised is not None:
        return _pass_over(maps, name, check="pointing")
    return check_pointing(
        maps.work.about(name),
        maps.on_source[name],
        mask=image.mask,
        affine=image.source_affine,
        tolerance_mm=compute_tolerance_mm(image),
    )


def _hold_against_mask(check: str, run: CheckMask) -> CheckMap:
    """Make a check of maps of one that needs a mask; without a mask it does not apply."""

    def hold(maps: CaseMaps, name: str) -> Check:
        mask = maps.work.image.mask
        if mask is None or maps.unlocalised is not None:
            return _pass_over(maps, name, check=check)
        about, seed = maps.work.about(name), maps.work.plan.seed
        return run(about, maps.on_source[name], mask=mask, seed=seed)

    return hold


def _pass_over(maps: CaseMaps, name: str, *, check: str) -> Check:
    """Say that a map cannot be held against the lesion, and why."""
    return maps.work.about(name).row(check, "NOT APPLICABLE", reason=str(maps.unlocalised))


CASE_CHECKS: dict[str, CheckMap] = {
    "completeness": _complete,
    "deletion": _delete,
    "insertion": _insert,
    "class_sensitivity": _part_classes,
    "pointing": _point,
    "relevance_mass": _hold_against_mask("relevance_mass", check_relevance_mass),
    "rank_accuracy": _hold_against_mask("rank_accuracy", check_rank_accuracy),
    "iou": _hold_against_mask("iou", check_iou),
}


def check_maps(maps: CaseMaps) -> list[Check]:
    """Hold every map of a case to every check; what marks nothing is EMPTY where a check applies.

    Args:
        maps: The maps of the case.

    Returns:
        One row per map and check, the figures of edge map and centre prior beside it.

    Source:
        Each check names its own.
    """
    rows = []
    for check, run in CASE_CHECKS.items():
        found = {name: run(maps, name) for name in maps.grids}
        centre = run(maps, CENTRE).statistic if check in LOCALISATION else None
        rows += [
            _mark_empty(maps, _set_beside(row, found[EDGE].statistic, centre=centre))
            for row in found.values()
        ]
    return rows


def _set_beside(row: Check, edge: float | None, *, centre: float | None) -> Check:
    """Set the figures of the edge map and the centre prior beside those of a map."""
    row = replace(row, edge_map=edge, centre_prior=centre)
    if row.check not in LOCALISATION or row.statistic is None or edge is None:
        return row
    is_distance = row.check == "pointing"
    return replace(row, edge_margin=(edge - row.statistic) * (1 if is_distance else -1))


def _mark_empty(maps: CaseMaps, check: Check) -> Check:
    """Return the row of a map that marks nothing as EMPTY, where the check applies to it."""
    if check.verdict == "NOT APPLICABLE" or not is_empty(maps.grids[check.method]):
        return check
    return maps.work.about(check.method).empty(check.check)
