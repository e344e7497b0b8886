"""Decision curves as facts."""

from dataclasses import dataclass

from medvision.report.sources import Row, Sources, parse_number
from medvision.report.words import ARMS, say


@dataclass(frozen=True)
class DecisionRow:
    """The net benefit of one arm at one threshold; ends are None where it has no interval."""

    arm: str
    words: str
    threshold: float
    net_benefit: float
    low: float | None
    high: float | None
    treat_all: float


def build_decision(sources: Sources) -> tuple[DecisionRow, ...]:
    """Gather the decision curves of a study of two classes.

    Args:
        sources: Table `decision`; that of several findings is left to the file.
    """
    rows = [row for row in sources.table("decision") if not row.get("finding")]
    return tuple(held for row in rows if (held := _build(row)) is not None)


def _build(row: Row) -> DecisionRow | None:
    """Return a row as a fact, nothing where it is undefined."""
    threshold, value, every = (
        parse_number(row[name]) for name in ("threshold", "net_benefit", "treat_all")
    )
    if threshold is None or value is None or every is None:
        return None
    low, high = parse_number(row["low"]), parse_number(row["high"])
    words = say(row["arm"], ARMS)
    return DecisionRow(row["arm"], words, threshold, value, low, high, every)
