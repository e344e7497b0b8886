"""Level 1 of an audit, saliency of the gate: judged again from what its checks measured."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from math import isnan
from typing import cast

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._compared import compare_values
from medvision.cli._saliency_table import COLUMNS, TABLE, read_gauge
from medvision.config.gate import GateSection
from medvision.domain.record import JsonValue
from medvision.domain.split import build_assignments
from medvision.domain.synthesis.gauges import MIXED, Gauge
from medvision.domain.synthesis.saliency import NAME, judge_saliency
from medvision.domain.synthesis.sample import Rules
from medvision.io.tables import read_table
from medvision.runtime.files import read_json

_FIGURES = ("value", "low", "high", "comparator", "threshold")
_WORDS = ("criterion", "space", "statistic", "n", "verdict", "reason", "source")


def find_saliency_faults(locate: Locate, step: str) -> list[Finding]:
    """Judge saliency of one gate again, and hold its table against the folds.

    Args:
        locate: Returns where a file of the study lies in the bundle.
        step: Of the gate, such as `gate/fold-0`.

    Returns:
        What does not follow; nothing where saliency was not asked.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError, ValueError: A record or a table is incomplete.
    """
    record = cast(Mapping[str, JsonValue], read_json(locate(f"{step}/record.json")))
    criteria = f"{step}/criteria.tsv"
    held = [row for row in read_table(locate(criteria)) if row["criterion"] == NAME]
    if f"{step}/{TABLE}" not in cast(Mapping[str, str], record["writes"]):
        return [
            Finding(criteria, f"{row['criterion']} {row['statistic']}", f"of {TABLE}", "no table")
            for row in held
            if row["verdict"] != "described"
        ]
    parameters = cast(Mapping[str, JsonValue], record["parameters"])
    section = GateSection.model_validate(parameters["gate"])
    rows = read_table(locate(f"{step}/{TABLE}"), required=COLUMNS)
    gauges = [read_gauge(row) for row in rows]
    wanted = [_tell(asdict(own)) for own in judge_saliency(gauges, _describe_rules(section))]
    found = compare_values("", wanted=wanted, held=[_tell(row) for row in held])
    faults = [replace(finding, where=criteria) for finding in found]
    return faults + _find_strangers(locate, step, gauges=gauges, section=section)


def _describe_rules(section: GateSection) -> Rules:
    """Return how the gate judged."""
    return Rules(
        n_repeats=section.repeats,
        level=section.level,
        confidence=section.confidence,
        n_neighbours=section.neighbours,
        similarity=section.similarity,
        seed=section.seed,
    )


def _tell(row: Mapping[str, object]) -> JsonValue:
    """Return a criterion as plain values; figures that are not defined are null."""
    told: dict[str, JsonValue] = {name: str(row[name]) for name in _WORDS}
    for name in _FIGURES:
        text = str(row[name])
        value = float(text) if text else float("nan")
        told[name] = None if isnan(value) else value
    return told


def _find_strangers(
    locate: Locate, step: str, *, gauges: list[Gauge], section: GateSection
) -> list[Finding]:
    """Find explained images that are no validation images of the fold, and missing networks."""
    number = int(step.rpartition("-")[2])
    allowed = {
        (item.image_id, item.subject, item.label)
        for item in build_assignments(read_table(locate("cohort/folds.tsv")))
        if (item.fold, item.split) == (number, "validation")
    }
    where, faults = f"{step}/{TABLE}", []
    for own in sorted({(gauge.image_id, gauge.subject, gauge.label) for gauge in gauges} - allowed):
        rule = "of the validation images of its fold, with its subject and label"
        faults.append(Finding(where, f"image {own[0]}", rule, "another one"))
    n_plain = len({gauge.seed for gauge in gauges if gauge.network != MIXED})
    if n_plain != section.real_networks:
        rule = f"{section.real_networks}, as gate.real_networks asked"
        faults.append(Finding(where, "networks of real images", rule, str(n_plain)))
    return faults
