"""Explanations as facts: cases, maps, checks, and which method may be trusted here."""

from collections.abc import Sequence
from dataclasses import dataclass

from medvision.domain.calibration import compute_wilson
from medvision.report.explanation_notes import list_limits, list_notes
from medvision.report.sources import Row, Sources, list_unique, parse_count, parse_number
from medvision.report.targets import is_right
from medvision.report.words import (
    CHECKS,
    METHODS,
    RULES,
    UNITS,
    is_control,
    say,
    say_verdict,
)

POINTING = "pointing"

_JUDGED = ("PASS", "FAIL", "EMPTY")
_ASSESSED = (*_JUDGED, "INCONCLUSIVE")


@dataclass(frozen=True)
class Check:
    """One check of one map: figures, and the verdict as style, icon and word."""

    check: str
    words: str
    statistic: float | None
    comparator: str
    threshold: str
    n: int | None
    verdict: str
    style: str
    icon: str
    verdict_words: str
    reason: str
    source: str


@dataclass(frozen=True)
class MethodMap:
    """One method's map of one image, and its checks."""

    method: str
    words: str
    target: str
    layer: str
    unit: str
    minimum: float | None
    maximum: float | None
    verdict: str
    style: str
    icon: str
    verdict_words: str
    reason: str
    map_digest: str
    is_control: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Case:
    """One explained test image."""

    number: int
    image_id: str
    subject: str
    arm: str
    fold: str
    seed: str
    label: str
    predicted: str
    target: str
    probability: float | None
    is_correct: bool | None
    rule: str
    methods: tuple[MethodMap, ...]


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
    """One line of the matrix: a method, its pass rates, and what follows."""

    method: str
    words: str
    is_control: bool
    rates: dict[str, Rate]
    every_check: Rate
    style: str
    icon: str
    verdict_words: str


@dataclass(frozen=True)
class ExplanationFacts:
    """The explained cases and the matrix of methods and checks."""

    cases: tuple[Case, ...]
    checks: tuple[str, ...]
    check_words: dict[str, str]
    matrix: tuple[MethodRow, ...]
    n_wrong: int
    notes: tuple[str, ...]
    limits: tuple[str, ...]


def build_explanation(
    sources: Sources, *, confidence: float, task: str = "classification"
) -> ExplanationFacts:
    """Gather what the explanation stage wrote.

    Args:
        sources: Tables `selection`, `attributions`, `checks`, `predictions`.
        confidence: Level of the rates' intervals, within (0, 1).
        task: classification, multilabel or regression.

    Returns:
        Cases in the order of the selection; methods in the order of the attributions, the
        controls last.
    """
    selection, checks = sources.table("selection"), sources.table("checks")
    cases = tuple(
        _build_case(sources, row, number=n, task=task) for n, row in enumerate(selection, 1)
    )
    codes = list_unique(row["check"] for row in checks)
    methods = list_unique(
        row["method"] for row in [*sources.table("attributions"), *checks] if row["method"]
    )
    methods.sort(key=is_control)
    return ExplanationFacts(
        cases=cases,
        checks=tuple(codes),
        check_words={code: say(code, CHECKS) for code in codes},
        matrix=tuple(
            _build_matrix_row(
                [r for r in checks if r["method"] == method], method, level=confidence
            )
            for method in methods
        ),
        n_wrong=sum(case.is_correct is False for case in cases),
        notes=list_notes(sources),
        limits=list_limits(sources),
    )


def compute_rate(passed: int, n: int, *, confidence: float) -> Rate:
    """Return a proportion with Wilson's score interval; all None where n is 0."""
    if n == 0:
        return Rate(0, 0, None, None, None)
    low, high = compute_wilson(passed / n, n, confidence=confidence)
    return Rate(passed, n, passed / n, low, high)


def _build_matrix_row(rows: Sequence[Row], method: str, *, level: float) -> MethodRow:
    """Return a method's pass rates; what was not assessed is left out of n."""
    assessed = [row for row in rows if row["verdict"] in _ASSESSED]
    judged = [row for row in rows if row["verdict"] in _JUDGED]
    rates = {
        code: _count_passed([r for r in judged if r["check"] == code], level)
        for code in list_unique(row["check"] for row in rows)
    }
    images = list_unique(row["image_id"] for row in assessed)
    clean = [
        image
        for image in images
        if all(_is_pass(row) for row in assessed if row["image_id"] == image)
    ]
    every = compute_rate(len(clean), len(images), confidence=level)
    style, icon, words = _judge(every, method)
    return MethodRow(
        method, say(method, METHODS), is_control(method), rates, every, style, icon, words
    )


def _is_pass(row: Row) -> bool:
    return row["verdict"] == "PASS"


def _count_passed(rows: Sequence[Row], level: float) -> Rate:
    """Return how many of the rows passed."""
    return compute_rate(sum(map(_is_pass, rows)), len(rows), confidence=level)


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


def _build_case(sources: Sources, row: Row, *, number: int, task: str) -> Case:
    """Return one explained image with all its maps."""
    maps = [r for r in sources.table("attributions") if r["image_id"] == row["image_id"]]
    checks = [r for r in sources.table("checks") if r["image_id"] == row["image_id"]]
    return Case(
        number=number,
        image_id=row["image_id"],
        subject=row["subject"],
        arm=row["arm"],
        fold=row["fold"],
        seed=row["seed"],
        label=row["label"],
        predicted=row["predicted"],
        target=row["target"],
        probability=_find_probability(sources, row),
        is_correct=is_right(row, task),
        rule=say(row["rule"], RULES),
        methods=tuple(
            _build_map(held, [r for r in checks if r["method"] == held["method"]]) for held in maps
        ),
    )


def _find_probability(sources: Sources, row: Row) -> float | None:
    """Return the explained model's probability of the target class."""
    keys = ("image_id", "arm", "fold", "seed")
    for held in sources.table("predictions"):
        if held["split"] == "test" and all(held[key] == row[key] for key in keys):
            return parse_number(held.get(f"probability_{row['target']}"))
    return None


def _build_map(row: Row, checks: Sequence[Row]) -> MethodMap:
    """Return one map's facts."""
    style, icon, words = say_verdict(row["verdict"])
    return MethodMap(
        method=row["method"],
        words=say(row["method"], METHODS),
        target=row["target"],
        layer=row["layer"],
        unit=UNITS.get(row["method"], "attribution"),
        minimum=parse_number(row["minimum"]),
        maximum=parse_number(row["maximum"]),
        verdict=row["verdict"],
        style=style,
        icon=icon,
        verdict_words=words,
        reason=row["reason"],
        map_digest=row["map_digest"],
        is_control=is_control(row["method"]),
        checks=tuple(_build_check(held) for held in checks),
    )


def _build_check(row: Row) -> Check:
    """Return one check's facts."""
    style, icon, words = say_verdict(row["verdict"])
    return Check(
        check=row["check"],
        words=say(row["check"], CHECKS),
        statistic=parse_number(row["statistic"]),
        comparator=row["comparator"],
        threshold=row["threshold"],
        n=parse_count(row["n"]),
        verdict=row["verdict"],
        style=style,
        icon=icon,
        verdict_words=words,
        reason=row["reason"],
        source=row["source"],
    )
