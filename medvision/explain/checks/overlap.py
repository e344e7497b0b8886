"""Overlap with the lesion: rank accuracy, and the outline that Otsu's threshold draws."""

import numpy as np

from medvision.domain.attribution import Check, MaskGrid
from medvision.domain.explanation.localisation import (
    compute_iou,
    compute_placement_sums,
    compute_rank_accuracy,
    outline,
    share_top,
)
from medvision.domain.volume import FloatGrid
from medvision.explain.checks.row import About, judge
from medvision.explain.localisation import N_PLACEMENTS, PLACEMENT_QUANTILE, start_placements


def check_rank_accuracy(about: About, grid: FloatGrid, *, mask: MaskGrid, seed: int) -> Check:
    """Ask whether the map's strongest voxels, as many as the mask has, lie inside it.

    Chance is the mask's share of the volume; the threshold is what the same mask reaches at
    random places of the same map in 95 of 100 draws.

    Args:
        about: Image and method.
        grid: Map (I, J, K) on the source's grid.
        mask: Lesion on the same grid, not empty.
        seed: Seed of the random places.

    Source:
        Arras 2022, doi:10.1016/j.inffus.2021.11.008; random places: own choice.
    """
    accuracy, n = compute_rank_accuracy(grid, mask), int(mask.sum())
    top = share_top(grid, n)
    places = (
        compute_placement_sums(top, mask, n=N_PLACEMENTS, rng=start_placements(about, seed)) / n
    )
    threshold, share = float(np.quantile(places, PLACEMENT_QUANTILE)), float(mask.mean())
    return about.row(
        "rank_accuracy",
        judge(passed=accuracy > threshold),
        reason=f"{accuracy:.3g} of the {n} strongest voxels in the mask, {share:.3g} by chance",
        statistic=accuracy,
        comparator=share,
        threshold=threshold,
        n=N_PLACEMENTS,
    )


def check_iou(about: About, grid: FloatGrid, *, mask: MaskGrid, seed: int) -> Check:
    """Ask whether what the map outlines at Otsu's threshold overlaps with the mask.

    Chance is the mean over random places of the mask; the threshold is what it reaches there in
    95 of 100 draws.

    Args:
        about: Image and method.
        grid: Map (I, J, K) on the source's grid.
        mask: Lesion on the same grid, not empty.
        seed: Seed of the random places.

    Source:
        Otsu 1979, doi:10.1109/TSMC.1979.4310076; random places: own choice.
    """
    marked = outline(grid)
    if not marked.any():
        reason = "the map outlines nothing"
        return about.row("iou", "FAIL", reason=reason, statistic=0.0, threshold=0.0, n=N_PLACEMENTS)
    iou, rng = compute_iou(marked, mask), start_placements(about, seed)
    inside = compute_placement_sums(marked.astype(np.float64), mask, n=N_PLACEMENTS, rng=rng)
    places = inside / (marked.sum() + mask.sum() - inside)
    threshold, chance = float(np.quantile(places, PLACEMENT_QUANTILE)), float(places.mean())
    return about.row(
        "iou",
        judge(passed=iou > threshold),
        reason=f"overlap {iou:.3g} of outline and mask, {chance:.3g} at random places",
        statistic=iou,
        comparator=chance,
        threshold=threshold,
        n=N_PLACEMENTS,
    )
