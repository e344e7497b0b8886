"""Subgroups as facts: figures of each value of a column, and its gap to all others."""

from collections.abc import Sequence
from dataclasses import dataclass

from medvision.report.sources import Row, Sources, parse_count, parse_number
from medvision.report.words import ARMS, say, say_metric


@dataclass(frozen=True)
class SubgroupRow:
    """One figure of one arm on one subgroup; ends are None where there is no interval."""

    arm: str
    words: str
    subgroup: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    gap: float | None
    gap_low: float | None
    gap_high: float | None
    n_images: int | None
    n_subjects: int | None
    n_positive: int | None
    warning: str
    method: str


@dataclass(frozen=True)
class SubgroupTable:
    """All subgroups of one column.

    Args:
        title: The column, with the finding where there are several.
        rows: In order of subgroup, figure and arm.
        n_small: Subgroups with fewer subjects than asked for.
    """

    title: str
    rows: tuple[SubgroupRow, ...]
    n_small: int

    @property
    def groups(self) -> tuple[tuple[SubgroupRow, ...], ...]:
        """Return the rows subgroup by subgroup."""
        names = dict.fromkeys(row.subgroup for row in self.rows)
        return tuple(tuple(row for row in self.rows if row.subgroup == name) for name in names)


def build_subgroups(sources: Sources) -> tuple[SubgroupTable, ...]:
    """Gather the subgroups, column by column.

    Args:
        sources: Table `subgroups`.
    """
    held: dict[tuple[str, str], list[Row]] = {}
    for row in sources.table("subgroups"):
        held.setdefault((row["variable"], row.get("finding", "")), []).append(row)
    return tuple(
        _build_table(f"{variable}, {finding}" if finding else variable, rows)
        for (variable, finding), rows in held.items()
    )


def _build_table(title: str, rows: Sequence[Row]) -> SubgroupTable:
    """Return the subgroups of one column, arms side by side."""
    groups, metrics = (
        list(dict.fromkeys(r[name] for r in rows)) for name in ("subgroup", "metric")
    )
    ordered = sorted(rows, key=lambda r: (groups.index(r["subgroup"]), metrics.index(r["metric"])))
    small = {row["subgroup"] for row in rows if row["warning"]}
    return SubgroupTable(title, tuple(_build_row(row) for row in ordered), len(small))


def _build_row(row: Row) -> SubgroupRow:
    """Return a row of subgroups.tsv as a fact."""
    value, low, high, gap, gap_low, gap_high = (
        parse_number(row[name]) for name in ("value", "low", "high", "gap", "gap_low", "gap_high")
    )
    return SubgroupRow(
        arm=say(row["arm"], ARMS),
        words=say_metric(row["metric"]),
        subgroup=row["subgroup"],
        metric=row["metric"],
        value=value,
        low=low,
        high=high,
        gap=gap,
        gap_low=gap_low,
        gap_high=gap_high,
        n_images=parse_count(row["n_images"]),
        n_subjects=parse_count(row["n_subjects"]),
        n_positive=parse_count(row["n_positive"]),
        warning=row["warning"],
        method=row["method"],
    )
