"""Two JSON documents compared value by value: what was computed again, and what a bundle holds."""

import math

from medvision.audit.findings import Finding
from medvision.domain.record import JsonValue

METRICS = "evaluate/metrics.json"
RELATIVE_TOLERANCE = 1e-6
"""Sums in another order, on another machine, differ by far less; an edited figure by more."""

_ABSOLUTE_TOLERANCE = 1e-9


def compare_values(
    place: str, *, wanted: JsonValue, held: JsonValue, tolerance: float = _ABSOLUTE_TOLERANCE
) -> list[Finding]:
    """Return where two JSON values differ by more than the order of summation can explain.

    Args:
        place: Dotted place within the file, "" for the whole.
        wanted: What was computed again.
        held: What the bundle says.
        tolerance: Difference that is none, of figures near zero.
    """
    if isinstance(wanted, dict) and isinstance(held, dict):
        findings = (
            [] if wanted.keys() == held.keys() else [_differ(place, wanted=[*wanted], held=[*held])]
        )
        for key in wanted.keys() & held.keys():
            findings += compare_values(
                f"{place}.{key}", wanted=wanted[key], held=held[key], tolerance=tolerance
            )
        return findings
    if isinstance(wanted, list) and isinstance(held, list) and len(wanted) == len(held):
        pairs = enumerate(zip(wanted, held, strict=True))
        return [
            finding
            for n, (one, other) in pairs
            for finding in compare_values(
                f"{place}[{n}]", wanted=one, held=other, tolerance=tolerance
            )
        ]
    is_same = _is_same(wanted, held, tolerance=tolerance)
    return [] if is_same else [_differ(place, wanted=wanted, held=held)]


def _is_same(wanted: JsonValue, held: JsonValue, *, tolerance: float) -> bool:
    """Compare two plain values; whole and broken numbers may stand for one another."""
    if isinstance(wanted, bool) or isinstance(held, bool):
        return wanted is held
    if isinstance(wanted, int | float) and isinstance(held, int | float):
        return math.isclose(wanted, held, rel_tol=RELATIVE_TOLERANCE, abs_tol=tolerance)
    return wanted == held


def _differ(place: str, *, wanted: object, held: object) -> Finding:
    """Name a place where the bundle says something else."""
    return Finding(METRICS, place.removeprefix("."), f"{wanted}, computed again", f"{held}")
