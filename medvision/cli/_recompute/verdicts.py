"""Level 1 of an audit: what is told of maps follows from the statistics beside it, all rows."""

from typing import TYPE_CHECKING

from medvision.audit.findings import Finding
from medvision.cli._recompute.likenesses import find_likeness_faults
from medvision.cli._recompute.rows import find_row_faults, find_shared_faults
from medvision.cli._recompute.summary import find_summary_faults
from medvision.cli._recompute.told import ATTRIBUTIONS, VERDICTS, Told
from medvision.domain.attribution import Check

if TYPE_CHECKING:
    from medvision.explain.tables import Cell

CONCLUDED = ("is_control", "verdict", "reason")
"""What the table of verdicts says of a map."""


def find_verdict_faults(told: Told) -> list[Finding]:
    """Compute every verdict, rate, interval, margin and mean of explanations again.

    Args:
        told: What the bundle tells.

    Returns:
        One finding per row, cell or figure that does not follow from the table of checks.

    Raises:
        LookupError, ValueError: A table is incomplete.
    """
    findings = find_row_faults(told) + find_shared_faults(told.checks)
    findings += _find_conclusion_faults(told) + _find_table_faults(told)
    return findings + find_likeness_faults(told) + find_summary_faults(told)


def _find_conclusion_faults(told: Told) -> list[Finding]:
    """Conclude on every map again from the rows of its checks."""
    from medvision.explain.verdicts import conclude_rows

    by_map: dict[tuple[str, str], list[Check]] = {}
    for row in told.checks:
        by_map.setdefault((row.image_id, row.method), []).append(row)
    findings = []
    for held_row in told.tables[ATTRIBUTIONS]:
        pair = held_row["image_id"], held_row["method"]
        verdict, reason = conclude_rows(by_map.get(pair, []))
        if (verdict, reason) != (held_row["verdict"], held_row["reason"]):
            where = f"{ATTRIBUTIONS} {pair[0]} {pair[1]}"
            held = f"{held_row['verdict']} ({held_row['reason']})"
            findings.append(Finding(where, "verdict", f"{verdict} ({reason})", held))
    return findings


def _find_table_faults(told: Told) -> list[Finding]:
    """Make the table of verdicts again, of methods and controls."""
    from medvision.explain.checks import SOURCES
    from medvision.explain.tables import list_verdicts

    known = {case.image_id for case in told.cases}
    checks = [row for row in told.checks if row.image_id in known and row.check in SOURCES]
    wanted = {
        (str(row["image_id"]), str(row["method"])): row for row in list_verdicts(told.cases, checks)
    }
    rows = told.tables[VERDICTS]
    held = {(row["image_id"], row["method"]): row for row in rows}
    findings = [] if len(held) == len(rows) else [Finding(VERDICTS, "rows", "one a map", "more")]
    rules = {True: ("there, as there are checks", "no row"), False: ("of a checked map", "another")}
    findings += [
        Finding(f"{VERDICTS} {' '.join(pair)}", "row", *rules[pair in wanted])
        for pair in sorted(wanted.keys() ^ held.keys())
    ]
    for pair in sorted(wanted.keys() & held.keys()):
        for name in CONCLUDED:
            told_cell = _write(wanted[pair][name])
            if held[pair][name] != told_cell:
                where = f"{VERDICTS} {' '.join(pair)}"
                findings.append(Finding(where, name, told_cell, held[pair][name]))
    return findings


def _write(cell: "Cell") -> str:
    """Return a cell as a table has it."""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
