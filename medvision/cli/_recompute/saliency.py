"""Level 1 of an audit, saliency of the gate: judged again from what its checks measured."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from math import isnan
from typing import cast

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._gate.judge import describe_rules
from medvision.cli._gate.saliency_table import COLUMNS, TABLE, read_gauge
from medvision.cli._recompute.compared import compare_values
from medvision.config.gate import GateSection
from medvision.domain.record import JsonValue
from medvision.domain.split import Assignment, build_assignments
from medvision.domain.synthesis.criterion import DESCRIBED
from medvision.domain.synthesis.gauges import PLAIN, Gauge
from medvision.domain.synthesis.saliency import NAME, judge_saliency
from medvision.domain.synthesis.synthetic import name_gate
from medvision.errors import MedvisionError
from medvision.io.tables import Row, read_table
from medvision.runtime.files import read_json

Table = Mapping[str, JsonValue]

_FIGURES = ("value", "low", "high", "comparator", "threshold")
_WORDS = ("criterion", "space", "statistic", "n", "verdict", "reason", "source")


def find_saliency_faults(locate: Locate) -> list[Finding]:
    """Judge saliency of every gate of a bundle again, and hold its tables against the folds.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Returns:
        What does not follow; nothing where no gate has asked.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError, ValueError: A record or a table is incomplete.
    """
    folds = build_assignments(read_table(locate("cohort/folds.tsv")))
    faults: list[Finding] = []
    for number in sorted({item.fold for item in folds}):
        try:
            record = cast(Table, read_json(locate(f"{name_gate(number)}/record.json")))
        except MedvisionError:
            # That a step is missing which should be there is the closure's to say.
            continue
        validation = [item for item in folds if (item.fold, item.split) == (number, "validation")]
        faults += _judge_again(locate, number, record=record, validation=validation)
    return faults


def _judge_again(
    locate: Locate, number: int, *, record: Table, validation: Sequence[Assignment]
) -> list[Finding]:
    """Judge one gate's saliency again."""
    step = name_gate(number)
    criteria, path = f"{step}/criteria.tsv", f"{step}/{TABLE}"
    held = [row for row in read_table(locate(criteria)) if row["criterion"] == NAME]
    section = GateSection.model_validate(cast(Table, record["parameters"])["gate"])
    if path not in cast(Mapping[str, str], record["writes"]):
        summary = cast(Table, read_json(locate(f"{step}/gate.json")))
        return _find_unasked(criteria, held, summary=summary, section=section)
    gauges = [read_gauge(row) for row in read_table(locate(path), required=COLUMNS)]
    wanted = [_tell(asdict(own)) for own in judge_saliency(gauges, describe_rules(section))]
    found = compare_values("saliency", wanted=wanted, held=[_tell(row) for row in held])
    faults = [replace(finding, where=criteria) for finding in found]
    return faults + _find_strangers(path, gauges, validation=validation, section=section)


def _find_unasked(
    criteria: str, held: Sequence[Row], *, summary: Table, section: GateSection
) -> list[Finding]:
    """Find verdicts on saliency that no table stands behind, and an open gate without one."""
    faults = [
        Finding(criteria, row["statistic"], f"judged from {TABLE}", "no such table")
        for row in held
        if row["verdict"] != DESCRIBED
    ]
    if section.explained and summary["n_accepted"]:
        rule = "asked before a gate is open, as gate.explained says"
        faults.append(Finding(criteria, NAME, rule, "no such table"))
    return faults


def _tell(row: Mapping[str, object]) -> JsonValue:
    """Return a criterion as plain values; figures that are not defined are null."""
    told: dict[str, JsonValue] = {name: str(row[name]) for name in _WORDS}
    for name in _FIGURES:
        text = str(row[name])
        value = float(text) if text else float("nan")
        told[name] = None if isnan(value) else value
    return told


def _find_strangers(
    path: str, gauges: Sequence[Gauge], *, validation: Sequence[Assignment], section: GateSection
) -> list[Finding]:
    """Find explained images that are not the fold's validation images, and missing networks."""
    allowed = {(item.image_id, item.subject, item.label) for item in validation}
    told = {(gauge.image_id, gauge.subject, gauge.label) for gauge in gauges}
    rule = "a validation image of the fold, with its subject and label"
    faults = [Finding(path, "image", rule, image_id) for image_id, *_ in sorted(told - allowed)]
    n_plain = len({gauge.seed for gauge in gauges if gauge.network == PLAIN})
    if n_plain != section.real_networks:
        rule = f"{section.real_networks}, as gate.real_networks asked"
        faults.append(Finding(path, "networks of real images", rule, str(n_plain)))
    return faults
