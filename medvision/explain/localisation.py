"""Localisation where a mask is known: pointing game and relevance mass, on the source's grid."""

import math

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from medvision.domain.attribution import (
    Check,
    MaskGrid,
    compute_distance_mm,
    compute_relevance_mass,
    find_peak,
)
from medvision.domain.explanation.localisation import compute_placement_masses
from medvision.domain.geometry import Affine, compute_spacing_mm
from medvision.domain.volume import FloatGrid
from medvision.explain.case import Case, CaseImage
from medvision.explain.checks.row import About, judge
from medvision.runtime.seeds import derive_seed

N_PLACEMENTS = 400
PLACEMENT_QUANTILE = 0.95


def explain_inapplicable(case: Case, image: CaseImage) -> str | None:
    """Say why localisation cannot be judged; None where it can."""
    if image.mask is None:
        return "no mask is known for this image"
    if not image.mask.any():
        return "the mask is empty"
    if case.target != case.label:
        return f"the mask is not of what is explained ({case.target}; the label is {case.label})"
    return None


def compute_tolerance_mm(image: CaseImage) -> float:
    """Return the pointing game's tolerance: one voxel of the array along its longest edge.

    A map cannot point more exactly than the array on which it was computed.
    """
    axes = image.array.shape[1:]
    spacing_mm = compute_spacing_mm(image.tensor_affine)[: len(axes)]
    return max(mm for mm, n in zip(spacing_mm, axes, strict=True) if n > 1)


def check_pointing(
    about: About, grid: FloatGrid, *, mask: MaskGrid, affine: Affine, tolerance_mm: float
) -> Check:
    """Ask whether the map's largest value lies inside the mask, or as near as it can resolve.

    Args:
        about: Image and method.
        grid: Map (I, J, K) on the source's grid.
        mask: Lesion on the same grid, not empty.
        affine: (4, 4) affine of that grid.
        tolerance_mm: Distance from the mask that still counts.

    Source:
        Zhang 2018, doi:10.1007/s11263-017-1059-x (pointing game with a tolerance).
    """
    distance_mm = compute_distance_mm(mask, find_peak(grid), affine=affine)
    chance = compute_near_share(mask, affine=affine, tolerance_mm=tolerance_mm)
    if float(grid.max()) <= 0:
        return about.row("pointing", "FAIL", reason="nothing in the map is positive")
    return about.row(
        "pointing",
        judge(passed=distance_mm <= tolerance_mm),
        reason=f"peak {distance_mm:.3g} mm from the mask, {tolerance_mm:.3g} mm allowed; "
        f"a random voxel hits with {chance:.3g}",
        statistic=distance_mm,
        comparator=chance,
        threshold=tolerance_mm,
        n=1,
    )


def compute_near_share(mask: MaskGrid, *, affine: Affine, tolerance_mm: float) -> float:
    """Return the share of voxels within a distance of the mask: the chance of a blind hit.

    Distances are taken along the axes, which is exact unless the grid is sheared.
    """
    spacing_mm = compute_spacing_mm(affine)
    margin = [(math.ceil(tolerance_mm / mm) + 1,) * 2 for mm in spacing_mm]
    inside = np.argwhere(mask)
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    box = tuple(
        slice(max(0, a - pad), min(n, b + pad))
        for a, b, n, (pad, _) in zip(low, high, mask.shape, margin, strict=True)
    )
    distance_mm = distance_transform_edt(~mask[box], sampling=spacing_mm)
    return float((distance_mm <= tolerance_mm).sum() / mask.size)


def check_relevance_mass(about: About, grid: FloatGrid, *, mask: MaskGrid, seed: int) -> Check:
    """Ask whether more positive attribution lies inside the mask than chance puts there.

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
    mass = compute_relevance_mass(grid, mask)
    if math.isnan(mass):
        reason = "nothing in the map is positive"
        return about.row("relevance_mass", "FAIL", reason=reason, statistic=0.0, threshold=0.0, n=1)
    rng = start_placements(about, seed)
    masses = compute_placement_masses(grid, mask, n=N_PLACEMENTS, rng=rng)
    threshold = float(np.quantile(masses, PLACEMENT_QUANTILE))
    share = float(mask.mean())
    return about.row(
        "relevance_mass",
        judge(passed=mass > threshold),
        reason=f"{mass:.3g} of the positive map in the mask, {share:.3g} of the volume",
        statistic=mass,
        comparator=share,
        threshold=threshold,
        n=N_PLACEMENTS,
    )


def start_placements(about: About, seed: int) -> np.random.Generator:
    """Start the draw of an image's random places anew, so that all checks have the same."""
    return np.random.default_rng(derive_seed(seed, "placements", about.image_id))


def compute_lesion_diameters_mm(mask: MaskGrid, affine: Affine) -> list[float]:
    """Return the diameter of the ball (disc, where K = 1) as large as each lesion of the mask."""
    labels, n_lesions = label(mask)
    sizes = np.bincount(labels.ravel())[1 : n_lesions + 1]
    i_mm, j_mm, _ = compute_spacing_mm(affine)
    if mask.shape[2] == 1:
        return [2 * math.sqrt(n * i_mm * j_mm / math.pi) for n in sizes]
    voxel_mm3 = abs(float(np.linalg.det(affine[:3, :3])))
    return [float(np.cbrt(6 * n * voxel_mm3 / math.pi)) for n in sizes]
