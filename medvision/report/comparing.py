"""Two studies side by side as facts: settings, cohorts, software, figures on shared subjects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.estimate import Difference, Estimate
from medvision.domain.pairing import Overlap, Pairing, StudyComparison
from medvision.domain.record import JsonValue
from medvision.report.sources import Row
from medvision.report.words import (
    ARMS,
    RESEARCH_USE,
    say,
    say_count,
    say_metric,
    say_number,
    say_within,
)

_MAIN = ("auc", "auc_macro", "balanced_accuracy")
_LESS_IS_BETTER = ("brier", "log_loss")
_ABSENT = "–"
_MAX_LABELS = 20


@dataclass(frozen=True)
class StudyFacts:
    """One of the two studies.

    Args:
        name: "A" or "B".
        title: Its report's title.
        version: Version of medvision that made it.
        settings: Configuration section to its fields.
        software: Distribution to version.
        cohort: Rows of `cohort/cohort.tsv`.
    """

    name: str
    title: str
    version: str
    settings: Mapping[str, JsonValue]
    software: Mapping[str, str]
    cohort: Sequence[Row]


@dataclass(frozen=True)
class Unlike:
    """A setting or a version that differs; what a study lacks is a dash."""

    name: str
    a: str
    b: str


@dataclass(frozen=True)
class CohortCount:
    """One count of both cohorts, and of what both hold where that has a meaning."""

    words: str
    a: int
    b: int
    shared: int | None


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


@dataclass(frozen=True)
class ComparisonFacts:
    """All that the page of a comparison says."""

    research_use: str
    version: str
    confidence: float
    n_resamples: int
    title_a: str
    title_b: str
    sentences: tuple[str, ...]
    overlap: Overlap
    figures: tuple[FigureRow, ...]
    settings: tuple[Unlike, ...]
    n_settings: int
    software: tuple[Unlike, ...]
    cohort: tuple[CohortCount, ...]


def build_comparison(
    a: StudyFacts,
    b: StudyFacts,
    *,
    compared: StudyComparison,
    confidence: float,
    n_resamples: int,
    version: str,
) -> ComparisonFacts:
    """Put two studies side by side.

    Args:
        a: The first study.
        b: The second.
        compared: Their figures on the shared test images.
        confidence: Level of the intervals.
        n_resamples: Number of resamples behind them.
        version: Version of medvision that compares.

    Returns:
        The facts; no path, no clock.
    """
    figures = [row for pairing in compared.pairings for row in _list_figures(pairing)]
    flat_a, flat_b = (flatten_settings(study.settings) for study in (a, b))
    return ComparisonFacts(
        research_use=RESEARCH_USE,
        version=version,
        confidence=confidence,
        n_resamples=n_resamples,
        title_a=a.title,
        title_b=b.title,
        sentences=(_say_overlap(compared.overlap), *_say_main(figures)),
        overlap=compared.overlap,
        figures=tuple(figures),
        settings=_list_unlike(flat_a, flat_b),
        n_settings=len({*flat_a, *flat_b}),
        software=_list_unlike(
            {"medvision": a.version, **a.software}, {"medvision": b.version, **b.software}
        ),
        cohort=_count_cohorts(a, b, overlap=compared.overlap),
    )


def flatten_settings(settings: Mapping[str, JsonValue], prefix: str = "") -> dict[str, str]:
    """Return each field by its dotted name, such as `train.epochs`, and its value as text.

    Args:
        settings: Nested sections.
        prefix: What stands before each name.
    """
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= flatten_settings(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = _show(value)
    return flat


def _show(value: JsonValue) -> str:
    """Return a setting as a reader would write it."""
    if isinstance(value, list):
        return ", ".join(_show(item) for item in value) or "none"
    if value is None:
        return "not set"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _list_unlike(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[Unlike, ...]:
    """Return what differs, by name."""
    return tuple(
        Unlike(name, a.get(name, _ABSENT), b.get(name, _ABSENT))
        for name in sorted({*a, *b})
        if a.get(name) != b.get(name)
    )


def _count_cohorts(a: StudyFacts, b: StudyFacts, *, overlap: Overlap) -> tuple[CohortCount, ...]:
    """Count images and subjects of both cohorts, of their classes and test parts."""
    images_a, images_b = ({row["image_id"]: row for row in study.cohort} for study in (a, b))
    shared = images_a.keys() & images_b.keys()
    subjects_a, subjects_b = ({row["subject"] for row in study.cohort} for study in (a, b))
    labels = sorted({row["label"] for study in (a, b) for row in study.cohort})
    unequal = sum(images_a[name]["label"] != images_b[name]["label"] for name in shared)
    by_label = [
        CohortCount(
            f"Images labelled {label}",
            sum(row["label"] == label for row in a.cohort),
            sum(row["label"] == label for row in b.cohort),
            sum(images_a[name]["label"] == images_b[name]["label"] == label for name in shared),
        )
        for label in labels[:_MAX_LABELS]
    ]
    return (
        CohortCount("Subjects", len(subjects_a), len(subjects_b), len(subjects_a & subjects_b)),
        CohortCount("Images", len(images_a), len(images_b), len(shared)),
        *by_label,
        CohortCount("Shared images labelled differently", unequal, unequal, unequal),
        CohortCount(
            "Test subjects", overlap.n_subjects_a, overlap.n_subjects_b, overlap.n_subjects
        ),
        CohortCount("Test images", overlap.n_images_a, overlap.n_images_b, overlap.n_images),
    )


def _list_figures(pairing: Pairing) -> list[FigureRow]:
    """Return a pair's figures, those of both studies beside their difference."""
    held = {(item.arm, item.metric): item for item in pairing.estimates}
    return [
        _build_row(
            item,
            a=held[item.arm_a, item.metric],
            b=held[item.arm_b, item.metric],
            arm=_name_arms(pairing),
        )
        for item in pairing.differences
    ]


