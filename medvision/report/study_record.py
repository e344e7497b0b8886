"""The record of a study's explanations: one JSON with all that it takes to make them again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.plan import PLAN, PLAN_SIGNATURE
from medvision.domain.record import JsonValue
from medvision.report.sources import Row, parse_count, parse_number

FORMAT = "medvision-study/1"
STUDY_RECORD = "report/study.json"
"""Path below the output folder."""

CONTROL_PREFIX, REFUSED = "control_", "refused: "

_Table = Mapping[str, JsonValue]
_SCALE = "symmetric about zero, to the 99.5th percentile of the shown absolute values"
_D0 = "D0: equal bits on the same machine with the same software"
_D1 = "not measured: made on a GPU, whose kernels need not repeat their last bits"
_REVIEWS = "decisions are made after the seal: see reviews/ of the bundle"
_FOLLOWS = "not stored: it follows from the tensor and the parameters"


@dataclass(frozen=True)
class StudyInputs:
    """What the record is made of, in the report as in an audit.

    Args:
        tables: Path below the output folder to rows: manifest, array index, predictions, and the
            tables of the explanations.
        documents: Path to JSON object: plan, summary of the explanations, description of arrays.
        records: Step to its record, of the steps whose work is told of here.
        provenance: Step to the sha256 of its record.
        digests: Path below the output folder to sha256.
        architectures: Path of a model to the sha256 of its tensors' names, kinds and shapes.
    """

    tables: Mapping[str, Sequence[Row]]
    documents: Mapping[str, _Table]
    records: Mapping[str, _Table]
    provenance: Mapping[str, str]
    digests: Mapping[str, str]
    architectures: Mapping[str, str]

    def of_image(self, path: str, image_id: str) -> list[Row]:
        """Return the rows of a table that are of an image."""
        return [row for row in self.tables[path] if row["image_id"] == image_id]


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
            "signature": _maybe(inputs.digests.get(PLAN_SIGNATURE), "no key was configured"),
        },
        "selection": {
            "planned": plan["selection"],
            "n_shown": len(cases),
            "n_with_a_refused_method": failed,
        },
        "preprocessing": {"steps": meta.get("steps", []), "dtype": str(meta.get("dtype", ""))},
        "cases": [*cases],
        "determinism": _D0 if explain["device"] == "cpu" else _D1,
        "environment": {"device": explain["device"], "software": explain["software"]},
        "provenance": dict(sorted(inputs.provenance.items())),
        "limits": inputs.documents["explain/summary.json"].get("limits", []),
        "reviews": _maybe(None, _REVIEWS),
    }


def _maybe(value: JsonValue, reason: str) -> JsonValue:
    """Return a value, or why there is none."""
    return {"value": None, "reason": reason} if value is None or value == "" else value


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
        "label": _maybe(case["label"], "no label is known"),
        "source": _describe_source(inputs, array, affine=affine),
        "tensor": {
            "sha256": _maybe(array.get("digest"), "the index of the arrays has none"),
            "affine": json.loads(array["tensor_affine"]),
            "shape": _maybe(array.get("shape"), "the index of the arrays has none"),
        },
        "model": _describe_model(inputs, case),
        "prediction": _describe_prediction(inputs, case),
        "explanations": [_describe_map(inputs, row, affine=affine) for row in maps],
        **_describe_checks(inputs.of_image("explain/checks.tsv", image_id)),
        "stability": [_describe_likeness(row) for row in likenesses],
        "picture": _describe_picture(inputs, image_id),
    }


def _describe_source(inputs: StudyInputs, array: Row, *, affine: JsonValue) -> JsonValue:
    """Return where an image came from, by its pseudonymised identifiers."""
    (source,) = inputs.of_image("ingest/manifest.tsv", array["image_id"])
    return {
        "study_uid": _maybe(source.get("study"), "the image is of no DICOM study"),
        "series_uid": _maybe(source.get("series"), "the image is of no DICOM series"),
        "image_sha256": source["image_digest"],
        "pixel_sha256": _maybe(source.get("pixel_digest"), "its manifest has none"),
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


def _describe_model(inputs: StudyInputs, case: Row) -> JsonValue:
    """Return which network was explained."""
    path = f"train/{case['arm']}/fold-{case['fold']}/seed-{case['seed']}/model.safetensors"
    return {
        "path": path,
        "weights_sha256": inputs.digests[path],
        "architecture_sha256": inputs.architectures[path],
    }


def _describe_prediction(inputs: StudyInputs, case: Row) -> JsonValue:
    """Return what the network said of the image."""
    place = ("arm", "fold", "seed")
    (row,) = [
        row
        for row in inputs.of_image("predict/predictions.tsv", case["image_id"])
        if all(row[name] == case[name] for name in place) and row["split"] == "test"
    ]
    temperatures = {
        held.get("finding", ""): parse_number(held["temperature"])
        for held in inputs.tables["predict/temperatures.tsv"]
        if all(held[name] == case[name] for name in place)
    }
    logits = _gather(row, "logit_")
    return {
        "predicted": row["predicted"],
        "explained": case["target"],
        "logits": _maybe(logits or None, "the prediction is a value, not a class"),
        "probabilities": _maybe(
            _gather(row, "probability_") or None, "the prediction is a value, not a class"
        ),
        "temperatures": _maybe(dict(temperatures) or None, "no temperature was fitted"),
        "threshold": _maybe(
            None, "the class is the most probable one; a finding is called at one half"
        ),
    }


def _gather(row: Row, prefix: str) -> dict[str, JsonValue]:
    """Return the numbers of the columns with a prefix."""
    return {
        name.removeprefix(prefix): _maybe(parse_number(text), "the cell is empty")
        for name, text in row.items()
        if name.startswith(prefix)
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
        "library_version": _maybe(version, "the record names none"),
        "target": _maybe(row.get("target"), "not recorded"),
        "layer": _maybe(row.get("layer"), "the method looks at no layer"),
        "parameters": parameters,
        "baseline_sha256": _maybe(None, _FOLLOWS),
        "steps": _maybe(parameters.get("steps"), "the method takes no steps"),
        "delta": _maybe(
            parse_number(row.get("completeness_error")), "the method does not promise a sum"
        ),
        "seeds": _maybe(seeds or None, "the method draws nothing"),
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
        **{name: _maybe(parse_number(row.get(name)), why) for name in figures},
        "n": _maybe(parse_count(row.get("n")), why),
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
        "ssim": _maybe(parse_number(row["ssim"]), why),
        "rank_correlation": _maybe(parse_number(row["rank_correlation"]), why),
    }


def _describe_picture(inputs: StudyInputs, image_id: str) -> JsonValue:
    """Return the picture of all maps of a case."""
    images = [row["image_id"] for row in inputs.tables["explain/selection.tsv"]]
    path = f"report/figures/case-{images.index(image_id) + 1:02d}.png"
    if path not in inputs.digests:
        return _maybe(None, "the report shows fewer cases")
    return {"path": path, "sha256": inputs.digests[path]}


# One way of reading for whoever writes the record and whoever checks it.

TABLES = (
    *("ingest/manifest.tsv", "preprocess/index.tsv", "predict/predictions.tsv"),
    *("predict/temperatures.tsv", "explain/selection.tsv", "explain/attributions.tsv"),
    *("explain/checks.tsv", "explain/stability.tsv"),
)
DOCUMENTS = (PLAN, "explain/summary.json", "preprocess/meta.json")
