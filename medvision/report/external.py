"""The external cohort as facts: the second column, its difference from the first, and words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from medvision.domain.arms import is_ensemble, rank_arm
from medvision.domain.labels.rows import EXTERNAL
from medvision.report.abstention import AbstentionFacts, build_abstention
from medvision.report.decision import DecisionRow, build_decision
from medvision.report.metric import has_unit
from medvision.report.pair_tests import PairTestFacts, build_tests
from medvision.report.performance import PerformanceFacts, build_performance
from medvision.report.sources import Row, Sources, parse_count, parse_number
from medvision.report.subgroups import SubgroupTable, build_subgroups
from medvision.report.targets import is_of_all
from medvision.report.words import (
    ARMS,
    join_words,
    say,
    say_count,
    say_metric,
    say_number,
    say_within,
)

_PREFIX = f"{EXTERNAL}-"


@dataclass(frozen=True)
class Column:
    """One figure on one cohort."""

    value: float | None
    low: float | None
    high: float | None
    n_subjects: int | None


@dataclass(frozen=True)
class CohortRow:
    """One figure of one arm on both cohorts; `difference` is internal minus external."""

    arm: str
    metric: str
    words: str
    internal: Column
    external: Column
    difference: float | None
    low: float | None
    high: float | None
    zero: str
    method: str

    @property
    def has_unit(self) -> bool:
        """Whether the figure is in the unit of a predicted value."""
        return has_unit(self.metric)


@dataclass(frozen=True)
class ExternalFacts:
    """The external cohort and its figures.

    Args:
        n_images: Images of it that were predicted.
        n_subjects: Their subjects.
        rows: Figures of the whole task on both cohorts.
        finding_rows: Those of each finding; none of other tasks.
        performance: Curves and figures on external images alone.
        tests: Of two networks.
        decision: Decision curves, of two classes.
        abstention: What leaving out the least certain external images does.
        subgroups: Of external images.
        shared: What both cohorts share in spite of it, in words; empty where nothing.
    """

    n_images: int
    n_subjects: int
    rows: tuple[CohortRow, ...]
    finding_rows: tuple[CohortRow, ...]
    performance: PerformanceFacts
    tests: tuple[PairTestFacts, ...]
    decision: tuple[DecisionRow, ...]
    abstention: AbstentionFacts
    subgroups: tuple[SubgroupTable, ...]
    shared: str

    @property
    def size(self) -> str:
        """Return how large it is, in words."""
        return f"{say_count(self.n_images, 'image')} of {say_count(self.n_subjects, 'subject')}"

    @property
    def main(self) -> tuple[CohortRow, ...]:
        """Return the main figure of each arm."""
        name = self.performance.main_metric
        return tuple(row for row in self.rows if row.metric == name)

    def group(self, rows: Sequence[CohortRow]) -> list[tuple[str, list[CohortRow]]]:
        """Return (words, row of each arm), in the order of the first arm."""
        names = dict.fromkeys(row.words for row in rows)
        return [(name, [row for row in rows if row.words == name]) for name in names]


def build_external(
    sources: Sources, *, classes: Sequence[str], task: str, value: str
) -> ExternalFacts | None:
    """Gather the figures of the external cohort.

    Args:
        sources: Table `cohorts`, and those of the evaluation with `external-` before their names.
        classes: Class names, or findings, in their order.
        task: classification, multilabel or regression.
        value: What the value of a regression is called.

    Returns:
        None where there is no external cohort.
    """
    rows = sorted(sources.table("cohorts"), key=lambda row: rank_arm(row["arm"]))
    if not rows:
        return None
    own = {
        name.removeprefix(_PREFIX): held
        for name, held in sources.tables.items()
        if name.startswith(_PREFIX)
    }
    alone = replace(
        sources, tables={**own, "thresholds": sources.table("thresholds")}, histories=()
    )
    built = [_build_row(row, task) for row in rows]
    return ExternalFacts(
        n_images=max(parse_count(row["n_images"]) or 0 for row in own["metrics"]),
        n_subjects=max(parse_count(row["n_subjects"]) or 0 for row in own["metrics"]),
        rows=tuple(row for row in built if is_of_all(row.metric, task)),
        finding_rows=tuple(row for row in built if not is_of_all(row.metric, task)),
        performance=build_performance(alone, classes=classes, task=task, value=value),
        tests=build_tests(alone),
        decision=build_decision(alone),
        abstention=build_abstention(alone),
        subgroups=build_subgroups(alone),
        shared=_say_shared(sources),
    )


def _build_row(row: Row, task: str) -> CohortRow:
    """Return a row of cohorts.tsv as a fact."""
    low, high = parse_number(row["low"]), parse_number(row["high"])
    zero = "Cannot be judged"
    if low is not None and high is not None:
        zero = "Includes zero" if low <= 0 <= high else "Excludes zero"
    return CohortRow(
        arm=row["arm"],
        metric=row["metric"],
        words=say_metric(row["metric"], task),
        internal=_build_column(row, "internal"),
        external=_build_column(row, EXTERNAL),
        difference=parse_number(row["difference"]),
        low=low,
        high=high,
        zero=zero,
        method=row["method"],
    )


def _build_column(row: Row, name: str) -> Column:
    """Return one cohort's part of a row."""
    return Column(
        value=parse_number(row[name]),
        low=parse_number(row[f"{name}_low"]),
        high=parse_number(row[f"{name}_high"]),
        n_subjects=parse_count(row[f"{name}_n_subjects"]),
    )


