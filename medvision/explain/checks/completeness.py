"""Completeness: the map's sum is the change of the logit that it explains."""

from medvision.domain.attribution import Attribution, Check
from medvision.explain.checks.row import About, judge


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
