"""The ablation computed again from its trainings' predictions, for an audit."""

from dataclasses import replace
from typing import cast

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._recompute.compared import compare_values
from medvision.cli.ablation import compute_facts
from medvision.config.ablation import AblationSection
from medvision.config.evaluate import EvaluateSection
from medvision.domain.record import JsonValue
from medvision.errors import MedvisionError
from medvision.runtime.files import read_json

Table = dict[str, JsonValue]

ABLATION = "ablation/ablation.json"


def find_ablation_faults(locate: Locate) -> list[Finding]:
    """Compute the ablation again, where the study has one.

    Args:
        locate: Tells where a file of the bundle lies.

    Returns:
        What differs.

    Raises:
        MedvisionError: A file is missing or cannot be read.
    """
    try:
        record = cast(Table, read_json(locate("ablation/record.json")))
    except MedvisionError:
        return []
    parameters = cast(Table, record["parameters"])
    settings = EvaluateSection.model_validate(parameters["evaluate"])
    gate = AblationSection.model_validate(parameters["ablation"]).gate
    places = [path.split("/") for path in cast(Table, record["reads"])]
    steps = [place[:3] for place in places if place[3:] == ["predictions.tsv"]]
    wanted, _ = compute_facts(
        locate,
        steps=["/".join(step) for step in steps],
        gate=gate,
        n_resamples=settings.n_resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    found = compare_values("", wanted=wanted, held=read_json(locate(ABLATION)))
    return [replace(finding, where=ABLATION) for finding in found]
