"""Level 4 of an audit, for all rows: verdicts and rates follow from the statistics beside them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, cast, get_args

from medvision.audit.findings import Check as Answered
from medvision.audit.findings import Finding
from medvision.cli._compared import compare_values
from medvision.cli._recompute_request import ATTRIBUTIONS, Answer, Request
from medvision.domain.attribution import Attribution, Check, Verdict
from medvision.domain.record import JsonValue
from medvision.io.tables import Row, read_table
from medvision.runtime.files import read_json

if TYPE_CHECKING:
    from medvision.domain.volume import FloatGrid

VERDICTS = "verdicts"
QUESTION = "Do all verdicts, rates and intervals follow from the statistics beside them?"
CHECKS = "explain/checks.tsv"
SUMMARY = "explain/summary.json"

RULES: dict[str, Callable[[float, float], bool]] = {
    "completeness": le,
    "deletion": ge,
    "insertion": ge,
    "weight_randomisation_top": lt,
    "weight_randomisation": lt,
    "class_sensitivity": lt,
    "pointing": le,
    "relevance_mass": gt,
    "rank_accuracy": gt,
    "iou": gt,
}
"""Check to how its statistic must lie to its threshold to pass."""

COMPARED = ("weight_randomisation_top", "weight_randomisation")
"""Checks whose threshold is their comparator."""

_DIGITS = 1e-8
"""Tables hold nine digits: statistics nearer to the threshold than this share decide nothing."""


def check_verdicts(request: Request) -> Answered:
    """Compute every verdict, rate and interval again from the rows of a bundle.

    Args:
        request: Gives the tables.

    Raises:
        MedvisionError: A table cannot be read.
        LookupError, ValueError: A table is incomplete.
    """
    rows = [parse_check(row) for row in read_table(request.locate(CHECKS))]
    answer = Answer([], [], [f"{len(rows)} rows"])
    answer.findings += [fault for row in rows for fault in _find_verdict_faults(row)]
    unknown = sorted({row.check for row in rows} - RULES.keys())
    answer.missed += [f"no rule is known here for {name}" for name in unknown]
    answer.findings += _find_conclusion_faults(request, rows)
    answer.findings += _find_summary_faults(request, rows)
    return answer.as_check(VERDICTS, QUESTION)


def parse_check(row: Row) -> Check:
    """Return a row of the table of checks.

    Raises:
        ValueError: A figure is no number, or the verdict is none.
    """
    if row["verdict"] not in get_args(Verdict):
        raise ValueError(f"verdict {row['verdict']!r}")

    def read(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    return Check(
        image_id=row["image_id"],
        method=row["method"],
        check=row["check"],
        verdict=cast(Verdict, row["verdict"]),
        reason=row["reason"],
        source=row["source"],
        statistic=read("statistic"),
        comparator=read("comparator"),
        threshold=read("threshold"),
        n=int(row["n"]) if row["n"] else None,
        edge_map=read("edge_map"),
        centre_prior=read("centre_prior"),
        edge_margin=read("edge_margin"),
    )


def _find_verdict_faults(row: Check) -> list[Finding]:
    """Name a verdict that does not follow from the figures of its row."""
    where, rule = f"{CHECKS} {row.image_id} {row.method} {row.check}", RULES.get(row.check)
    if rule is None:
        return []
    findings = []
    if row.check in COMPARED and row.threshold != row.comparator:
        findings.append(Finding(where, "threshold", f"its comparator {row.comparator}", "another"))
    if row.statistic is None or row.threshold is None:
        if row.verdict == "PASS":
            findings.append(Finding(where, "verdict", "none without figures", row.verdict))
        return findings
    wanted = "PASS" if rule(row.statistic, row.threshold) else "FAIL"
    near = abs(row.statistic - row.threshold) <= _DIGITS * max(1.0, abs(row.threshold))
    if row.verdict != wanted and not (near and row.verdict in ("PASS", "FAIL")):
        figures = f"{row.statistic:g} against {row.threshold:g}"
        findings.append(Finding(where, "verdict", f"{wanted}, of {figures}", row.verdict))
    return findings


def _find_conclusion_faults(request: Request, rows: Sequence[Check]) -> list[Finding]:
    """Conclude on every map again from the rows of its checks."""
    from medvision.explain.verdicts import conclude

    by_map: dict[tuple[str, str], list[Check]] = {}
    for row in rows:
        by_map.setdefault((row.image_id, row.method), []).append(row)
    findings = []
    for held_row in read_table(request.locate(ATTRIBUTIONS)):
        pair = held_row["image_id"], held_row["method"]
        attribution = _stand_in(held_row, _read_grid(request, pair))
        verdict, reason = conclude(attribution, by_map.get(pair, []))
        if (verdict, reason) != (held_row["verdict"], held_row["reason"]):
            where = f"{ATTRIBUTIONS} {pair[0]} {pair[1]}"
            held = f"{held_row['verdict']} ({held_row['reason']})"
            findings.append(Finding(where, "verdict", f"{verdict} ({reason})", held))
    return findings


def _read_grid(request: Request, pair: tuple[str, str]) -> "FloatGrid":
    """Return a map as it lies in the bundle: whether it is empty decides before all checks."""
    import numpy as np

    from medvision.io.nifti.read import read_nifti

    path = "explain/maps/{}/{}.nii.gz".format(*pair)
    return read_nifti(request.locate(path)).array.astype(np.float32)


def _stand_in(row: Row, grid: "FloatGrid") -> Attribution:
    """Return what a conclusion looks at: the map and its row."""
    parameters = cast(dict[str, JsonValue], json.loads(row["parameters"]))
    return Attribution(grid, row["method"], 0, row["layer"] or None, parameters, 0.0, 0.0)


def _find_summary_faults(request: Request, rows: Sequence[Check]) -> list[Finding]:
    """Compute rates, intervals, means and the verdict of every method and control again."""
    from medvision.explain.verdicts import conclude_cohort, summarise_rows

    summary = cast(Mapping[str, JsonValue], read_json(request.locate(SUMMARY)))
    findings = []
    for group in ("methods", "controls"):
        for method, held in cast(Mapping[str, Mapping[str, JsonValue]], summary[group]).items():
            for check, figures in cast(Mapping[str, JsonValue], held["checks"]).items():
                own = [row for row in rows if (row.method, row.check) == (method, check)]
                place = f"{group}.{method}.checks.{check}"
                found = compare_values(place, wanted=summarise_rows(own), held=figures)
                findings += [replace(fault, where=SUMMARY) for fault in found]
            told = conclude_cohort([row for row in rows if row.method == method])
            wanted = {key: told[key] for key in told if key != "reason"}
            judged = cast(Mapping[str, JsonValue], held["verdict"])
            without = {key: judged[key] for key in judged if key != "reason"}
            place = f"{group}.{method}.verdict"
            found = compare_values(place, wanted=wanted, held=without)
            findings += [replace(fault, where=SUMMARY) for fault in found]
    return findings
