"""What the reason of a row of checks says, held against the row's own figures."""

import math
import re
from collections.abc import Mapping

from medvision.audit.findings import Finding
from medvision.cli._recompute.told import CHECKS
from medvision.domain.attribution import Check

_TOLERANCE = 1e-6

_N = r"([-+.\de]+)"
_REASONS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "completeness": (
        rf"error {_N} logit of -?{_N}(?:, \d+ (?:steps|draws))?",
        ("statistic", "comparator"),
        ".3g",
    ),
    "deletion": (rf"mean logit {_N}, {_N} in random order", (), ".3g"),
    "insertion": (rf"mean logit {_N}, {_N} in random order", (), ".3g"),
    "class_sensitivity": (
        rf"rank correlation {_N} with the map of .+, below [-.\d]+ expected",
        ("statistic",),
        ".3f",
    ),
    "pointing": (
        rf"peak {_N} mm from the mask, {_N} mm allowed; a random voxel hits with {_N}",
        ("statistic", "threshold", "comparator"),
        ".3g",
    ),
    "relevance_mass": (
        rf"{_N} of the positive map in the mask, {_N} of the volume",
        ("statistic", "comparator"),
        ".3g",
    ),
    "rank_accuracy": (
        rf"{_N} of the \d+ strongest voxels in the mask, {_N} by chance",
        ("statistic", "comparator"),
        ".3g",
    ),
    "iou": (
        rf"overlap {_N} of outline and mask, {_N} at random places",
        ("statistic", "comparator"),
        ".3g",
    ),
    **dict.fromkeys(
        ("weight_randomisation_top", "weight_randomisation"),
        (
            rf"SSIM {_N} to the randomised map, {_N} between cases",
            ("statistic", "comparator"),
            ".3f",
        ),
    ),
}
"""Check to the pattern of its reason, the figures that stand there first, and how they are written.

Of deletion and insertion the reason's two figures are in no column."""

_PLAIN = ("the map outlines nothing", "nothing in the map is positive")
"""Reasons of rows that failed without a figure in them."""

RowsByKey = Mapping[tuple[str, str, str], Check]
"""By image, method and check."""


def judge_reason(row: Check) -> list[Finding]:
    """Name a reason that says other figures than its row, and a source that is another's.

    Args:
        row: Of a known check.
    """
    from medvision.explain.checks import SOURCES

    findings = []
    if row.source != SOURCES[row.check]:
        findings.append(expect(row, "source", SOURCES[row.check]))
    pattern, names, form = _REASONS[row.check]
    if row.verdict == "EMPTY":
        is_right = row.reason == "the map is zero everywhere"
        return findings if is_right else [*findings, expect(row, "reason", "that of an empty map")]
    if row.verdict not in ("PASS", "FAIL") or row.reason in _PLAIN:
        return findings
    found = re.fullmatch(pattern, row.reason)
    if found is None:
        return [*findings, expect(row, "reason", "in the words of its check")]
    said = dict(zip(names, found.groups(), strict=False))
    wrong = [name for name, text in said.items() if not _says(row, name, text, form=form)]
    return findings + [expect(row, "reason", f"one with its {name}") for name in wrong]


def _says(row: Check, name: str, text: str, *, form: str) -> bool:
    """Tell whether a figure of a reason is that of the row, which may have lost its sign."""
    value = getattr(row, name)
    return value is not None and float(text) == float(format(value, form))


def judge_margin(row: Check, *, rows: RowsByKey) -> list[Finding]:
    """Name a margin of deletion or insertion that the reasons of both rows do not bear out.

    Args:
        row: Of any check.
        rows: All rows, the edge map's among them.
    """
    from medvision.explain.names import EDGE

    edge = rows.get((row.image_id, EDGE, row.check))
    own_logit, edge_logit = _read_logit(row), None if edge is None else _read_logit(edge)
    if own_logit is None or edge_logit is None:
        return []
    gap = own_logit - edge_logit if row.check == "insertion" else edge_logit - own_logit
    slack = sum(map(_halve_digit, (own_logit, edge_logit))) + _TOLERANCE
    if row.edge_margin is not None and abs(row.edge_margin - gap) <= slack:
        return []
    return [expect(row, "edge_margin", f"{gap:.3g}, of the two mean logits")]


def _read_logit(row: Check) -> float | None:
    """Return the mean logit that the reason of a curve's row names, in three digits."""
    found = re.fullmatch(_REASONS["deletion"][0], row.reason)
    is_curve = row.check in ("deletion", "insertion")
    return float(found.group(1)) if is_curve and found is not None else None


def _halve_digit(value: float) -> float:
    """Return half of the third digit of a figure: so far off is what was rounded to three."""
    return 0.5 * 10.0 ** (math.floor(math.log10(abs(value))) - 2) if value else 0.0


def expect(row: Check, thing: str, rule: str) -> Finding:
    """Name a cell of a row that must be another.

    Args:
        row: The row.
        thing: Name of the cell.
        rule: What it must be.
    """
    return Finding(_name(row), thing, rule, f"{getattr(row, thing)}")


def is_near(one: float | None, other: float | None) -> bool:
    """Compare two figures of nine digits; an absent one is like an absent one alone.

    Args:
        one: A figure.
        other: Another.
    """
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _name(row: Check) -> str:
    """Return where a row lies."""
    return f"{CHECKS} {row.image_id} {row.method} {row.check}"
