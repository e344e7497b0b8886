"""Performance as facts: metrics with intervals, curves, and comparisons in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from medvision.domain.arms import is_ensemble, rank_arm
from medvision.report.metric import (
    Metric,
    choose_digits,
    find_direction,
    has_unit,
    name_interval,
)
from medvision.report.reliability import CalibrationBin, build_bins
from medvision.report.rescaling import list_scaled
from medvision.report.sources import Row, Sources, list_unique, parse_count, parse_number
from medvision.report.targets import (
    FindingFacts,
    ValueArm,
    build_findings,
    build_values,
    is_of_all,
    thin,
)
from medvision.report.words import ARMS, say, say_metric, say_number

Interval = tuple[float | None, float | None, float | None]
"""A difference, and the ends of its interval."""

_SHORT = {
    "transfer": "with transfer",
    "scratch": "from scratch",
    "transfer-ensemble": "as an ensemble",
    "scratch-ensemble": "as an ensemble",
}
_MAIN_METRICS = ("auc", "auc_macro", "balanced_accuracy")


@dataclass(frozen=True)
class Comparison:
    """Two arms on the same subjects, with the verdict in words."""

    metric: str
    words: str
    arm_a: str
    arm_b: str
    difference: float | None
    low: float | None
    high: float | None
    n_subjects: int | None
    method: str
    verdict: str
    verdict_short: str
    is_ensemble: bool

    @property
    def has_unit(self) -> bool:
        """Whether the figure is in the unit of a predicted value."""
        return has_unit(self.metric)


@dataclass(frozen=True)
class HistoryPoints:
    """One model's losses; epochs run from 1."""

    arm: str
    fold: int
    seed: int
    columns: dict[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class ArmFacts:
    """The curves and counts of one arm; `calibration_before` where a temperature moved it."""

    arm: str
    words: str
    roc: tuple[tuple[float, float], ...]
    calibration: tuple[CalibrationBin, ...]
    calibration_before: tuple[CalibrationBin, ...]
    confusion: tuple[tuple[int, ...], ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class PerformanceFacts:
    """All that is known of the arms' performance on held-out subjects."""

    main_metric: str
    main_words: str
    chance: float | None
    metrics: tuple[Metric, ...]
    comparisons: tuple[Comparison, ...]
    arms: tuple[ArmFacts, ...]
    histories: tuple[HistoryPoints, ...]
    confidence: float
    task: str = "classification"
    findings: tuple[FindingFacts, ...] = ()
    finding_comparisons: tuple[Comparison, ...] = ()
    values: tuple[ValueArm, ...] = ()

    @property
    def digits(self) -> int:
        """Return the decimals that the figures are shown with: two in a hundred of a value's."""
        value = next((m.value for m in self.main if m.value), None)
        return choose_digits(value) if self.task == "regression" else 3

    def find(self, arm: str, metric: str) -> Metric | None:
        """Return one metric of one arm, None where it was not computed."""
        found = [m for m in self.metrics if (m.arm, m.metric) == (arm, metric)]
        return found[0] if found else None

    @property
    def main(self) -> tuple[Metric, ...]:
        """Return the main metric of each arm."""
        return tuple(metric for metric in self.metrics if metric.metric == self.main_metric)


def build_performance(
    sources: Sources, *, classes: Sequence[str], task: str = "classification", value: str = ""
) -> PerformanceFacts:
    """Gather the evaluation's figures.

    Args:
        sources: Tables `metrics`, `comparison`, `roc`, `calibration`, `confusion`,
            `thresholds`; of values `errors`; histories.
        classes: Class names, or findings, in their order.
        task: classification, multilabel or regression.
        value: What the value of a regression is called.

    Returns:
        Facts with the arms ordered transfer first.
    """
    every = tuple(_build_metric(row, task) for row in _sort_by_arm(sources.table("metrics")))
    metrics = tuple(metric for metric in every if is_of_all(metric.metric, task))
    compared = tuple(_build_comparison(row, task) for row in sources.table("comparison"))
    names = [metric.metric for metric in metrics]
    main = next((name for name in _MAIN_METRICS if name in names), names[0] if names else "")
    confidence = parse_number(str(sources.setting("evaluate", "confidence")))
    arms = list_unique(metric.arm for metric in metrics)
    return PerformanceFacts(
        main_metric=main,
        main_words=f"{say_metric(main, task)}{f' of {value}' if value else ''}",
        chance=0.5 if main in _MAIN_METRICS else None,
        metrics=metrics,
        comparisons=tuple(held for held in compared if is_of_all(held.metric, task)),
        arms=tuple(_build_arm(sources, arm, classes=classes) for arm in arms)
        if task == "classification"
        else (),
        histories=_build_histories(sources),
        confidence=0.95 if confidence is None else confidence,
        task=task,
        findings=build_findings(sources, classes, metrics=every, arms=arms)
        if task == "multilabel"
        else (),
        finding_comparisons=tuple(held for held in compared if not is_of_all(held.metric, task)),
        values=build_values(sources, metrics=every, arms=arms) if task == "regression" else (),
    )


def _sort_by_arm(rows: Sequence[Row]) -> list[Row]:
    """Put transfer first and scratch last, the order within an arm as it was."""
    return sorted(rows, key=lambda row: rank_arm(row["arm"]))


def _build_metric(row: Row, task: str) -> Metric:
    """Return a row of metrics.tsv as a fact."""
    return Metric(
        arm=row["arm"],
        metric=row["metric"],
        words=say_metric(row["metric"], task),
        value=parse_number(row["value"]),
        low=parse_number(row["low"]),
        high=parse_number(row["high"]),
        n_images=parse_count(row["n_images"]),
        n_subjects=parse_count(row["n_subjects"]),
        n_positive=parse_count(row["n_positive"]),
        method=row["method"],
        interval_by=name_interval(row["method"]),
    )


def _build_comparison(row: Row, task: str) -> Comparison:
    """Return a row of comparison.tsv with its verdict in words."""
    difference, low, high = (parse_number(row[name]) for name in ("difference", "low", "high"))
    words = say_metric(row["metric"], task)
    return Comparison(
        metric=row["metric"],
        words=words,
        arm_a=row["arm_a"],
        arm_b=row["arm_b"],
        difference=difference,
        low=low,
        high=high,
        n_subjects=parse_count(row["n_subjects"]),
        method=row["method"],
        verdict=_judge(
            row["metric"],
            arm_a=row["arm_a"],
            arm_b=row["arm_b"],
            interval=(difference, low, high),
        ),
        verdict_short=_judge_briefly(
            row["metric"],
            arm_a=row["arm_a"],
            arm_b=row["arm_b"],
            interval=(difference, low, high),
        ),
        is_ensemble=is_ensemble(row["arm_a"]),
    )


def _judge_briefly(metric: str, *, arm_a: str, arm_b: str, interval: Interval) -> str:
    """Say in a few words what an interval of a difference shows."""
    difference, low, high = interval
    if difference is None or low is None or high is None:
        return "Cannot be judged"
    if low <= 0 <= high:
        return "No"
    better = difference * find_direction(metric)
    if better == 0:
        return "The two differ"
    winner = arm_a if better > 0 else arm_b
    return f"Better {_SHORT.get(winner, f'with {say(winner, ARMS).lower()}')}"


def _judge(
    metric: str,
    *,
    arm_a: str,
    arm_b: str,
    interval: Interval,
) -> str:
    """Say what an interval of a difference does and does not show."""
    difference, low, high = interval
    if difference is None or low is None or high is None:
        return "No interval could be computed, so the difference cannot be judged."
    name_a, name_b = _name_pair(arm_a, arm_b)
    span = f"{say_number(low, signed=True)} to {say_number(high, signed=True)}"
    if low <= 0 <= high:
        return f"The interval, {span}, includes zero: {name_a} did not demonstrably help here."
    if find_direction(metric) == 0:
        return f"The interval, {span}, excludes zero: the two differ."
    better = difference * find_direction(metric) > 0
    winner, loser = (name_a, name_b) if better else (name_b, name_a)
    return f"The interval, {span}, excludes zero: {winner} did better than {loser}."


def _name_pair(arm_a: str, arm_b: str) -> tuple[str, str]:
    """Return two arms as they stand within a sentence."""
    if is_ensemble(arm_a) and not is_ensemble(arm_b):
        return "the ensemble", "its single networks"
    return say(arm_a, ARMS).lower(), say(arm_b, ARMS).lower()


def _build_arm(sources: Sources, arm: str, *, classes: Sequence[str]) -> ArmFacts:
    """Return one arm's curves."""
    own = {
        name: [row for row in sources.table(name) if row["arm"] == arm]
        for name in ("roc", "calibration", "calibration_before", "confusion", "thresholds")
    }
    before = own["calibration_before"] if arm in list_scaled(sources) else []
    points = [(parse_number(r["fpr"]) or 0.0, parse_number(r["tpr"]) or 0.0) for r in own["roc"]]
    cells = {(r["label"], r["predicted"]): parse_count(r["n"]) or 0 for r in own["confusion"]}
    thresholds = [parse_number(row["threshold"]) for row in own["thresholds"]]
    return ArmFacts(
        arm=arm,
        words=say(arm, ARMS),
        roc=thin(points),
        calibration=tuple(build_bins(own["calibration"])),
        calibration_before=tuple(build_bins(before)),
        confusion=tuple(tuple(cells.get((a, b), 0) for b in classes) for a in classes)
        if cells
        else (),
        thresholds=tuple(value for value in thresholds if value is not None),
    )


def _build_histories(sources: Sources) -> tuple[HistoryPoints, ...]:
    """Return every model's curves, column by column."""
    return tuple(
        HistoryPoints(
            held.arm,
            held.fold,
            held.seed,
            {
                name: tuple(parse_number(row.get(name)) for row in held.rows)
                for name in (held.rows[0] if held.rows else ())
                if name != "epoch"
            },
        )
        for held in sources.histories
    )
