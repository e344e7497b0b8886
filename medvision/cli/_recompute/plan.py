"""The selection of the explained cases, drawn again from the predictions in a bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from medvision.audit.findings import Finding
from medvision.audit.plan import compare_cases, parse_plan
from medvision.audit.verify import Locate
from medvision.cli._cohort.summary import read_classes
from medvision.config.explain import ExplainSection
from medvision.domain.explanation.plan import PLAN
from medvision.io.tables import read_table

_PREDICTIONS = "predict/predictions.tsv"


def find_selection_faults(locate: Locate) -> list[Finding]:
    """Draw the cases again by the plan's rule and seed, and return what differs.

    Who dropped a case that looked bad and wrote a plan that fits is found here: the draw follows
    from the predictions alone.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Returns:
        One finding per case that was dropped, added or changed, and per count that differs.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        ValueError: The plan's settings are not those of an explanation.
    """
    from medvision.explain.selection import select_cases

    plan = parse_plan(locate(PLAN).read_bytes())
    section = ExplainSection.model_validate(plan["settings"])
    drawn = select_cases(
        read_table(locate(_PREDICTIONS)),
        classes=read_classes(locate("cohort/summary.json")),
        images=section.images,
        seed=section.seed,
        finding=section.finding,
        target=section.target,
    )
    cases = cast(Sequence[Mapping[str, Any]], plan["cases"])
    findings = compare_cases(PLAN, wanted=[asdict(case) for case in drawn.cases], held=cases)
    held = cast(Mapping[str, Any], plan["selection"])
    return findings + [
        Finding(PLAN, f"selection.{name}", repr(value), repr(held.get(name)))
        for name, value in drawn.as_dict().items()
        if held.get(name) != value
    ]
