"""Two studies side by side as facts: settings, cohorts, software, figures on shared subjects."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from medvision.domain.evaluation.estimate import Difference, Estimate
from medvision.domain.evaluation.pairing import Pairing, StudyComparison
from medvision.domain.evaluation.sharing import Overlap
from medvision.domain.labels.rows import Classes, Task
from medvision.report.metric import choose_digits, find_direction, has_unit
from medvision.report.pair_tests import PairTestFacts, build_test
from medvision.report.targets import is_of_all
from medvision.report.unlike import (
    CohortCount,
    StudyFacts,
    Unlike,
    count_cohorts,
    flatten_settings,
    list_unlike,
)
from medvision.report.words import (
    ARMS,
    RESEARCH_USE,
    say,
    say_count,
    say_metric,
    say_number,
    say_within,
)

_MAIN = ("auc", "auc_macro", "mae", "balanced_accuracy")


@dataclass(frozen=True)
class FigureRow:
    """One figure of both studies on the shared test images, and its difference."""

    metric: str
    words: str
    arm: str
    a: float | None
    a_low: float | None
    a_high: float | None
    b: float | None
    b_low: float | None
    b_high: float | None
    difference: float | None
    low: float | None
    high: float | None
    n_subjects: int
    verdict: str
    method: str
    is_of_all: bool

    @property
    def has_unit(self) -> bool:
        """Whether the figure is in the unit of a predicted value."""
        return has_unit(self.metric)


@dataclass(frozen=True)
class PairRow:
    """One test of A against B, and the networks that it is of."""

    arm: str
    held: PairTestFacts

    @property
    def named(self) -> tuple[str, PairTestFacts]:
        """Return the networks in words, and the test."""
        return self.arm, self.held


@dataclass(frozen=True)
class ComparisonFacts:
    """All that the page of a comparison says."""

    research_use: str
    version: str
    task: Task
    value: str
    confidence: float
    n_resamples: int
    title_a: str
    title_b: str
    sentences: tuple[str, ...]
    overlap: Overlap
    figures: tuple[FigureRow, ...]
    tests: tuple[PairRow, ...]
    settings: tuple[Unlike, ...]
    n_settings: int
    software: tuple[Unlike, ...]
    cohort: tuple[CohortCount, ...]

    @property
    def digits(self) -> int:
        """Return the decimals of figures in the unit of a predicted value."""
        return choose_digits(next((row.a for row in self.figures if row.metric == "mae"), None))


def build_comparison(
    a: StudyFacts,
    b: StudyFacts,
    *,
    compared: StudyComparison,
    classes: Classes,
    confidence: float,
    n_resamples: int,
    version: str,
) -> ComparisonFacts:
    """Put two studies side by side.

    Args:
        a: The first study.
        b: The second.
        compared: Their figures on the shared test images.
        classes: What both predict.
        confidence: Level of the intervals.
        n_resamples: Number of resamples behind them.
        version: Version of medvision that compares.

    Returns:
        The facts; no path, no clock.
    """
    task = classes.task
    value = classes.names[0] if task == "regression" else ""
    figures = [row for pairing in compared.pairings for row in _list_figures(pairing, task)]
    tests = [row for pairing in compared.pairings for row in _list_tests(pairing)]
    flat_a, flat_b = (flatten_settings(study.settings) for study in (a, b))
    return ComparisonFacts(
        research_use=RESEARCH_USE,
        version=version,
        task=task,
        value=value,
        confidence=confidence,
        n_resamples=n_resamples,
        title_a=a.title,
        title_b=b.title,
        sentences=(_say_overlap(compared.overlap), *_say_main(figures, tests, value=value)),
        overlap=compared.overlap,
        figures=tuple(figures),
        tests=tuple(tests),
        settings=list_unlike(flat_a, flat_b),
        n_settings=len({*flat_a, *flat_b}),
        software=list_unlike(
            {"medvision": a.version, **a.software}, {"medvision": b.version, **b.software}
        ),
        cohort=count_cohorts(a, b, overlap=compared.overlap, task=task),
    )


def _list_figures(pairing: Pairing, task: Task) -> list[FigureRow]:
    """Return a pair's figures, those of both studies beside their difference."""
    held = {(item.arm, item.metric): item for item in pairing.estimates}
    return [
        _build_row(
            item,
            a=held[item.arm_a, item.metric],
            b=held[item.arm_b, item.metric],
            arm=_name_arms(pairing),
            task=task,
        )
        for item in pairing.differences
    ]


