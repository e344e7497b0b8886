"""Level 4 of an audit, for a sample: checks and controls run again on their cases."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from math import isclose
from typing import cast

from medvision.audit.findings import Check as Answered
from medvision.audit.findings import Finding
from medvision.cli._recompute.compared import compare_values
from medvision.cli._recompute.influence import check_influence
from medvision.cli._recompute.rerun import Rerun, rerun_sample
from medvision.cli._recompute.scene import Scene
from medvision.cli._recompute.stability import check_stability
from medvision.cli._recompute.told import CHECKS, SUMMARY, parse_check
from medvision.domain.attribution import Check
from medvision.domain.record import JsonValue
from medvision.io.tables import read_table
from medvision.runtime.files import read_json

RERUN = "checks"
QUESTION = "Do checks and controls of the sampled cases come out the same, run again?"

COHORT = ("weight_randomisation_top", "weight_randomisation")
"""Checks of which comparator and verdict depend on all cases: of a sample the statistic is held."""

TOLERANCE = 1e-3
"""Of a statistic, as a share of it, or of 1 where it is smaller: maps differ by 2e-4 at most."""

_WORD_TOLERANCE, _WORD_FLOOR = 1e-2, 2e-3
"""Of a figure in a reason, which has three digits, or three after the point."""

_RULES = {True: ("there, as this check is run", "no row"), False: ("absent", "a row")}

FIGURES = (
    *("statistic", "comparator", "threshold", "n"),
    *("edge_map", "centre_prior", "edge_margin"),
)

Key = tuple[str, str, str]
"""Image, method, check."""


def check_checks(scene: Scene) -> list[Answered]:
    """Run the checks of a sample's cases again, and all else that is told of these cases.

    Args:
        scene: The bundle's explanations, and what the auditor handed over.

    Returns:
        Three checks: of the rows of checks, of cascade and stability, of train images.

    Raises:
        MedvisionError: A table of the bundle cannot be read.
    """
    rerun = rerun_sample(scene)
    return [_check_rows(scene, rerun), check_stability(scene, rerun), check_influence(scene)]


def _check_rows(scene: Scene, rerun: Rerun) -> Answered:
    """Compare every row of the cases that were explained again."""
    from medvision.explain.sanity import check_randomisations

    answer, names = rerun.open_answer(), rerun.names
    if not names:
        return answer.as_check(RERUN, QUESTION)
    rows = [check for each in rerun.explained for check in each.checks]
    rows += check_randomisations(rerun.explained, seed=scene.plan.seed)
    wanted = {_name(row): row for row in rows}
    held = [parse_check(row) for row in read_table(scene.request.locate(CHECKS))]
    own = {key: row for row in held if (key := _name(row))[0] in names}
    is_whole = names == scene.cases.keys()
    answer.findings += _compare_rows(wanted, own, is_whole=is_whole)
    answer.notes.insert(0, f"{len(wanted)} rows of {len(names)} cases run again")
    if is_whole:
        answer.findings += _find_lesion_faults(scene, rerun)
    else:
        answer.notes.append("the sizes of lesions in summary.json need all cases")
    return answer.as_check(RERUN, QUESTION)


def _find_lesion_faults(scene: Scene, rerun: Rerun) -> list[Finding]:
    """Hold what the summary says of lesions, and of cells too coarse for them, to the masks."""
    from medvision.explain.summary import describe_masks, describe_method

    held = cast(Mapping[str, JsonValue], read_json(scene.request.locate(SUMMARY)))
    finished = rerun.finished
    found = compare_values("masks", wanted=describe_masks(finished), held=held["masks"])
    methods = cast(Mapping[str, Mapping[str, JsonValue]], held["methods"])
    for name in scene.plan.methods:
        wanted = describe_method(finished, name).get("too_coarse")
        place = f"methods.{name}.too_coarse"
        found += compare_values(place, wanted=wanted, held=methods[name].get("too_coarse"))
    return [replace(fault, where=SUMMARY) for fault in found]


def _name(row: Check) -> Key:
    """Return what tells one row from another."""
    return row.image_id, row.method, row.check


def _compare_rows(
    wanted: Mapping[Key, Check], held: Mapping[Key, Check], *, is_whole: bool
) -> list[Finding]:
    """Name the rows that are missing, too many, or say something else."""
    findings = [
        Finding(f"{CHECKS} {' '.join(key)}", "row", *_RULES[key in wanted])
        for key in sorted(wanted.keys() ^ held.keys())
    ]
    for key in sorted(wanted.keys() & held.keys()):
        is_partial = key[2] in COHORT and not is_whole
        findings += _compare_row(wanted[key], held[key], is_partial=is_partial)
    return findings


def _compare_row(wanted: Check, held: Check, *, is_partial: bool) -> list[Finding]:
    """Hold the figures of a row, and its verdict where it depends on this case alone."""
    where = f"{CHECKS} {' '.join(_name(held))}"
    names = ("statistic",) if is_partial else FIGURES
    findings = []
    for name in names:
        one, other = getattr(wanted, name), getattr(held, name)
        if not _is_near(one, other):
            findings.append(Finding(where, name, f"{one}, computed again", f"{other}"))
    if not is_partial and not _says_the_same(wanted.reason, held.reason):
        findings.append(Finding(where, "reason", f"{wanted.reason}, run again", held.reason))
    if not is_partial and wanted.verdict != held.verdict and (findings or not _is_open(wanted)):
        findings.append(Finding(where, "verdict", f"{wanted.verdict}, run again", held.verdict))
    return findings


def _is_near(one: float | None, other: float | None) -> bool:
    """Compare two figures; an absent one is like an absent one alone."""
    if one is None or other is None:
        return one is other
    return isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _says_the_same(one: str, other: str) -> bool:
    """Compare two reasons: the same words, and figures to what their digits leave open."""
    number = r"(-?\d+(?:\.\d+)?(?:e[-+]\d+)?)"
    parts = zip_longest(re.split(number, one), re.split(number, other), fillvalue="")
    return all(
        isclose(float(a), float(b), rel_tol=_WORD_TOLERANCE, abs_tol=_WORD_FLOOR)
        if re.fullmatch(number, a) and re.fullmatch(number, b)
        else a == b
        for a, b in parts
    )


def _is_open(row: Check) -> bool:
    """Say whether a statistic is so near its threshold that rounding decides."""
    return row.statistic is not None and _is_near(row.statistic, row.threshold)
