"""The gates over synthetic images: whether each opened, and what each criterion found."""

from dataclasses import dataclass

from medvision.report.sources import JsonObject, Row, Sources, parse_count, parse_number
from medvision.report.words import CHECKS, METHODS, show_minus

_STAGE = "gate/"
_ASKED = {
    "quality": "Quality",
    "diversity": "Variety",
    "memorisation": "Memorisation",
    "membership": "Membership",
    "fidelity": "Class fidelity",
    "saliency": "Explanations",
}
_SPACES = {
    "backbone": "the study’s network",
    "fixed": "a fixed network",
    "pixels": "pixels",
    "look-alikes": "turned, cropped or brighter",
    "classifier": "the study’s network",
}
_VERDICTS = {
    "passed": ("pass", "✓", "Passed"),
    "refused": ("fail", "✗", "Refused"),
    "undecided": ("unsure", "?", "Undecided"),
    "described": ("none", "–", "Told, not judged"),
}


@dataclass(frozen=True)
class CriterionRow:
    """One criterion of one gate.

    Args:
        asked: What was asked, in words.
        space: In what, in words.
        statistic: What was computed.
        value: Of the synthetic images.
        low: Lower end of its interval.
        high: Upper end.
        n: Images that it is of.
        comparator: The same of real images.
        threshold: Beyond which the generator is refused.
        style: Of the verdict's mark.
        icon: Likewise.
        verdict: In a word.
        reason: In words.
    """

    asked: str
    space: str
    statistic: str
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    comparator: float | None
    threshold: float | None
    style: str
    icon: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class GateRow:
    """The verdict on one fold's images.

    Args:
        fold: Number of the training.
        is_open: Whether any may be used.
        n_drawn: Images that were judged.
        n_accepted: Those that may be used.
        n_refused: Those that were refused one by one, open or shut.
        reason: In words.
        criteria: Everything that was asked.
    """

    fold: int
    is_open: bool
    n_drawn: int
    n_accepted: int
    n_refused: int
    reason: str
    criteria: tuple[CriterionRow, ...]


def build_gates(sources: Sources) -> tuple[GateRow, ...]:
    """Gather what the gates' records and tables say.

    Args:
        sources: Records of the steps `gate/fold-<f>`, and the table `gate-<f>` of each.
    """
    records = [r for r in sources.records if str(r.get("step", "")).startswith(_STAGE)]
    return tuple(_build_gate(sources, record) for record in records)


def describe_gates(gates: tuple[GateRow, ...]) -> str:
    """Say in one sentence how many gates opened, and how many images they let through.

    Args:
        gates: Of all folds; "" where there are none.
    """
    if not gates:
        return ""
    n_open, n_drawn = sum(gate.is_open for gate in gates), sum(gate.n_drawn for gate in gates)
    n_accepted = sum(gate.n_accepted for gate in gates)
    found = f"{n_open} of {len(gates)} gates opened"
    if len(gates) == 1:
        found = "the gate opened" if n_open else "the gate stayed shut"
    return (
        f"Of {n_drawn} synthetic images, {n_accepted} may be used: {found}. A shut gate is a "
        "result: the images did worse than real ones, or it could not be told."
    )


def _build_gate(sources: Sources, record: JsonObject) -> GateRow:
    """Say of one fold's gate what the page shows."""
    fold = int(str(record["step"]).rpartition("-")[2])
    held = record.get("facts")
    facts = held if isinstance(held, dict) else {}
    n_drawn, n_accepted, n_refused = (
        int(str(facts.get(name, 0))) for name in ("n_drawn", "n_accepted", "n_refused")
    )
    return GateRow(
        fold=fold,
        is_open=facts.get("is_open") is True,
        n_drawn=n_drawn,
        n_accepted=n_accepted,
        n_refused=n_refused,
        reason=str(facts.get("reason", "")),
        criteria=tuple(_build_criterion(row) for row in sources.table(f"gate-{fold}")),
    )


def _build_criterion(row: Row) -> CriterionRow:
    """Put a line of a gate's table in words and numbers."""
    style, icon, verdict = _VERDICTS.get(row["verdict"], ("none", "–", row["verdict"]))
    return CriterionRow(
        asked=_ASKED.get(row["criterion"], row["criterion"].capitalize()),
        space=(METHODS | _SPACES).get(row["space"], row["space"]),
        statistic=_name_statistic(row["statistic"]),
        value=parse_number(row["value"]),
        low=parse_number(row["low"]),
        high=parse_number(row["high"]),
        n=parse_count(row["n"]),
        comparator=parse_number(row["comparator"]),
        threshold=parse_number(row["threshold"]),
        style=style,
        icon=icon,
        verdict=verdict,
        reason=show_minus(row["reason"]),
    )


def _name_statistic(name: str) -> str:
    """Put what was computed in words; of explanations the loss of a check, by the check's name."""
    lost, found, check = name.partition("loss of ")
    return f"Loss: {CHECKS.get(check, check)}" if found and not lost else name
