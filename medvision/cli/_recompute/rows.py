"""Rows of checks, each held against its own figures and those of the rows beside it."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import ge, gt, le, lt

import numpy as np

from medvision.audit.findings import Finding
from medvision.cli._recompute.reasons import RowsByKey, expect, is_near, judge_margin, judge_reason
from medvision.cli._recompute.told import ATTRIBUTIONS, CHECKS, INDEX, Told
from medvision.domain.attribution import Check
from medvision.domain.geometry import compute_spacing_mm

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

_DIGITS = 1e-8
"""Tables hold nine digits: statistics nearer to the threshold than this share decide nothing."""


def find_row_faults(told: Told) -> list[Finding]:
    """Hold every row of checks against its rule, its settings, its reason, and its neighbours.

    Args:
        told: What the bundle tells.

    Returns:
        One finding per cell that does not follow, per row that is missing, and per row too many.
    """
    rows = {(row.image_id, row.method, row.check): row for row in told.checks}
    findings = _find_uneven(told)
    for row in told.checks:
        if row.check not in RULES:
            continue
        findings += _judge_verdict(row)
        findings += judge_reason(row)
        findings += _judge_figures(row, rows=rows, told=told)
        findings += judge_margin(row, rows=rows)
    return findings


def _find_uneven(told: Told) -> list[Finding]:
    """Name the rows that stand twice, are of no known check, or are not there for a map."""
    from medvision.explain.checks import SOURCES
    from medvision.explain.names import EDGE, RANDOM, name_randomised

    counts = Counter((row.image_id, row.method, row.check) for row in told.checks)
    findings = [
        Finding(f"{CHECKS} {' '.join(key)}", "rows", "one", f"{n}")
        for key, n in counts.items()
        if n > 1
    ]
    pairs = {(row.image_id, row.method) for row in told.checks}
    names = (*told.section.methods, EDGE, RANDOM)
    pairs |= {(case.image_id, name) for case in told.cases for name in names}
    shown = [(row["image_id"], row["method"]) for row in told.tables[ATTRIBUTIONS]]
    pairs |= {(image_id, name_randomised(method)) for image_id, method in shown}
    wanted = {(*pair, check) for pair in pairs for check in SOURCES}
    rules = {True: ("there, as of every map", "no row"), False: ("of a known check", "another")}
    return findings + [
        Finding(f"{CHECKS} {' '.join(key)}", "row", *rules[key in wanted])
        for key in sorted(wanted ^ counts.keys())
    ]


def _judge_verdict(row: Check) -> list[Finding]:
    """Name a verdict that does not follow from the figures of its row."""
    if row.statistic is None or row.threshold is None:
        is_bare_pass = row.verdict == "PASS"
        return [expect(row, "verdict", "none without figures")] if is_bare_pass else []
    wanted = "PASS" if RULES[row.check](row.statistic, row.threshold) else "FAIL"
    near = abs(row.statistic - row.threshold) <= _DIGITS * max(1.0, abs(row.threshold))
    if row.verdict == wanted or (near and row.verdict in ("PASS", "FAIL")):
        return []
    return [expect(row, "verdict", f"{wanted}, of {row.statistic:g} against {row.threshold:g}")]


def _judge_figures(row: Check, *, rows: RowsByKey, told: Told) -> list[Finding]:
    """Name the figures that the settings, or other rows, say otherwise."""
    if row.statistic is None or row.verdict in ("NOT APPLICABLE", "EMPTY"):
        return []
    return [
        expect(row, name, f"{value}, {why}")
        for name, value, why in _list_expected(row, rows=rows, told=told)
        if not is_near(getattr(row, name), value)
    ]


_Expected = Iterator[tuple[str, float | None, str]]


def _list_expected(row: Check, *, rows: RowsByKey, told: Told) -> _Expected:
    """Yield (figure, value, why) of what is known otherwise of a row."""
    from medvision.explain.checks import DELETION_PASS, DEPTHS, LOCALISATION
    from medvision.explain.checks.classes import MOST_ALIKE, OPPOSITE
    from medvision.explain.names import EDGE

    if row.check in ("deletion", "insertion"):
        yield "threshold", DELETION_PASS, "as this check is defined"
        yield "comparator", 0.5, "as this check is defined"
        yield "n", told.section.random_orders, "as the settings say"
    if row.check == "class_sensitivity":
        is_pair = told.classes.task == "classification" and len(told.classes.names) == 2
        yield "threshold", OPPOSITE if is_pair else MOST_ALIKE, "as this check is defined"
        yield "comparator", 1.0, "as this check is defined"
    if row.check in DEPTHS and row.n != 0:
        yield "threshold", row.comparator, "its comparator"
    if row.check == "completeness":
        yield from _expect_completeness(row, rows=rows, told=told)
    edge = rows.get((row.image_id, EDGE, row.check))
    if row.check in DEPTHS:
        yield "edge_map", None, "since a map is held against itself"
    elif edge is not None and edge.verdict != "EMPTY":
        yield "edge_map", edge.statistic, "the statistic of the edge map"
    if row.check == "pointing":
        yield "threshold", _find_tolerance_mm(row.image_id, told), "the longest edge of a voxel"
    if row.check in LOCALISATION and row.edge_map is not None:
        gap = row.edge_map - row.statistic if row.statistic is not None else math.nan
        yield "edge_margin", gap if row.check == "pointing" else -gap, "over the edge map"


def _find_tolerance_mm(image_id: str, told: Told) -> float:
    """Return the longest edge of a voxel of an image's array, as the pointing game allows it."""
    own = next(row for row in told.tables[INDEX] if row["image_id"] == image_id)
    shape = [int(n) for n in own["shape"].split("x")][1:]
    spacing_mm = compute_spacing_mm(np.array(json.loads(own["tensor_affine"])))
    return max(mm for mm, n in zip(spacing_mm, shape, strict=False) if n > 1)