def say_external(external: ExternalFacts | None) -> str:
    """Say the main figure on the external cohort and how far it lies from the internal one.

    Args:
        external: The cohort, or None.
    """
    # What the ensembles reach stands in the table.
    main = [row for row in external.main if not is_ensemble(row.arm)] if external else []
    if external is None or not main:
        return ""
    performance = external.performance
    digits = performance.digits if performance.task == "regression" else 2
    level = f"{100 * performance.confidence:g}%"

    def show(value: float | None, *, signed: bool = False) -> str:
        return say_number(value, digits=digits, signed=signed)

    told = [
        f"{show(row.external.value)} ({level} interval {show(row.external.low)} to "
        f"{show(row.external.high)}) {_say_arm(row.arm)}"
        if row.external.low is not None
        else f"{show(row.external.value)} {_say_arm(row.arm)} without an interval"
        for row in main
    ]
    first = main[0]
    words = say_within(performance.main_words)
    words = f"{words}," if "," in words else words
    text = f"On the external cohort, {external.size}, the {words} was {join_words(told)}."
    if first.external.value is None:
        return f"The external cohort, {external.size}, gives no {words}."
    if first.low is None:
        return f"{text} How far the cohorts differ cannot be judged."
    return (
        f"{text} Internal minus external {_say_arm(first.arm)}: "
        f"{show(first.difference, signed=True)} ({show(first.low, signed=True)} to "
        f"{show(first.high, signed=True)}), which {first.zero.lower()}."
    )


def _say_arm(arm: str) -> str:
    """Return an arm as it stands within a sentence."""
    words = {"transfer": "with transfer learning", "scratch": "from scratch"}
    return words.get(arm, f"for {say(arm, ARMS).lower()}")


def describe_external(sources: Sources) -> str:
    """Say in the methods who the external cohort is, where there is one.

    Args:
        sources: Tables `folds`, `cohort` and `leakage`; section `cohort`.
    """
    if not any(row["split"] == EXTERNAL for row in sources.table("folds")):
        return ""
    column = sources.setting("cohort", "external_column")
    held = sources.setting("cohort", "external_values")
    values = join_words([str(value) for value in held]) if isinstance(held, list) else ""
    who = f"Subjects whose {column} is {values}" if column else "Subjects named in the labels"
    return (
        f" {who} are an external cohort{_count_external(sources)}: they were in no fold, and took "
        f"no part in training, selection, thresholds or calibration{_say_shared(sources)}."
    )


def _count_external(sources: Sources) -> str:
    """Say how large the external cohort is, and of which kinds of images."""
    rows = [row for row in sources.table("cohort") if row.get("given_split") == EXTERNAL]
    if not rows:
        return ""
    kinds = Counter(row["modality"] for row in rows if row.get("modality")).most_common()
    told = f", {join_words([f'{n} {kind}' for kind, n in kinds])}" if kinds else ""
    subjects = say_count(len({row["subject"] for row in rows}), "subject")
    return f" ({say_count(len(rows), 'image')} of {subjects}{told})"


def _say_shared(sources: Sources) -> str:
    """Say that the cohorts share images or subjects, where the study went on in spite of it."""
    n_pairs = sum(
        row["action"] == "reported"
        and (row.get("split_a"), row.get("split_b")).count(EXTERNAL) == 1
        for row in sources.table("leakage")
    )
    if not n_pairs:
        return ""
    verb = "was" if n_pairs == 1 else "were"
    return (
        f"; but {say_count(n_pairs, 'pair')} of images that share pixels, a study or a person "
        f"{verb} found between this cohort and the other and left there, as configured, so that "
        "the external figures are not of unseen subjects alone"
    )


def describe_outside(sources: Sources) -> str:
    """Say in the methods how the external cohort's figures were made, where there is one."""
    if not sources.table("cohorts"):
        return ""
    return (
        " Every network predicted the external cohort, at the threshold and temperature of its "
        "internal validation; each figure is the mean over the networks, and each subject counts "
        "once in a resample. The two cohorts were resampled independently for their difference."
    )
