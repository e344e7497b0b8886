"""Which method may be trusted in this study, and for what: pass rates and what follows."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medvision.domain.metrics.calibration import compute_wilson
from medvision.report.headings import CheckGroup
from medvision.report.sources import Row, list_unique
from medvision.report.words import CHECKS, METHODS, is_control, say

JUDGED = ("PASS", "FAIL", "EMPTY")
"""Verdicts that count in a check's pass rate."""

_ASSESSED = (*JUDGED, "INCONCLUSIVE")

_VERDICTS = {
    "PASS": ("pass", "✓", "Passes the whole battery"),
    "FAIL": ("fail", "✗", "Not to be relied on"),
    "INCONCLUSIVE": ("unsure", "?", "Not decided: read case by case"),
    "EMPTY": ("empty", "∅", "Every map is empty"),
}
_CONTROL_VERDICTS = {
    "PASS": ("fail", "!", "Passes, and must not"),
    "FAIL": ("pass", "✓", "Rejected"),
    "INCONCLUSIVE": ("unsure", "?", "Not surely rejected"),
    "EMPTY": ("pass", "✓", "Rejected: empty"),
}


@dataclass(frozen=True)
class Rate:
    """How many passed of how many assessed, with Wilson's interval."""

    passed: int
    n: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class MethodRow:
    """One line of the matrix: a method, its pass rates, and what follows.

    Args:
        method: Its code.
        words: Its name.
        is_control: Whether it is a negative control.
        rates: Check to its pass rate over the images.
        group_rates: Heading to the share of images that passed all of its checks.
        every_check: Share of images that passed every check.
        style, icon, verdict_words: What follows, for a chip.
        advice: What it may be used for, in a sentence.
        reason: Which checks decided, by the battery's rule over all images; "" where unknown.
    """

    method: str
    words: str
    is_control: bool
    rates: dict[str, Rate]
    group_rates: dict[str, Rate]
    every_check: Rate
    style: str
    icon: str
    verdict_words: str
    advice: str
    reason: str


def compute_rate(passed: int, n: int, *, confidence: float) -> Rate:
    """Return a proportion with Wilson's score interval; all None where n is 0."""
    if n == 0:
        return Rate(0, 0, None, None, None)
    low, high = compute_wilson(passed / n, n, confidence=confidence)
    return Rate(passed, n, passed / n, low, high)


def build_method_row(
    rows: Sequence[Row],
    method: str,
    *,
    groups: Sequence[CheckGroup],
    level: float,
    battery: tuple[str, str] | None = None,
) -> MethodRow:
    """Return a method's pass rates; what was not assessed is left out of n.

    Args:
        rows: Its rows of the table of checks.
        method: Its code.
        groups: Headings with their checks.
        level: Of the intervals, within (0, 1).
        battery: Verdict and reason that the explanation stage came to over all images; None
            of results that hold none, of which the images alone are counted.
    """
    assessed = [row for row in rows if row["verdict"] in _ASSESSED]
    judged = [row for row in rows if row["verdict"] in JUDGED]
    rates = {
        code: _count_passed([r for r in judged if r["check"] == code], level)
        for code in list_unique(row["check"] for row in rows)
    }
    group_rates = {
        group.key: _count_images([r for r in assessed if r["check"] in group.checks], level)
        for group in groups
    }
    every = _count_images(assessed, level)
    verdict, reason = battery or ("", "")
    style, icon, words = _say_battery(verdict, method) or _judge(every, method)
    return MethodRow(
        method=method,
        words=say(method, METHODS),
        is_control=is_control(method),
        rates=rates,
        group_rates=group_rates,
        every_check=every,
        style=style,
        icon=icon,
        verdict_words=words,
        advice=_advise(groups, group_rates, method),
        reason=_say_reason(reason),
    )


def _is_pass(row: Row) -> bool:
    return row["verdict"] == "PASS"


def _count_passed(rows: Sequence[Row], level: float) -> Rate:
    """Return how many of the rows passed."""
    return compute_rate(sum(map(_is_pass, rows)), len(rows), confidence=level)


def _count_images(assessed: Sequence[Row], level: float) -> Rate:
    """Return in how many images every check that was assessed passed."""
    images = list_unique(row["image_id"] for row in assessed)
    clean = [
        image
        for image in images
        if all(_is_pass(row) for row in assessed if row["image_id"] == image)
    ]
    return compute_rate(len(clean), len(images), confidence=level)


def _say_battery(verdict: str, method: str) -> tuple[str, str, str] | None:
    """Say the verdict of the whole battery over all images; None where there is none."""
    table = _CONTROL_VERDICTS if is_control(method) else _VERDICTS
    return table.get(verdict)


def _say_reason(reason: str) -> str:
    """Return a reason with the checks' names for their codes."""
    named = re.sub(r"[a-z]+(?:_[a-z]+)*", lambda m: CHECKS.get(m.group(), m.group()), reason)
    return f"{named[:1].upper()}{named[1:]}." if named else ""


def _judge(every: Rate, method: str) -> tuple[str, str, str]:
    """Say what follows from the share of cases in which every check passed."""
    if every.rate is None:
        return ("none", "–", "Not assessed")
    if is_control(method):
        return (
            ("unsure", "!", "Can pass: weak alone") if every.passed else ("pass", "✓", "Rejected")
        )
    if every.rate == 1:
        return ("pass", "✓", "No check failed")
    if every.rate == 0:
        return ("fail", "✗", "Not to be relied on")
    return ("unsure", "?", "Case by case only")


def _advise(groups: Sequence[CheckGroup], rates: dict[str, Rate], method: str) -> str:
    """Say for what a method may be used: which claims held in all, some or none of the images."""
    held = [(group.claim, rates[group.key]) for group in groups if group.claim]
    if is_control(method):
        passed = [group.words.lower() for group in groups if rates[group.key].passed]
        if not passed:
            return "A map that must fail, and did."
        return f"A map that must fail; passing {_join(passed)} proves little here."
    sentences = (
        ("In every image assessed, ", [c for c, r in held if r.rate == 1]),
        ("Only in some images, ", [_say_share(c, r) for c, r in held if r.rate and r.rate < 1]),
        ("In no image did every check show that ", [c for c, r in held if r.rate == 0]),
        ("Not assessed: whether ", [c for c, r in held if r.rate is None]),
    )
    return " ".join(f"{start}{_join(claims)}." for start, claims in sentences if claims)


def _say_share(claim: str, rate: Rate) -> str:
    return f"{claim} ({rate.passed} of {rate.n})"


def _join(parts: Iterable[str]) -> str:
    """Join parts as a sentence does."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
