"""All facts of the report in one tree: what the page shows is what report.json holds."""

from dataclasses import asdict, dataclass, replace
from typing import cast

from medvision.domain.record import JsonValue
from medvision.report.ablation import AblationFacts, build_ablation
from medvision.report.abstention import AbstentionFacts, build_abstention
from medvision.report.added import list_added_limits
from medvision.report.consistency import ConsistencyFacts, build_consistency
from medvision.report.decision import DecisionRow, build_decision
from medvision.report.errors import ErrorFacts, build_errors
from medvision.report.explanation import ExplanationFacts, build_explanation
from medvision.report.external import ExternalFacts, build_external
from medvision.report.flow import CohortFacts, build_cohort
from medvision.report.generators import GeneratorFacts, build_generators
from medvision.report.images_text import describe_images
from medvision.report.influence import InfluenceFacts, build_influence
from medvision.report.methods import MethodsFacts, build_methods
from medvision.report.novelty import NoveltyFacts, build_novelty
from medvision.report.pair_tests import PairTestFacts, build_tests
from medvision.report.performance import PerformanceFacts, build_performance
from medvision.report.predicting import (
    PredictionFacts,
    build_prediction,
    list_prediction_limits,
)
from medvision.report.provenance import ProvenanceFacts, build_provenance
from medvision.report.quality import QualityFacts, build_quality
from medvision.report.rescaling import ScalingRow, build_scaling
from medvision.report.searching import SearchFacts, build_searches
from medvision.report.shortcuts import ShortcutFacts, build_shortcuts
from medvision.report.sources import Sources
from medvision.report.spread import SpreadFacts, build_spread
from medvision.report.subgroups import SubgroupTable, build_subgroups
from medvision.report.summary import summarise, summarise_briefly
from medvision.report.transfer import TransferFacts, build_transfer
from medvision.report.words import RESEARCH_USE

_FEW_SUBJECTS = 200
_SAY = (summarise, summarise_briefly)


@dataclass(frozen=True)
class Facts:
    """The report without its pictures."""

    research_use: str
    title: str
    author: str | None
    version: str
    is_phantom: bool
    summary: tuple[str, ...]
    summary_lines: tuple[str, ...]
    cohort: CohortFacts
    quality: QualityFacts
    searches: SearchFacts
    performance: PerformanceFacts
    external: ExternalFacts | None
    tests: tuple[PairTestFacts, ...]
    decision: tuple[DecisionRow, ...]
    scaling: tuple[ScalingRow, ...]
    warnings: tuple[str, ...]
    abstention: AbstentionFacts
    subgroups: tuple[SubgroupTable, ...]
    spread: SpreadFacts
    prediction: PredictionFacts
    transfer: TransferFacts
    ablation: AblationFacts
    shortcuts: ShortcutFacts
    errors: ErrorFacts
    novelty: NoveltyFacts
    explanation: ExplanationFacts
    consistency: ConsistencyFacts
    influence: InfluenceFacts
    generators: GeneratorFacts
    methods: MethodsFacts
    provenance: ProvenanceFacts
    limits: tuple[str, ...]


def build_facts(sources: Sources, *, title: str, author: str | None) -> Facts:
    """Compute every fact of the report.

    Args:
        sources: Rows and JSON of all stages that were run.
        title: Title of the page.
        author: Who is responsible; printed when given.

    Returns:
        The facts; no picture, no path, no clock.
    """
    cohort = build_cohort(sources)
    classes, task = cohort.classes, cohort.task
    performance = build_performance(sources, classes=classes, task=task, value=cohort.value)
    explanation = build_explanation(sources, confidence=performance.confidence, task=task)
    spread, prediction = build_spread(sources, task), build_prediction(sources)
    facts = Facts(
        research_use=RESEARCH_USE,
        title=title,
        author=author,
        version=sources.version,
        is_phantom=sources.setting("data", "kind") == "phantom",
        summary=(),
        summary_lines=(),
        cohort=cohort,
        quality=build_quality(sources),
        searches=build_searches(sources),
        performance=performance,
        external=build_external(sources, classes=classes, task=task, value=cohort.value),
        tests=build_tests(sources),
        decision=build_decision(sources),
        scaling=build_scaling(sources),
        warnings=tuple(row["warning"] for row in sources.table("warnings")),
        abstention=build_abstention(sources),
        subgroups=build_subgroups(sources),
        spread=spread,
        prediction=prediction,
        transfer=build_transfer(sources),
        ablation=build_ablation(sources),
        shortcuts=build_shortcuts(sources),
        errors=build_errors(sources, classes=classes, task=task),
        novelty=build_novelty(sources),
        explanation=explanation,
        consistency=build_consistency(sources),
        influence=build_influence(sources),
        generators=build_generators(sources),
        methods=build_methods(sources, n_folds=cohort.folds.n_folds),
        provenance=build_provenance(sources),
        limits=(),
    )
    return _add_words(facts)


