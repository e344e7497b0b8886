"""Deletion: what the map marks lowers the logit faster than what chance marks."""

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
    if np.ptp(random_areas) == 0:
        reason = "deleting voxels does not change the logit"
        return about.row("deletion", "INCONCLUSIVE", reason=reason, n=len(random_areas))
    beaten = float((area < random_areas).mean())
    return about.row(
        "deletion",
        judge(passed=beaten >= DELETION_PASS),
        reason=f"mean logit {area:.3g}, {random_areas.mean():.3g} in random order",
        statistic=beaten,
        comparator=0.5,
        threshold=DELETION_PASS,
        n=len(random_areas),
    )
