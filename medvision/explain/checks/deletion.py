"""Deletion and insertion: what the map marks moves the logit sooner than what chance marks."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.attribution import Check
from medvision.explain.checks.row import About, judge

DELETION_PASS = 0.95
"""Share of random orders that a map must beat."""


def check_deletion(about: About, area: float, *, random_areas: NDArray[np.float64]) -> Check:
    """Hold the area under a map's deletion curve against those of random orders.

    Args:
        about: Image and method.
        area: Area under the target's logit, deleted in the order of the map.
        random_areas: The same for random orders (n,).

    Source:
        Petsiuk 2018, arXiv:1806.07421; random orders as comparator: own choice.
    """
    return _check_curve(about, "deletion", area, random_areas=random_areas)


def check_insertion(about: About, area: float, *, random_areas: NDArray[np.float64]) -> Check:
    """Hold the area under a map's insertion curve against those of random orders.

    Args:
        about: Image and method.
        area: Area under the target's logit, put into the baseline in the order of the map.
        random_areas: The same for random orders (n,).

    Source:
        Petsiuk 2018, arXiv:1806.07421; random orders as comparator: own choice.
    """
    return _check_curve(about, "insertion", area, random_areas=random_areas)


def _check_curve(
    about: About, check: str, area: float, *, random_areas: NDArray[np.float64]
) -> Check:
    """Count the random orders that are beaten: by a smaller area, of insertion by a larger one."""
    if np.ptp(random_areas) == 0:
        reason = f"{check} of voxels does not change the logit"
        return about.row(check, "INCONCLUSIVE", reason=reason, n=len(random_areas))
    is_beaten = random_areas > area if check == "deletion" else random_areas < area
    beaten = float(is_beaten.mean())
    return about.row(
        check,
        judge(passed=beaten >= DELETION_PASS),
        reason=f"mean logit {area:.3g}, {random_areas.mean():.3g} in random order",
        statistic=beaten,
        comparator=0.5,
        threshold=DELETION_PASS,
        n=len(random_areas),
    )
