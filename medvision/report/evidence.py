"""What a report can say of a run, each with its place on the page and whether it is there."""

from collections.abc import Callable
from dataclasses import dataclass

from medvision.report.facts import Facts
from medvision.report.methods import MethodsFacts


@dataclass(frozen=True)
class Evidence:
    """One thing that a report may hold.

    Args:
        anchor: Id of the element of the page that holds it.
        words: What a link to it says.
        holds: Whether these facts hold it; only then the page has the anchor.
    """

    anchor: str
    words: str
    holds: Callable[[Facts], bool]


def name_paragraph(heading: str) -> str:
    """Return the anchor of a paragraph of the methods."""
    return f"methods-{heading.lower()}"


def _is_written(methods: MethodsFacts, heading: str) -> bool:
    return any(held == heading for held, _ in methods.paragraphs)


def _make_paragraph(heading: str) -> Evidence:
    """Return the evidence that a paragraph of the methods is."""
    return Evidence(
        name_paragraph(heading),
        f"Methods, {heading.lower()}",
        lambda facts: _is_written(facts.methods, heading),
    )


def _has_thresholds(facts: Facts) -> bool:
    return any(arm.confusion and arm.thresholds for arm in facts.performance.arms)


def _is_balanced(facts: Facts) -> bool:
    """Tell whether the configuration balanced the classes, which the methods then say."""
    if facts.cohort.task == "regression":
        return False
    train = facts.provenance.settings.get("train")
    asked = train.get("imbalance") if isinstance(train, dict) else None
    return asked in ("weights", "sampling") and _is_written(facts.methods, "Training")


def _has_curves(facts: Facts) -> bool:
    return any(arm.roc or arm.calibration for arm in facts.performance.arms)


def _has_interval(facts: Facts) -> bool:
    return any(metric.low is not None for metric in facts.performance.metrics)


def _has_shortcuts(facts: Facts) -> bool:
    return bool(facts.shortcuts.rows or facts.shortcuts.controls)


def _has_counts(facts: Facts) -> bool:
    return any(metric.n_subjects is not None for metric in facts.performance.metrics)


EVIDENCE: dict[str, Evidence] = {
    "summary": Evidence("summary", "Summary", lambda facts: bool(facts.performance.main)),
    "flow": Evidence("flow-title", "From files to images", lambda facts: facts.cohort.n_files > 0),
    "refused": Evidence("refused", "Refused input", lambda facts: bool(facts.cohort.refused)),
    "unmatched": Evidence(
        "unmatched", "Labels without partner", lambda facts: bool(facts.cohort.unmatched)
    ),
    "leakage": Evidence("leakage", "Leakage", lambda facts: bool(facts.cohort.folds.rows)),
    "folds": Evidence("folds", "Folds", lambda facts: bool(facts.cohort.folds.rows)),
    "subgroups": Evidence(
        "fold-subgroups",
        "Subgroups by fold",
        lambda facts: bool(facts.cohort.folds.rows and facts.cohort.folds.subgroups),
    ),
    "subgroup_figures": Evidence("subgroups", "Subgroups", lambda facts: bool(facts.subgroups)),
    "quality": Evidence("quality", "Image quality", lambda facts: facts.quality.n_images > 0),
    "imbalance": Evidence(name_paragraph("Training"), "Methods, training", _is_balanced),
    "metric_intervals": Evidence("performance", "Performance", _has_interval),
    "metric_counts": Evidence("performance", "Performance, counts", _has_counts),
    "metric_methods": Evidence(
        "metric-methods", "How figures were made", lambda facts: bool(facts.performance.metrics)
    ),
    "curves": Evidence("curves", "Discrimination and calibration", _has_curves),
    "thresholds": Evidence("confusion", "Confusion, thresholds", _has_thresholds),
    "findings": Evidence(
        "findings", "Finding by finding", lambda facts: bool(facts.performance.findings)
    ),
    "agreement": Evidence("agreement", "Agreement", lambda facts: bool(facts.performance.values)),
    "external": Evidence(
        "external", "Internal and external", lambda facts: facts.external is not None
    ),
    "confusion": Evidence(
        "confusion",
        "Confusion",
        lambda facts: any(arm.confusion for arm in facts.performance.arms),
    ),
    "checks": Evidence(
        "checks",
        "Checks of explanations",
        lambda facts: bool(facts.explanation.cases and facts.explanation.matrix),
    ),
    "shortcuts": Evidence("shortcuts", "Shortcuts", _has_shortcuts),
    "abstention": Evidence(
        "abstention",
        "Leaving the least certain images to a person",
        lambda facts: bool(facts.abstention.orders),
    ),
    "novelty": Evidence(
        "novelty", "Unlike the train images", lambda facts: bool(facts.novelty.rows)
    ),
    "errors": Evidence("errors", "Errors", lambda facts: bool(facts.errors.images)),
    "wrong_cases": Evidence(
        "cases",
        "Explained cases",
        lambda facts: bool(facts.explanation.cases) and facts.explanation.n_wrong > 0,
    ),
    "software": Evidence("software", "Software", lambda facts: bool(facts.provenance.software)),
    "command": Evidence("reproducibility", "Command", lambda facts: bool(facts.provenance.command)),
    "digests": Evidence("digests", "Digests", lambda facts: bool(facts.provenance.artefacts)),
    "settings": Evidence(
        "settings", "Configuration", lambda facts: bool(facts.provenance.settings)
    ),
    "limits": Evidence("limits", "Limits", lambda facts: bool(facts.limits)),
    **{
        f"method_{heading.lower()}": _make_paragraph(heading)
        for heading in (
            *(
                "Images",
                "Splitting",
                "Preprocessing",
                "Network",
                "Training",
                "Statistics",
                "Explanations",
            ),
        )
    },
}
"""Name in the checklists' files to what it is."""
