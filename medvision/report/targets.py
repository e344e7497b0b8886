"""Findings and values as facts: what each finding's figures are, and each image's error."""

from collections.abc import Sequence
from dataclasses import dataclass

from medvision.domain.evaluation.macro import MACRO
from medvision.domain.labels.findings import SEPARATOR
from medvision.report.metric import Metric
from medvision.report.reliability import CalibrationBin, build_bins
from medvision.report.sources import Row, Sources, parse_number
from medvision.report.words import ARMS, say

FINDING_METRICS = ("auc", "sensitivity", "specificity", "brier")
"""Figures of the table per finding, in the order of its columns."""

_CURVE_POINTS = 400
_MOST_POINTS = 2000


@dataclass(frozen=True)
class FindingArm:
    """One finding as one arm predicts it.

    Args:
        arm: transfer or scratch.
        metrics: Figure to its value, those of `FINDING_METRICS`; None where it was not computed.
        roc: Points of the curve, averaged over folds.
        calibration: Bins of the reliability curve.
    """

    arm: str
    metrics: tuple[Metric | None, ...]
    roc: tuple[tuple[float, float], ...]
    calibration: tuple[CalibrationBin, ...]

    @property
    def auc(self) -> Metric | None:
        """Return the AUC."""
        return self.metrics[0]


@dataclass(frozen=True)
class FindingFacts:
    """One finding: on how many images it is known, how many have it, and each arm's figures."""

    name: str
    n_known: int | None
    n_there: int | None
    arms: tuple[FindingArm, ...]


@dataclass(frozen=True)
class ValueArm:
    """The predicted values of one arm.

    Args:
        arm: transfer or scratch.
        words: The same in words.
        points: (true, predicted) of test images; of very many an even selection.
        n_points: How many there are.
        bias: Mean error, with its limits of agreement; None where they were not computed.
    """

    arm: str
    words: str
    points: tuple[tuple[float, float], ...]
    n_points: int
    bias: tuple[float | None, float | None, float | None]


def is_of_all(metric: str, task: str) -> bool:
    """Tell whether a figure is about all findings; other tasks have no others."""
    return task != "multilabel" or metric in MACRO


def build_findings(
    sources: Sources, names: Sequence[str], *, metrics: Sequence[Metric], arms: Sequence[str]
) -> tuple[FindingFacts, ...]:
    """Gather the figures of each finding.

    Args:
        sources: Tables `roc` and `calibration`, with the finding in every row.
        names: Findings in their order.
        metrics: All figures of all arms.
        arms: Arms in their order.
    """
    held = {(metric.arm, metric.metric): metric for metric in metrics}
    curves, bins = (_group(sources.table(table)) for table in ("roc", "calibration"))
    facts = []
    for name in names:
        own = tuple(
            FindingArm(
                arm,
                tuple(held.get((arm, f"{kind}_{name}")) for kind in FINDING_METRICS),
                thin([(_read(r, "fpr"), _read(r, "tpr")) for r in curves.get((arm, name), [])]),
                tuple(build_bins(bins.get((arm, name), []))),
            )
            for arm in arms
        )
        first = own[0].auc if own else None
        counts = (first.n_images, first.n_positive) if first else (None, None)
        facts.append(FindingFacts(name, *counts, own))
    return tuple(facts)


def _group(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the rows of each arm and finding."""
    held: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        held.setdefault((row["arm"], row.get("finding", "")), []).append(row)
    return held


def build_values(
    sources: Sources, *, metrics: Sequence[Metric], arms: Sequence[str]
) -> tuple[ValueArm, ...]:
    """Gather the predicted values of each arm.

    Args:
        sources: Table `errors`.
        metrics: All figures of all arms.
        arms: Arms in their order.
    """
    held = {(metric.arm, metric.metric): metric.value for metric in metrics}
    facts = []
    for arm in arms:
        rows = [row for row in sources.table("errors") if row["arm"] == arm]
        step = -(-len(rows) // _MOST_POINTS) or 1
        points = [(_read(row, "value"), _read(row, "predicted")) for row in rows[::step]]
        low, bias, high = (held.get((arm, name)) for name in ("loa_low", "bias", "loa_high"))
        facts.append(ValueArm(arm, say(arm, ARMS), tuple(points), len(rows), (bias, low, high)))
    return tuple(facts)


def is_right(row: Row, task: str) -> bool | None:
    """Tell whether what is explained of an image was predicted rightly.

    Args:
        row: Row of `selection`: label, predicted and target.
        task: classification, multilabel or regression.

    Returns:
        None of a value, of which there is no right and wrong.
    """
    if task == "regression":
        return None
    if task == "multilabel":
        parts = (row["label"].split(SEPARATOR), row["predicted"].split(SEPARATOR))
        return (row["target"] in parts[0]) == (row["target"] in parts[1])
    return row["label"] == row["predicted"]


def thin(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Keep a curve drawable: at most a few hundred points, first and last among them."""
    step = max(1, -(-len(points) // _CURVE_POINTS))
    return tuple(points[::step] + ([points[-1]] if points and (len(points) - 1) % step else []))


def _read(row: Row, name: str) -> float:
    """Return a number that the table must hold."""
    return parse_number(row[name]) or 0.0
