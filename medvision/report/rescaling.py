"""What temperatures did to calibration on test images, as facts."""

from dataclasses import dataclass

from medvision.domain.arms import rank_arm
from medvision.report.sources import Row, Sources, parse_count, parse_number
from medvision.report.words import ARMS, say, say_metric

_OF_DISTANCE = ("calibration_slope", "calibration_intercept")
"""Figures of which neither more nor less is better, but nearer to the right value."""

_SPANS = {"before": "before", "after": "after", "change": "change", "distance_change": "distance"}
"""Columns of figures, and what those of their ends begin with."""


@dataclass(frozen=True)
class Span:
    """A figure with the ends of its interval; None where it has none."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ScalingRow:
    """One figure of one arm before and after its temperatures, of one finding where there are some.

    Args:
        arm: Arm, in words.
        finding: Finding; empty of classes.
        metric: Figure, in words.
        before: With temperatures of 1.
        after: As on the rest of the page.
        change: After minus before, its interval paired.
        distance: Distance from the right value after, minus before; below 0 is nearer.
        verdict: What the interval of the distance says, in a few words.
        n_subjects: Test subjects.
        n_scaled: Networks whose temperature is not 1.
        n_networks: All networks.
        method: In the words of the evaluation.
    """

    arm: str
    finding: str
    metric: str
    before: Span
    after: Span
    change: Span
    distance: Span
    verdict: str
    n_subjects: int | None
    n_scaled: int | None
    n_networks: int | None
    method: str


def build_scaling(sources: Sources) -> tuple[ScalingRow, ...]:
    """Gather what was found before and after.

    Args:
        sources: Table `scaling`, without rows where no temperature was fitted.
    """
    rows = sorted(sources.table("scaling"), key=lambda row: rank_arm(row["arm"]))
    return tuple(_build(row) for row in rows)


def list_scaled(sources: Sources) -> frozenset[str]:
    """Return the arms of which a temperature is not 1, so that their curve moved.

    Args:
        sources: Table `scaling`.
    """
    rows = sources.table("scaling")
    return frozenset(row["arm"] for row in rows if (parse_count(row["n_scaled"]) or 0) > 0)


def _build(row: Row) -> ScalingRow:
    """Return a row of scaling.tsv as a fact."""
    before, after, change, distance = (
        Span(*(parse_number(row[name]) for name in (of, f"{start}_low", f"{start}_high")))
        for of, start in _SPANS.items()
    )
    return ScalingRow(
        arm=say(row["arm"], ARMS),
        finding=row.get("finding", ""),
        metric=say_metric(row["metric"], "classification"),
        before=before,
        after=after,
        change=change,
        distance=distance,
        verdict=_judge(row["metric"], distance),
        n_subjects=parse_count(row["n_subjects"]),
        n_scaled=parse_count(row["n_scaled"]),
        n_networks=parse_count(row["n_networks"]),
        method=row["method"],
    )


def _judge(metric: str, distance: Span) -> str:
    """Say whether the temperature helped: less error, or nearer to the value that is right."""
    if distance.low is None or distance.high is None:
        return "Cannot be judged"
    if distance.low <= 0 <= distance.high:
        return "Not shown to be nearer or farther" if metric in _OF_DISTANCE else "Includes zero"
    return "Better" if distance.high < 0 else "Worse"