def _add_words(facts: Facts) -> Facts:
    """Return the facts with the sentences that are made of them: summary and limits."""
    summary, lines = (
        say(
            facts.cohort,
            facts.performance,
            external=facts.external,
            spread=facts.spread,
            explanation=facts.explanation,
        )
        for say in _SAY
    )
    headlines = facts.transfer.headline + facts.ablation.headline + facts.shortcuts.headline
    images = describe_images(facts.cohort, facts.quality, is_phantom=facts.is_phantom)
    methods = facts.methods
    is_explained = bool(facts.explanation.cases)
    return replace(
        facts,
        summary=summary + headlines,
        summary_lines=lines + headlines,
        methods=methods.begin_with("Images", images) if images else methods,
        limits=(
            *_list_limits(facts),
            *list_prediction_limits(facts.prediction, is_explained=is_explained),
            *facts.explanation.limits,
            *facts.influence.limits,
            *_list_added(facts),
            *facts.transfer.sentences[-1:],
            *facts.ablation.sentences[-1:],
            *facts.shortcuts.warnings,
        ),
    )


def _list_added(facts: Facts) -> list[str]:
    """Say what synthetic images leave open."""
    return list_added_limits(
        facts.generators.added,
        has_controls=bool(facts.shortcuts.controls),
        is_explained=bool(facts.explanation.cases),
    )


def facts_to_json(facts: Facts) -> JsonValue:
    """Return the facts as plain JSON types (tuples become lists)."""
    return to_json(asdict(facts))


def to_json(value: object) -> JsonValue:
    """Return JSON types of nested tuples and dicts."""
    if isinstance(value, dict):
        return {str(key): to_json(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(held) for held in value]
    return cast(JsonValue, value)


def _list_limits(facts: Facts) -> tuple[str, ...]:
    """Say what this study cannot show."""
    cohort, performance, external = facts.cohort, facts.performance, facts.external
    has_thresholds = any(arm.thresholds for arm in performance.arms) or performance.findings
    chosen = "Thresholds and stopping were" if has_thresholds else "Stopping was"
    limits = [
        f"The external cohort, {external.size}, is one: how the networks do anywhere else is not "
        "known."
        if external
        else "Performance is internal: all subjects come from one data set, and no external cohort "
        "was tested.",
        "An attribution shows what the network used, not what is true of the patient; a passed "
        "check is necessary, not sufficient.",
        "No reader study was made: whether the network or its explanations help a clinician is not "
        "assessed.",
        f"{chosen} chosen on validation subjects of the same source as the test subjects.",
    ]
    if facts.is_phantom:
        limits.insert(
            0,
            "The cohort is synthetic, with nodules planted by a computer: its figures say how the "
            "pipeline works, and nothing about patients.",
        )
    if cohort.leakage_is_overridden:
        limits.insert(
            0,
            f"{cohort.leakage_left_words} lie in different splits: performance is overestimated.",
        )
    if cohort.n_subjects < _FEW_SUBJECTS:
        unseen = "; a small real difference between networks would not be seen"
        limits.append(
            f"With {cohort.n_subjects} subjects the intervals are wide"
            f"{unseen if performance.comparisons else ''}."
        )
    if any(metric.low is None for metric in performance.main):
        limits.append("An interval could not be computed for every figure.")
    return tuple(limits)
