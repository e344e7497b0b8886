"""The row of a check: statistic, comparator, threshold, verdict, and where the check is from."""

import math
from dataclasses import dataclass

from medvision.domain.attribution import Check, Verdict

SOURCES = {
    "completeness": "sundararajan2017",
    "deletion": "petsiuk2018",
    "insertion": "petsiuk2018",
    "weight_randomisation_top": "adebayo2018,arun2021",
    "weight_randomisation": "adebayo2018,arun2021",
    "class_sensitivity": "nie2018",
    "pointing": "zhang2018",
    "relevance_mass": "arras2022",
    "rank_accuracy": "arras2022",
    "iou": "otsu1979",
}
"""Check to the citation keys of its definition, in the order of the table."""

LOCALISATION = ("pointing", "relevance_mass", "rank_accuracy", "iou")
"""The checks that need a mask."""


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