def _build_row(item: Difference, *, a: Estimate, b: Estimate, arm: str) -> FigureRow:
    """Return one figure's row."""
    return FigureRow(
        metric=item.metric,
        words=say_metric(item.metric),
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
    )


def _name_arms(pairing: Pairing) -> str:
    """Name the networks that are compared."""
    names = [say(arm, ARMS) for arm in dict.fromkeys((pairing.arm_a, pairing.arm_b))]
    return f"{names[0]} against {say_within(names[1])}" if len(names) > 1 else names[0]


def _judge(item: Difference) -> str:
    """Say in a few words what the interval of a difference shows."""
    if item.low is None or item.high is None or item.difference is None:
        return "Cannot be judged"
    if item.low <= 0 <= item.high:
        return "Includes zero"
    is_less = item.metric.startswith(_LESS_IS_BETTER)
    return "A did better" if (item.difference > 0) != is_less else "B did better"


def _say_overlap(overlap: Overlap) -> str:
    """Say on how many the comparison rests."""
    return (
        f"Both studies tested {say_count(overlap.n_images, 'image')} of "
        f"{say_count(overlap.n_subjects, 'subject')}; A tested {overlap.n_subjects_a} subjects in "
        f"all and B {overlap.n_subjects_b}. Every figure below is of the shared images alone."
    )


def _say_main(figures: Sequence[FigureRow]) -> list[str]:
    """Say the main figure's difference for each pair of networks."""
    names = {row.metric for row in figures}
    main = next((name for name in _MAIN if name in names), "")
    return [_say_row(row) for row in figures if row.metric == main]


def _say_row(row: FigureRow) -> str:
    """Say one difference with its interval."""
    head = (
        f"{row.arm}: the {say_within(row.words)} of A minus that of B was "
        f"{say_number(row.difference, digits=3, signed=True)}"
    )
    if row.low is None or row.high is None:
        return f"{head}; no interval could be computed, so it cannot be judged."
    span = f"{say_number(row.low, digits=3, signed=True)} to " + say_number(
        row.high, digits=3, signed=True
    )
    ends = {
        "Includes zero": "includes zero: no difference was shown",
        "A did better": "excludes zero: A did better",
        "B did better": "excludes zero: B did better",
    }
    return f"{head}. The interval, {span}, {ends[row.verdict]}."