def _expect_completeness(row: Check, *, rows: RowsByKey, told: Told) -> _Expected:
    """Yield the gate, which a control shares with its method, and the figures of the map."""
    from medvision.explain.gates import compute_gate

    method = row.method.rpartition(".")[2]
    own = rows.get((row.image_id, method, row.check))
    if own is None or row.comparator is None or own.comparator is None:
        return
    gate = compute_gate(method, own.comparator, completeness=told.section.completeness)
    yield "threshold", gate, "by the recorded settings"
    yield "comparator", own.comparator, "as of the method's own map"
    for held in told.tables[ATTRIBUTIONS]:
        if (held["image_id"], held["method"]) == (row.image_id, row.method):
            yield "statistic", float(held["completeness_error"]), f"as in {ATTRIBUTIONS}"
            yield "comparator", abs(float(held["output_difference"])), f"as in {ATTRIBUTIONS}"


def find_shared_faults(rows: Sequence[Check]) -> list[Finding]:
    """Name the figures that must be one for several rows, and are not.

    The comparator of weight randomisation is one for all maps of a method, and its number of pairs;
    the tolerance of pointing and what chance and the centre prior come to are one for all maps of
    an image.

    Args:
        rows: All rows of checks.
    """
    from medvision.explain.checks import DEPTHS

    seen: dict[tuple[str, ...], float] = {}
    findings = []
    for row in rows:
        for name in _SHARED.get(row.check, ()):
            value = getattr(row, name)
            if value is None or row.verdict == "EMPTY":
                continue
            about = row.method if row.check in DEPTHS else row.image_id
            check = "weight_randomisation" if row.check in DEPTHS else row.check
            first = seen.setdefault((about, check, name), value)
            if not is_near(value, first):
                findings.append(expect(row, name, f"{first}, as in the rows before it"))
    return findings


_SHARED = {
    "weight_randomisation_top": ("comparator", "n"),
    "weight_randomisation": ("comparator", "n"),
    "pointing": ("threshold", "comparator", "centre_prior"),
    "relevance_mass": ("comparator", "centre_prior"),
    "rank_accuracy": ("comparator", "centre_prior"),
    "iou": ("centre_prior",),
}
