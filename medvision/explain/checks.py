"""Checks on one map as rows with statistic, comparator, threshold and verdict."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.attribution import Attribution, Check, Verdict

SOURCES = {
    "completeness": "sundararajan2017",
    "deletion": "petsiuk2018",
    "weight_randomisation_top": "adebayo2018,arun2021",
    "weight_randomisation": "adebayo2018,arun2021",
    "pointing": "zhang2018",
    "relevance_mass": "arras2022",
}
"""Check to the citation keys of its definition, in the order of the table."""

CONTROL_CHECKS = ("deletion", "pointing", "relevance_mass")
"""The checks that a map without a network can be held to."""

DELETION_PASS = 0.95
"""Share of random orders that a map must beat."""


@dataclass(frozen=True)
class About:
    """What a row is about: an image and the method of its map."""

    image_id: str
    method: str

    def row(
        self,
        check: str,
        verdict: Verdict,
        *,
        reason: str,
        statistic: float | None = None,
        comparator: float | None = None,
        threshold: float | None = None,
        n: int | None = None,
    ) -> Check:
        """Return a row of the table; figures that are not finite are left out."""
        return Check(
            image_id=self.image_id,
            method=self.method,
            check=check,
            verdict=verdict,
            reason=reason,
            source=SOURCES[check],
            statistic=_finite(statistic),
            comparator=_finite(comparator),
            threshold=_finite(threshold),
            n=n,
        )

    def empty(self, check: str) -> Check:
        """Return the row of a map that marks nothing."""
        return self.row(check, "EMPTY", reason="the map is zero everywhere")


def _finite(value: float | None) -> float | None:
    """Return the value, or None where it is NaN or infinite."""
    return value if value is not None and math.isfinite(value) else None


def judge(*, passed: bool) -> Verdict:
    """Return PASS or FAIL."""
    return "PASS" if passed else "FAIL"


def check_completeness(about: About, attribution: Attribution) -> Check:
    """Hold the map's sum against the change of the logit that it explains.

    Source:
        Sundararajan 2017, arXiv:1703.01365.
    """
    error = attribution.completeness_error
    gate = attribution.parameters.get("completeness_gate")
    if error is None or not isinstance(gate, float):
        return about.row(
            "completeness", "NOT APPLICABLE", reason="this method does not promise a sum"
        )
    n = attribution.parameters.get("steps", attribution.parameters.get("draws"))
    word = "steps" if "steps" in attribution.parameters else "draws"
    count = f", {n} {word}" if isinstance(n, int) else ""
    return about.row(
        "completeness",
        judge(passed=error <= gate),
        reason=f"error {error:.3g} logit of {attribution.output_difference:.3g}{count}",
        statistic=error,
        comparator=abs(attribution.output_difference),
        threshold=gate,
        n=n if isinstance(n, int) else 1,
    )


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


def check_randomisation(
    about: About, check: str, *, similarity: float, pair_similarity: float, n_pairs: int
) -> Check:
    """Hold the similarity to the map of a randomised network against that of other cases.

    Args:
        about: Image and method.
        check: `weight_randomisation_top` or `weight_randomisation`.
        similarity: SSIM of the maps of the trained and the randomised network.
        pair_similarity: Mean SSIM of the trained network's maps of different cases.
        n_pairs: Number of those pairs.

    Source:
        Adebayo 2018, arXiv:1810.03292; threshold: Arun 2021, doi:10.1148/ryai.2021200267.
    """
    if n_pairs == 0:
        reason = "fewer than two maps to compare with"
        return about.row(check, "INCONCLUSIVE", reason=reason, statistic=similarity, n=0)
    return about.row(
        check,
        judge(passed=similarity < pair_similarity),
        reason=f"SSIM {similarity:.3f} to the randomised map, {pair_similarity:.3f} between cases",
        statistic=similarity,
        comparator=pair_similarity,
        threshold=pair_similarity,
        n=n_pairs,
    )
