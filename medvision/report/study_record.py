"""The record of a study's explanations: one JSON with all that it takes to make them again."""

import json
from collections.abc import Sequence

from medvision.domain.explanation.plan import PLAN, PLAN_SIGNATURE
from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.record import JsonValue
from medvision.report.sources import Row, parse_count, parse_number
from medvision.report.study_inputs import StudyInputs, know
from medvision.report.study_network import (
    describe_determinism,
    describe_model,
    describe_prediction,
)

FORMAT = "medvision-study/1"
CONTROL_PREFIX, REFUSED = "control_", "refused: "

_SCALE = "symmetric about zero, to the 99.5th percentile of the shown absolute values"
_REVIEWS = "decisions are made after the seal: see reviews/ of the bundle"


def build_study_record(inputs: StudyInputs) -> dict[str, JsonValue]:
    """Gather what was planned, explained and found, each with the digest of its file.

    A value that is not known is never a bare null: it is an object of `value` null and the
    `reason`.

    Args:
        inputs: Tables, documents and digests.

    Returns:
        Plain JSON types that fit `schemas/study.schema.json`; equal inputs give equal records.

    Raises:
        LookupError: A table or a row is missing.
    """
    plan, explain = inputs.documents[PLAN], inputs.records["explain"]
    cases = [_describe_case(inputs, row) for row in inputs.tables["explain/selection.tsv"]]
    failed = sum(bool(case["refusals"]) for case in cases)
    meta = inputs.documents["preprocess/meta.json"]
    return {
        "format": FORMAT,
        INTENDED_USE: RESEARCH_USE,
        "medvision": plan["medvision"],
        "plan": {
            "path": PLAN,
            "sha256": inputs.digests[PLAN],
            "signature": know(inputs.digests.get(PLAN_SIGNATURE), "no key was configured"),
        },
        "selection": {
            "planned": plan["selection"],
            "n_shown": len(cases),
            "n_with_a_refused_method": failed,
        },
        "preprocessing": {"steps": meta.get("steps", []), "dtype": str(meta.get("dtype", ""))},
        "cases": [*cases],
        "determinism": describe_determinism(explain),
        "environment": {"device": explain["device"], "software": explain["software"]},
        "provenance": dict(sorted(inputs.provenance.items())),
        "limits": inputs.documents["explain/summary.json"].get("limits", []),
        "reviews": know(None, _REVIEWS),
    }


def _describe_case(inputs: StudyInputs, case: Row) -> dict[str, JsonValue]:
    """Return all that is known of one explained image."""
    image_id = case["image_id"]
    (array,) = inputs.of_image("preprocess/index.tsv", image_id)
    affine = json.loads(array["source_affine"])
    maps = inputs.of_image("explain/attributions.tsv", image_id)
    likenesses = inputs.of_image("explain/stability.tsv", image_id)
    return {
        "image_id": image_id,
        "subject": case["subject"],
        "rule": case["rule"],
        "label": know(case["label"], "no label is known"),
        "source": _describe_source(inputs, array, affine=affine),
        "tensor": {
            "blake3": know(array.get("digest"), "the index of the arrays has none"),
            "affine": json.loads(array["tensor_affine"]),
            "shape": know(array.get("shape"), "the index of the arrays has none"),
        },
        "model": describe_model(inputs, case),
        "prediction": describe_prediction(inputs, case),
        "explanations": [_describe_map(inputs, row, affine=affine) for row in maps],
        **_describe_checks(inputs.of_image("explain/checks.tsv", image_id)),
        "stability": [_describe_likeness(row) for row in likenesses],
        "picture": _describe_picture(inputs, image_id),
    }


def _describe_source(inputs: StudyInputs, array: Row, *, affine: JsonValue) -> JsonValue:
    """Return where an image came from, by its pseudonymised identifiers."""
    (source,) = inputs.of_image("ingest/manifest.tsv", array["image_id"])
    return {
        "study_uid": know(source.get("study"), "the image is of no DICOM study"),
        "series_uid": know(source.get("series"), "the image is of no DICOM series"),
        "image_sha256": source["image_digest"],
        "pixel_blake3": know(source.get("pixel_digest"), "its manifest has none"),
        "affine": affine,
        "shape": [int(n) for n in array["source_shape"].split("x")],
    }


def _describe_checks(rows: Sequence[Row]) -> dict[str, JsonValue]:
    """Return the checks of the maps, those of the controls, and what was refused."""
    controls = [row for row in rows if row["method"].startswith(CONTROL_PREFIX)]
    refusals = {
        row["method"]: row["reason"].removeprefix(REFUSED)
        for row in rows
        if row["reason"].startswith(REFUSED)
    }
    return {
        "refusals": [{"method": name, "reason": why} for name, why in refusals.items()],
        "checks": [_describe_check(row) for row in rows if row not in controls],
        "controls": [_describe_check(row) for row in controls],
    }


def _describe_map(inputs: StudyInputs, row: Row, *, affine: JsonValue) -> JsonValue:
    """Return how a map was made, and where it lies."""
    parameters = json.loads(row.get("parameters") or "{}")
    seeds = {name: parameters[name] for name in ("torch_seed", "numpy_seed") if name in parameters}
    path = f"explain/maps/{row['image_id']}/{row['method']}.nii.gz"
    software = inputs.records["explain"]["software"]
    version = software.get("captum") if isinstance(software, dict) else None
    return {
        "method": row["method"],
        "library": "captum",
        "library_version": know(version, "the record names none"),
        "target": know(row.get("target"), "not recorded"),
        "layer": know(row.get("layer"), "the method looks at no layer"),
        "parameters": parameters,
        "baseline_sha256": know(
            row.get("baseline_digest"), "the method measures against no baseline"
        ),
        "steps": know(parameters.get("steps"), "the method takes no steps"),
        "delta": know(
            parse_number(row.get("completeness_error")), "the method does not promise a sum"
        ),
        "seeds": know(seeds or None, "the method draws nothing"),
        "dtype": "float32",
        "map": {"path": path, "sha256": inputs.digests[path], "affine": affine},
        "rendering": {"scale": _SCALE, "sign": "blue below zero, orange above"},
        "verdict": row["verdict"],
        "reason": row.get("reason", ""),
    }


def _describe_check(row: Row) -> JsonValue:
    """Return one check with its figures, or why it has none."""
    why = row["reason"] or "the check has no such figure"
    figures = ("statistic", "comparator", "threshold")
    return {
        "method": row["method"],
        "check": row["check"],
        **{name: know(parse_number(row.get(name)), why) for name in figures},
        "n": know(parse_count(row.get("n")), why),
        "verdict": row["verdict"],
        "reason": row["reason"],
        "source": row.get("source", ""),
    }


def _describe_likeness(row: Row) -> JsonValue:
    """Return how alike two maps are."""
    why = row["reason"] or "not computed"
    return {
        "method": row["method"],
        "comparison": row["comparison"],
        "against": row["against"],
        "ssim": know(parse_number(row["ssim"]), why),
        "rank_correlation": know(parse_number(row["rank_correlation"]), why),
    }


def _describe_picture(inputs: StudyInputs, image_id: str) -> JsonValue:
    """Return the picture of all maps of a case."""
    images = [row["image_id"] for row in inputs.tables["explain/selection.tsv"]]
    path = f"report/figures/case-{images.index(image_id) + 1:02d}.png"
    if path not in inputs.digests:
        return know(None, "the report shows fewer cases")
    return {"path": path, "sha256": inputs.digests[path]}
