"""The summary of a bundle's explanations, made again from its tables and settings."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np

from medvision.audit.findings import Finding
from medvision.cli._recompute.compared import compare_values
from medvision.cli._recompute.told import ATTRIBUTIONS, INDEX, SUMMARY, Told
from medvision.config.explain import ExplainSection
from medvision.domain.geometry import compute_spacing_mm
from medvision.domain.record import JsonValue
from medvision.io.tables import Row

ELSEWHERE = {"masks", "influence"}
"""Parts of the summary that rest on masks and on train images, and not on the tables alone."""

_TOO_COARSE = "too_coarse"
"""Rests on masks."""

_PARAMETERS = (
    *("seed", "steps", "batch_size", "occlusion_window", "occlusion_stride", "occlusion_share"),
    *("completeness", "noise_draws", "noise_level", "shap_draws", "random_orders"),
    *("deletion_steps", "baseline"),
)

Figures = dict[str, JsonValue]


def find_summary_faults(told: Told) -> list[Finding]:
    """Make the summary again and return what differs.

    Args:
        told: What the bundle tells.

    Returns:
        One finding per value that does not follow from tables and settings; masks and the sizes of
        lesions, which no bundle has, are left out.
    """
    wanted, held = compute_summary(told), dict(told.summary)
    findings = []
    for key in sorted(wanted.keys() | (held.keys() - ELSEWHERE)):
        one, other = _settle(wanted.get(key)), _settle(held.get(key))
        found = compare_values(key, wanted=one, held=other, tolerance=_TOLERANCE)
        findings += [replace(fault, where=SUMMARY) for fault in found]
    return findings


_TOLERANCE = 1e-6
"""Of a figure near zero: tables hold nine digits, and margins are differences of millimetres."""


def _settle(part: JsonValue) -> JsonValue:
    """Return methods without what rests on the sizes of lesions, their reasons in one order.

    A run names checks in the order in which it came to them, which its tables do not tell.
    """
    if not isinstance(part, dict):
        return part
    settled = {key: _settle(value) for key, value in part.items() if key != _TOO_COARSE}
    reason = settled.get("reason")
    if isinstance(reason, str):
        word, _, names = reason.partition(": ")
        settled["reason"] = [word, *sorted(re.split(r", (?=[a-z_]+(?: \(|,|$))", names))]
    return settled


def compute_summary(told: Told) -> Figures:
    """Return what the summary says by the tables, the settings, the plan and the record.

    Args:
        told: What the bundle tells.
    """
    from medvision.explain.consistency_summary import summarise_consistency
    from medvision.explain.outcomes import say_explained
    from medvision.explain.summary import LIMITS, describe_networks, list_controls, summarise_map
    from medvision.explain.verdicts import CONFIDENCE

    section, checks = told.section, told.checks
    explained, limit = say_explained(told.classes.task, section.target)
    return {
        "selection": told.selection,
        "task": told.classes.task,
        "explained": explained,
        "confidence": CONFIDENCE,
        "networks": describe_networks(cast("list[JsonValue]", told.facts.get("networks", []))),
        "methods": {
            name: summarise_map(checks, name, seed=section.seed) | _describe_method(told, name)
            for name in section.methods
        },
        "controls": {
            name: summarise_map(checks, name, seed=section.seed) for name in list_controls(checks)
        },
        "parameters": _describe_settings(section),
        "limits": [limit, *LIMITS],
        "consistency": summarise_consistency(
            told.consistency, bounds=told.bounds, methods=section.methods, seed=section.seed
        ),
    }


def _describe_settings(section: ExplainSection) -> Figures:
    """Return the parameters of methods and checks as the summary lists them."""
    held = json.loads(section.model_dump_json())
    names = (*_PARAMETERS, *(["blur_voxels"] if section.baseline == "blur" else []))
    return {name: held[name] for name in names}


def _describe_method(told: Told, method: str) -> Figures:
    """Return a method's refusals and parameters, and its layer and cells where it has them."""
    from medvision.explain.summary import VARYING

    rows = [row for row in told.tables[ATTRIBUTIONS] if row["method"] == method]
    shown = {row["image_id"] for row in rows}
    reasons = [
        row.reason.removeprefix("refused: ")
        for row in told.checks
        if row.method == method and row.check == "completeness" and row.image_id not in shown
    ]
    described: Figures = {
        "refused": [
            {"reason": reason, "n_images": reasons.count(reason)}
            for reason in dict.fromkeys(reasons)
        ],
        "parameters": {},
    }
    if not rows:
        return described
    given = [cast(Figures, json.loads(row["parameters"])) for row in rows]
    described["parameters"] = {k: v for k, v in given[0].items() if k not in VARYING}
    if "steps" in given[0]:
        described["steps_used"] = [each["steps"] for each in given]
    if "native_shape" in given[0]:
        described |= _describe_cells(told, rows[0], given[0])
    return described


def _describe_cells(told: Told, row: Row, given: Mapping[str, JsonValue]) -> Figures:
    """Return Grad-CAM's layer, and the grid and size of its cells in the first image."""
    index = told.tables[INDEX]
    affine = next(own["tensor_affine"] for own in index if own["image_id"] == row["image_id"])
    spacing_mm = compute_spacing_mm(np.array(json.loads(affine)))
    per_cell = cast(list[float], given["voxels_per_cell"])
    return {
        "layer": row["layer"],
        "native_shape": given["native_shape"],
        "cell_mm": [round(n * mm, 6) for n, mm in zip(per_cell, spacing_mm, strict=True)],
    }
