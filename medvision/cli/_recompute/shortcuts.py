"""The shortcut audit of a bundle judged again, and its controls held against what was dealt."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._recompute.compared import compare_values
from medvision.cli._recompute.sealed import read_parameters
from medvision.cli._shortcut.judged import compute_facts
from medvision.config.control import CONTROLLED_FOLD, ControlSection
from medvision.config.evaluate import EvaluateSection
from medvision.domain.record import JsonValue
from medvision.domain.shortcut.dealt import count_moved, count_siblings
from medvision.domain.split import Assignment, build_assignments
from medvision.errors import MedvisionError
from medvision.io.tables import Row, read_table
from medvision.runtime.files import read_json

SHORTCUTS = "shortcuts/shortcuts.json"

Table = dict[str, JsonValue]


def find_shortcut_faults(locate: Locate) -> list[Finding]:
    """Judge probes and controls again, where the study has them.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Returns:
        One finding per value that does not follow from answers and predictions. A study without
        this step has none: that its settings ask for the step is another check's.
    """
    try:
        parameters = read_parameters(locate, "shortcuts")
    except MedvisionError:
        return []
    settings = EvaluateSection.model_validate(parameters["evaluate"])
    section = ControlSection.model_validate(parameters["control"])
    controls = [f"control/{name}/fold-{CONTROLLED_FOLD}" for name in section.trainings]
    faults = [fault for step in controls for fault in find_dealt_faults(locate, step)]
    wanted, _, _ = compute_facts(locate, controls=controls, section=settings)
    found = compare_values("", wanted=wanted, held=read_json(locate(SHORTCUTS)))
    return [*faults, *(replace(finding, where=SHORTCUTS) for finding in found)]


def find_dealt_faults(locate: Locate, step: str) -> list[Finding]:
    """Hold a control's predictions and counts against what each image was dealt.

    Args:
        locate: Returns where a file of the study lies in the bundle.
        step: Of the control.

    Returns:
        One finding per kind of fault.
    """
    dealt = read_table(locate(f"{step}/dealt.tsv"))
    summary = cast(Table, read_json(locate(f"{step}/summary.json")))
    own, given = (_place(dealt, kind) for kind in ("", "control_"))
    units = {row["image_id"]: row["unit"] for row in dealt}
    n_siblings, n_tested = count_siblings(given, units)
    counted = {
        "n_tested": n_tested,
        "n_siblings": n_siblings,
        "n_moved": count_moved(own, given),
        "n_units": len(set(units.values())),
    }
    faults = [
        Finding(f"{step}/summary.json", name, f"{value}, counted again", f"{summary.get(name)}")
        for name, value in counted.items()
        if summary.get(name) != value
    ]
    if not summary["is_trained"]:
        return faults
    tested = {(item.image_id, item.label) for item in given if item.split == "test"}
    rows = read_table(locate(f"{step}/predictions.tsv"))
    predicted = {(row["image_id"], row["label"]) for row in rows}
    n_other = len(tested ^ predicted)
    rule = "the images dealt to test, with the labels dealt to them"
    where = f"{step}/predictions.tsv"
    return faults + ([Finding(where, "rows", rule, f"{n_other} others")] if n_other else [])


def _place(dealt: Sequence[Row], kind: str) -> list[Assignment]:
    """Return each image with the study's own side and label, or those of the control."""
    only = dict.fromkeys(("fold", "repeat", "part", "inner"), str(CONTROLLED_FOLD))
    return build_assignments(
        [
            {**row, **only, "split": row[f"{kind}split"], "label": row[f"{kind}label"]}
            for row in dealt
        ]
    )
