"""Statistics computed again from the predictions in a bundle, and compared with those it holds."""

from dataclasses import replace
from typing import cast

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._evaluated.external import evaluate, read_known
from medvision.cli._recompute.ablation import find_ablation_faults
from medvision.cli._recompute.compared import METRICS, compare_values
from medvision.cli._recompute.gathered import find_gathered_faults
from medvision.cli._recompute.novelty import find_novelty_faults
from medvision.cli._recompute.plan import find_selection_faults
from medvision.cli._recompute.predictions import find_prediction_faults
from medvision.cli._recompute.saliency import find_saliency_faults
from medvision.cli._recompute.sealed import read_parameters
from medvision.cli._recompute.shortcuts import find_shortcut_faults
from medvision.cli._recompute.synthetic import find_synthetic_faults
from medvision.cli._report.study_record import find_study_record_faults
from medvision.cli.compare import compute_facts
from medvision.config.evaluate import EvaluateSection
from medvision.config.scorecard import ScorecardSection
from medvision.domain.record import JsonValue
from medvision.errors import MedvisionError
from medvision.io.tables import read_table
from medvision.runtime.files import read_json

SCORECARD = "compare/scorecard.json"

Table = dict[str, JsonValue]


def find_derived_faults(locate: Locate) -> list[Finding]:
    """Compute again what follows from the predictions of a bundle: figures, cases, study record.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Returns:
        One finding per figure, case or entry that does not follow.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        ValueError: The recorded settings are not those of their step.
    """
    findings = find_statistics_faults(locate) + find_selection_faults(locate)
    # These ask the folds, which whoever asks for the figures alone need not have.
    findings += find_synthetic_faults(locate) + find_saliency_faults(locate)
    findings += find_gathered_faults(locate)
    return findings + find_study_record_faults(locate)


def find_statistics_faults(locate: Locate) -> list[Finding]:
    """Compute the statistics of a bundle again and return what differs.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Returns:
        One finding per figure that does not follow from the predictions.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        ValueError: The recorded settings are not those of an evaluation.
    """
    settings = EvaluateSection.model_validate(read_parameters(locate, "evaluate")["evaluate"])
    predictions = read_table(locate("predict/predictions.tsv"))
    result = evaluate(predictions, read_known(locate), section=settings)
    findings = compare_values("", wanted=result.facts, held=read_json(locate(METRICS)))
    findings += find_prediction_faults(locate) + _find_scorecard_faults(locate)
    findings += find_ablation_faults(locate)
    return findings + find_novelty_faults(locate) + find_shortcut_faults(locate)


def _find_scorecard_faults(locate: Locate) -> list[Finding]:
    """Compute the scorecard again, where the study has one."""
    try:
        record = cast(Table, read_json(locate("compare/record.json")))
    except MedvisionError:
        return []
    settings = EvaluateSection.model_validate(cast(Table, record["parameters"])["evaluate"])
    # A path's digest, which the settings hold in its place, is the name of its arm as well.
    section = ScorecardSection.model_validate(cast(Table, record["parameters"])["scorecard"])
    arms = [arm.name for arm in section.arms]
    places = [path.split("/") for path in cast(Table, record["reads"])]
    steps = [place[:3] for place in places if place[3:] == ["predictions.tsv"]]
    steps.sort(key=lambda step: (arms.index(step[1]), int(step[2].rpartition("-")[2])))
    wanted, _, _ = compute_facts(
        locate,
        steps=["/".join(step) for step in steps],
        n_resamples=settings.n_resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    found = compare_values("", wanted=wanted, held=read_json(locate(SCORECARD)))
    return [replace(finding, where=SCORECARD) for finding in found]
