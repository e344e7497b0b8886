"""The checks that need one case alone, by name: a further check is a further entry."""

from collections.abc import Callable

from medvision.domain.attribution import Check, is_empty
from medvision.explain.checks.completeness import check_completeness
from medvision.explain.checks.deletion import check_deletion
from medvision.explain.checks.maps import CaseMaps
from medvision.explain.localisation import (
    check_pointing,
    check_relevance_mass,
    compute_tolerance_mm,
)

CheckMap = Callable[[CaseMaps, str], Check]
"""Holds the map of a name to one check."""


def _complete(maps: CaseMaps, name: str) -> Check:
    about = maps.work.about(name)
    if name not in maps.attributions:
        reason = "the control is made without the network, and promises no sum"
        return about.row("completeness", "NOT APPLICABLE", reason=reason)
    return check_completeness(about, maps.attributions[name])


def _delete(maps: CaseMaps, name: str) -> Check:
    areas = maps.deletion
    about = maps.work.about(name)
    return check_deletion(about, areas.of_maps[name], random_areas=areas.of_chance)


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


def _weigh(maps: CaseMaps, name: str) -> Check:
    mask = maps.work.image.mask
    if mask is None or maps.unlocalised is not None:
        return _pass_over(maps, name, check="relevance_mass")
    about, seed = maps.work.about(name), maps.work.plan.seed
    return check_relevance_mass(about, maps.on_source[name], mask=mask, seed=seed)


def _pass_over(maps: CaseMaps, name: str, *, check: str) -> Check:
    """Say that a map cannot be held against the lesion, and why."""
    return maps.work.about(name).row(check, "NOT APPLICABLE", reason=str(maps.unlocalised))


CASE_CHECKS: dict[str, CheckMap] = {
    "completeness": _complete,
    "deletion": _delete,
    "pointing": _point,
    "relevance_mass": _weigh,
}


def check_maps(maps: CaseMaps) -> list[Check]:
    """Hold every map of a case to every check; what marks nothing is EMPTY where a check applies.

    Args:
        maps: The maps of the case.

    Returns:
        One row per map and check.

    Source:
        Each check names its own.
    """
    return [
        _mark_empty(maps, name, check=run(maps, name))
        for name in maps.grids
        for run in CASE_CHECKS.values()
    ]


def _mark_empty(maps: CaseMaps, name: str, *, check: Check) -> Check:
    """Return the row of a map that marks nothing as EMPTY, where the check applies to it."""
    if check.verdict == "NOT APPLICABLE" or not is_empty(maps.grids[name]):
        return check
    return maps.work.about(name).empty(check.check)
