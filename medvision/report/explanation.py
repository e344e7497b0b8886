"""Explanations as facts: cases, maps, checks, and which method may be trusted here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medvision.report.explanation_notes import list_limits, list_notes, read_verdicts
from medvision.report.headings import CheckGroup, group_checks
from medvision.report.margins import MarginRow, build_margins
from medvision.report.selected import SelectionCounts, count_selected
from medvision.report.sources import Row, Sources, list_unique, parse_count, parse_number
from medvision.report.targets import is_right
from medvision.report.trust import JUDGED, MethodRow, build_method_row
from medvision.report.words import (
    CHECKS,
    METHODS,
    RULES,
    UNITS,
    find_owner,
    is_control,
    say,
    say_verdict,
)

POINTING = "pointing"


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
class Control:
    """What the checks of one image made of a map that knows nothing, or the wrong thing.

    Args:
        owner: Method of which it is the map of random weights or of another class; "" of others.
    """

    method: str
    words: str
    owner: str
    n_passed: int
    n_judged: int
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
    controls: tuple[Control, ...]


@dataclass(frozen=True)
class ExplanationFacts:
    """The explained cases and the matrix of methods and checks, under their headings."""

    cases: tuple[Case, ...]
    counts: SelectionCounts
    groups: tuple[CheckGroup, ...]
    checks: tuple[str, ...]
    check_words: dict[str, str]
    matrix: tuple[MethodRow, ...]
    margins: tuple[MarginRow, ...]
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
        build_case(sources, row, number=n, task=task) for n, row in enumerate(selection, 1)
    )
    groups = group_checks(row["check"] for row in checks)
    codes = [code for group in groups for code in group.checks]
    methods = list_unique(
        row["method"] for row in [*sources.table("attributions"), *checks] if row["method"]
    )
    methods.sort(key=_order_controls(methods))
    verdicts = read_verdicts(sources)
    return ExplanationFacts(
        cases=cases,
        counts=count_selected(sources),
        groups=groups,
        checks=tuple(codes),
        check_words={code: say(code, CHECKS) for code in codes},
        matrix=tuple(
            build_method_row(
                [r for r in checks if r["method"] == method],
                method,
                groups=groups,
                level=confidence,
                battery=verdicts.get(method),
            )
            for method in methods
        ),
        margins=build_margins(sources),
        n_wrong=sum(case.is_correct is False for case in cases),
        notes=list_notes(sources),
        limits=list_limits(sources),
    )


def _order_controls(methods: Sequence[str]) -> Callable[[str], tuple[bool, int, bool]]:
    """Return the order of the tables: each method, then its own controls; the blind ones last."""
    places = {method: place for place, method in enumerate(methods) if not is_control(method)}

    def place(method: str) -> tuple[bool, int, bool]:
        owner = find_owner(method) or method
        return owner not in places, places.get(owner, 0), is_control(method)

    return place


def build_case(sources: Sources, row: Row, *, number: int, task: str) -> Case:
    """Return one explained image with all its maps.

    Args:
        sources: Tables `attributions`, `checks`, `predictions`.
        row: Of the table `selection`.
        number: Its place in the selection, from 1.
        task: classification, multilabel or regression.
    """
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
        controls=_build_controls([row for row in checks if is_control(row["method"])]),
    )


def _build_controls(rows: Sequence[Row]) -> tuple[Control, ...]:
    """Return what the checks of one image made of each control."""
    held = {
        name: [row for row in rows if row["method"] == name]
        for name in list_unique(row["method"] for row in rows)
    }
    return tuple(
        Control(
            method=name,
            words=say(name, METHODS),
            owner=find_owner(name),
            n_passed=sum(row["verdict"] == "PASS" for row in own),
            n_judged=sum(row["verdict"] in JUDGED for row in own),
            checks=tuple(_build_check(row) for row in own),
        )
        for name, own in held.items()
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
