"""What temperatures did to calibration on test images, as facts."""

from dataclasses import dataclass

from medvision.domain.arms import rank_arm
from medvision.report.sources import Row, Sources, parse_count, parse_number
from medvision.report.words import ARMS, say, say_metric

_IDEAL = {"calibration_slope": 1.0, "calibration_intercept": 0.0}


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
        verdict: What the interval of the change says, in a few words.
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
    before, after, change = (
        Span(*(parse_number(row[name]) for name in (of, f"{of}_low", f"{of}_high")))
        for of in ("before", "after", "change")
    )
    return ScalingRow(
        arm=say(row["arm"], ARMS),
        finding=row.get("finding", ""),
        metric=say_metric(row["metric"], "classification"),
        before=before,
        after=after,
        change=change,
        verdict=_judge(row["metric"], before=before, after=after, change=change),
        n_subjects=parse_count(row["n_subjects"]),
        n_scaled=parse_count(row["n_scaled"]),
        n_networks=parse_count(row["n_networks"]),
        method=row["method"],
    )


def _judge(metric: str, *, before: Span, after: Span, change: Span) -> str:
    """Say whether the temperature helped: less error, or nearer to the value that is right."""
    if None in (change.low, change.high) or before.value is None or after.value is None:
        return "Cannot be judged"
    if (change.low or 0.0) <= 0 <= (change.high or 0.0):
        return "Includes zero"
    ideal = _IDEAL.get(metric, 0.0)
    return "Better" if abs(after.value - ideal) < abs(before.value - ideal) else "Worse"
