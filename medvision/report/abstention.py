"""Certainty and abstention as facts: curves of the main order, and all orders with a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from medvision.domain.evaluation.abstention_ends import judge_order
from medvision.report.sources import Row, Sources, parse_count, parse_number
from medvision.report.words import ARMS, say

SCORES = {
    "margin": "Distance from the threshold",
    "entropy": "Entropy",
    "disagreement": "Disagreement of the seeds",
    "distance": "Distance from the train images",
}


@dataclass(frozen=True)
class RiskRow:
    """The error rate of the images kept; ends are None where it has no interval."""

    coverage: float
    risk: float
    low: float | None
    high: float | None
    n_kept: float


@dataclass(frozen=True)
class RiskCurve:
    """The main order of one arm."""

    arm: str
    words: str
    score: str
    points: tuple[RiskRow, ...]
    error_rate: float


@dataclass(frozen=True)
class OrderRow:
    """One order of one arm's test images.

    Args:
        arm: Arm.
        words: The arm in words.
        finding: Of several findings the one that is ordered; empty otherwise.
        score: By what images are ordered, in words.
        is_main: Whether it is the order that was fixed beforehand.
        error_rate: Of all images; what a random order gives, however many are kept.
        area: Under the error rate of the images kept, by the share kept.
        gain: Error rate minus area.
        low: Lower end of the gain's interval; None where it has none.
        high: Upper end.
        excess: Area above the least possible one.
        error_auc: How often a right prediction is more certain than a wrong one.
        auc_low: Lower end of its interval; None where it has none.
        auc_high: Upper end.
        augrc: Area under the share of all images that are kept and wrong.
        n_wrong: Images predicted wrongly, the mean over the networks.
        n_images: Test images.
        n_subjects: Their subjects.
        verdict: Whether the order is better than a random one.
        method: How the gain and its interval were made.
    """

    arm: str
    words: str
    finding: str
    score: str
    is_main: bool
    error_rate: float | None
    area: float | None
    gain: float | None
    low: float | None
    high: float | None
    excess: float | None
    error_auc: float | None
    auc_low: float | None
    auc_high: float | None
    augrc: float | None
    n_wrong: float | None
    n_images: int | None
    n_subjects: int | None
    verdict: str
    method: str


@dataclass(frozen=True)
class AbstentionFacts:
    """What is left of the errors where the least certain images go to a person."""

    orders: tuple[OrderRow, ...]
    curves: tuple[RiskCurve, ...]

    @property
    def main(self) -> tuple[OrderRow, ...]:
        """Return the main order of each arm, and of each finding."""
        return tuple(row for row in self.orders if row.is_main)


def build_abstention(sources: Sources) -> AbstentionFacts:
    """Gather the orders, and the curves of a study of classes.

    Args:
        sources: Tables `abstention` and `risk_coverage`; the curves of findings are left to the
            file.
    """
    held: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in sources.table("abstention"):
        key = row.get("finding", ""), row["arm"], row["score"]
        held.setdefault(key, {})[row["metric"]] = row
    main: dict[tuple[str, str], str] = {}
    for finding, arm, score in held:
        main.setdefault((finding, arm), score)
    orders = tuple(
        _build_order(key, rows, is_main=main[key[:2]] == key[2]) for key, rows in held.items()
    )
    points: dict[str, list[Row]] = {}
    for row in sources.table("risk_coverage"):
        if not row.get("finding") and main.get(("", row["arm"])) == row["score"]:
            points.setdefault(row["arm"], []).append(row)
    curves = [_build_curve(arm, main["", arm], rows=rows) for arm, rows in points.items()]
    return AbstentionFacts(orders, tuple(curves))


def _build_order(key: tuple[str, str, str], rows: dict[str, Row], *, is_main: bool) -> OrderRow:
    """Return one order as a fact."""
    finding, arm, score = key
    gain = rows["aurc_gain"]
    low, high = parse_number(gain["low"]), parse_number(gain["high"])
    auc = parse_number(rows["error_auc"]["low"]), parse_number(rows["error_auc"]["high"])
    values = {name: parse_number(row["value"]) for name, row in rows.items()}
    return OrderRow(
        arm=arm,
        words=say(arm, ARMS),
        finding=finding,
        score=say(score, SCORES),
        is_main=is_main,
        error_rate=values["error_rate"],
        area=values["aurc"],
        gain=values["aurc_gain"],
        low=low,
        high=high,
        excess=values["aurc_excess"],
        error_auc=values["error_auc"],
        auc_low=auc[0],
        auc_high=auc[1],
        augrc=values["augrc"],
        n_wrong=parse_number(gain["n_wrong"]),
        n_images=parse_count(gain["n_images"]),
        n_subjects=parse_count(gain["n_subjects"]),
        verdict=judge_order((low, high), auc),
        method=gain["method"],
    )


def _build_curve(arm: str, score: str, *, rows: Sequence[Row]) -> RiskCurve:
    """Return one arm's curve."""
    points = tuple(
        RiskRow(
            coverage=parse_number(row["coverage"]) or 0.0,
            risk=parse_number(row["risk"]) or 0.0,
            low=parse_number(row["low"]),
            high=parse_number(row["high"]),
            n_kept=parse_number(row["n_kept"]) or 0.0,
        )
        for row in rows
    )
    return RiskCurve(arm, say(arm, ARMS), say(score, SCORES), points, points[-1].risk)
