"""What the record of a study tells of the network: which one, what it said, and what it ran on."""

from typing import Any, cast

from medvision.domain.record import JsonValue
from medvision.report.sources import Row, parse_number
from medvision.report.study_inputs import METRICS, StudyInputs, Table, know

_CLAIMS = {
    "D0": "equal bits where processor, instructions, threads and software are these",
    "D1": "within the tolerance of a recomputation on any CPU: the record does not say on which",
}
_NO_THRESHOLD = "no operating point was fixed: the class is the most probable one, or a value"
_ON_GPU = "made on a GPU, whose kernels need not repeat their last bits: none was measured"


def describe_determinism(explain: Table) -> JsonValue:
    """Return the class of what ran: by the device, and by the machine that the step recorded.

    Args:
        explain: Record of the step explain.
    """
    facts = explain.get("facts")
    machine = facts.get("machine") if isinstance(facts, dict) else None
    if explain["device"] != "cpu":
        return know(None, _ON_GPU)
    name = "D0" if machine else "D1"
    return {
        "class": name,
        "claim": _CLAIMS[name],
        "machine": know(machine, "the record of explain names none"),
    }


def describe_model(inputs: StudyInputs, case: Row) -> JsonValue:
    """Return which network was explained.

    Args:
        inputs: What the record is made of.
        case: Row of the selection.

    Raises:
        LookupError: No record wrote its weights.
    """
    path = f"train/{case['arm']}/fold-{case['fold']}/seed-{case['seed']}/model.safetensors"
    return {
        "path": path,
        "weights_sha256": inputs.digests[path],
        "architecture_sha256": inputs.architectures[path],
    }


def describe_prediction(inputs: StudyInputs, case: Row) -> JsonValue:
    """Return what the network said of the image.

    Args:
        inputs: What the record is made of.
        case: Row of the selection.

    Raises:
        LookupError: A column is missing.
        ValueError: The image has not one test prediction of that network.
    """
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
        "logits": know(logits or None, "the prediction is a value, not a class"),
        "probabilities": know(
            _gather(row, "probability_") or None, "the prediction is a value, not a class"
        ),
        "temperatures": know(dict(temperatures) or None, "no temperature was fitted"),
        "thresholds": _describe_thresholds(inputs, case),
    }


def _describe_thresholds(inputs: StudyInputs, case: Row) -> JsonValue:
    """Return the operating points of a network: what it calls positive, fixed on validation."""
    metrics = cast(dict[str, Any], inputs.documents[METRICS])
    parts = metrics.get("findings") or {metrics.get("positive"): metrics}
    points: list[JsonValue] = [
        {"called": called, "value": point["threshold"], "rule": point["rule"]}
        for called, part in parts.items()
        for point in part["arms"][case["arm"]].get("thresholds", [])
        if (str(point["fold"]), str(point["seed"])) == (case["fold"], case["seed"])
    ]
    return know(points or None, _NO_THRESHOLD)


def _gather(row: Row, prefix: str) -> dict[str, JsonValue]:
    """Return the numbers of the columns with a prefix."""
    return {
        name.removeprefix(prefix): know(parse_number(text), "the cell is empty")
        for name, text in row.items()
        if name.startswith(prefix)
    }