def _build_row(item: Difference, *, a: Estimate, b: Estimate, arm: str, task: Task) -> FigureRow:
    """Return one figure's row."""
    return FigureRow(
        metric=item.metric,
        words=say_metric(item.metric, task),
        arm=arm,
        a=a.value,
        a_low=a.low,
        a_high=a.high,
        b=b.value,
        b_low=b.low,
        b_high=b.high,
        difference=item.difference,
        low=item.low,
        high=item.high,
        n_subjects=item.n_subjects,
        verdict=_judge(item),
        method=item.method,
        is_of_all=is_of_all(item.metric, task),
    )


def _list_tests(pairing: Pairing) -> list[PairRow]:
    """Return a pair's tests."""
    return [
        PairRow(
            _name_arms(pairing),
            build_test({**_write(asdict(found.test)), "finding": found.finding}),
        )
        for found in pairing.tests
    ]


def _write(held: Mapping[str, object]) -> dict[str, str]:
    """Return values as a table's cells hold them."""
    return {name: "" if value is None else str(value) for name, value in held.items()}


def _name_arms(pairing: Pairing) -> str:
    """Name the networks that are compared."""
    names = [say(arm, ARMS) for arm in dict.fromkeys((pairing.arm_a, pairing.arm_b))]
    return f"{names[0]} against {say_within(names[1])}" if len(names) > 1 else names[0]


def _judge(item: Difference) -> str:
    """Say in a few words what the interval of a difference shows."""
    if item.low is None or item.high is None or item.difference is None:
        return "Cannot be judged"
    if item.low <= 0 <= item.high:
        return "No"
    better = item.difference * find_direction(item.metric)
    return "The two differ" if better == 0 else "A did better" if better > 0 else "B did better"


def _say_overlap(overlap: Overlap) -> str:
    """Say on how many the comparison rests."""
    return (
        f"Both studies tested {say_count(overlap.n_images, 'image')} of "
        f"{say_count(overlap.n_subjects, 'subject')}; A tested {overlap.n_subjects_a} subjects in "
        f"all and B {overlap.n_subjects_b}. Every figure below is of the shared images alone."
    )


def _say_main(figures: Sequence[FigureRow], tests: Sequence[PairRow], *, value: str) -> list[str]:
    """Say the main figure's difference for each pair of networks, and what was tested."""
    names = {row.metric for row in figures}
    main = next((name for name in _MAIN if name in names), "")
    digits = choose_digits(next((row.a for row in figures if row.metric == main), None))
    said = [
        _say_row(row, value=value, digits=digits if row.has_unit else 3)
        for row in figures
        if row.metric == main
    ]
    if len(tests) > 1:
        said.append(
            f"{len(tests)} tests were made; their p-values, each kind corrected for its number, "
            "are in the table of tests."
        )
    return said


def _say_row(row: FigureRow, *, value: str, digits: int) -> str:
    """Say one difference with its interval."""
    words = say_within(row.words) + ("," if "," in row.words else f" of {value}" if value else "")
    head = (
        f"{row.arm}: A minus B in {words} was "
        f"{say_number(row.difference, digits=digits, signed=True)}"
    )
    if row.low is None or row.high is None:
        return f"{head}; no interval could be computed, so it cannot be judged."
    low, high = (say_number(end, digits=digits, signed=True) for end in (row.low, row.high))
    ends = {
        "No": "includes zero: no difference was shown",
        "A did better": "excludes zero: A did better",
        "B did better": "excludes zero: B did better",
    }
    return f"{head}. The interval, {low} to {high}, {ends[row.verdict]}."
