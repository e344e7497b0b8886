"""The study record fits its schema, which lets nothing be missing, and follows from its files."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from studies import BASELINE, EXPLAINED, MACHINE, seal_study, write_study

from medvision.audit.canonical import write_rfc8785
from medvision.cli._report.study_record import (
    find_schema_faults,
    find_study_record_faults,
    gather_record,
    hash_architecture,
    read_schema,
)
from medvision.errors import AuditError
from medvision.io.tables import read_table
from medvision.report.study_inputs import STUDY_RECORD
from medvision.runtime.files import read_json, write_json


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recorded") / "results"
    write_study(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "results"))


def list_faults(root: Path) -> list[str]:
    return [finding.thing for finding in find_study_record_faults(lambda path: root / path)]


def walk(value: object) -> Iterator[dict]:
    """Yield every object of a JSON value."""
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield value
    for item in held:
        yield from walk(item)


def test_the_schema_is_one_and_requires_every_key_it_knows() -> None:
    schema = read_schema()
    Draft202012Validator.check_schema(schema)
    closed = [part for part in walk(schema) if isinstance(part.get("properties"), dict)]
    assert len(closed) > 10
    for part in closed:
        assert part["required"] == sorted(part["properties"])
        assert part["additionalProperties"] is False


def test_a_record_fits_the_schema_and_its_files(made: Path) -> None:
    record = read_json(made / STUDY_RECORD)
    assert find_schema_faults(record) == []
    assert list_faults(made) == []
    assert [case["image_id"] for case in record["cases"]] == list(EXPLAINED)
    assert record["selection"]["planned"]["eligible"] == 6


def test_no_null_is_without_its_reason(made: Path) -> None:
    nulls = [part for part in walk(read_json(made / STUDY_RECORD)) if None in part.values()]
    told = [part for part in nulls if set(part) == {"value", "reason"} and part["reason"]]
    assert told
    assert nulls == told


def test_a_missing_key_a_further_key_and_a_bare_null_break_the_schema(made: Path) -> None:
    record = read_json(made / STUDY_RECORD)
    for change in (
        lambda r: r.pop("limits"),
        lambda r: r.update(comment="x"),
        lambda r: r["cases"][0].pop("checks"),
        lambda r: r["cases"][0].update(label=None),
        lambda r: r["cases"][0].update(label={"value": None, "reason": ""}),
        lambda r: r["plan"].update(sha256="0"),
    ):
        spoilt = copy.deepcopy(record)
        change(spoilt)
        assert find_schema_faults(spoilt), change


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: r["cases"][0]["prediction"].update(predicted="x"), "cases[0].prediction"),
        (lambda r: r["cases"][1]["source"]["affine"][0].__setitem__(3, 1), "cases[1].source"),
        (lambda r: r["cases"].pop(), "cases"),
        (lambda r: r["plan"].update(sha256="0" * 64), "plan.sha256"),
        (lambda r: r["provenance"].update(train="0" * 64), "provenance.train"),
        (lambda r: r["provenance"].update(ingest="0" * 64), "provenance.ingest"),
        (lambda r: r["provenance"].pop("ingest"), "provenance.ingest"),
        (
            lambda r: r["cases"][0]["prediction"]["thresholds"][0].update(value=0.25),
            "cases[0].prediction.thresholds[0].value",
        ),
        (
            lambda r: r["cases"][0]["explanations"][0].update(baseline_sha256="0" * 64),
            "cases[0].explanations[0].baseline_sha256",
        ),
        (lambda r: r["determinism"].update({"class": "D1"}), "determinism.class"),
        (lambda r: r["determinism"]["machine"].update(threads=2), "determinism.machine"),
    ],
)
def test_what_does_not_follow_from_the_files_is_named(change, place: str, root: Path) -> None:
    record = read_json(root / STUDY_RECORD)
    change(record)
    (root / STUDY_RECORD).write_bytes(write_rfc8785(record, where="record"))
    (found,) = {thing.partition(place)[1] for thing in list_faults(root)}
    assert found == place


def test_what_the_pipeline_knows_is_no_null(made: Path) -> None:
    record = read_json(made / STUDY_RECORD)
    (point,) = record["cases"][0]["prediction"]["thresholds"]
    rows = read_table(made / "evaluate/thresholds.tsv")
    case = next(iter(read_table(made / "explain/selection.tsv")))
    place = ("arm", "fold", "seed")
    (row,) = [row for row in rows if all(row[name] == case[name] for name in place)]
    assert point["called"] == "positive"
    assert point["value"] == pytest.approx(float(row["threshold"]))
    assert point["rule"] == row["rule"]
    assert record["determinism"]["class"] == "D0"
    assert record["determinism"]["machine"] == MACHINE
    told = {
        (each["method"], str(each["baseline_sha256"]))
        for case in record["cases"]
        for each in case["explanations"]
    }
    assert told == {
        ("integrated_gradients", BASELINE),
        ("occlusion", str({"reason": "the method measures against no baseline", "value": None})),
    }


@pytest.mark.parametrize(
    ("device", "facts", "told"),
    [
        ("cpu", {"machine": {"threads": 1}}, "D0"),
        ("cpu", {}, "D1"),
        ("NVIDIA H100", {"machine": {"threads": 1}}, "made on a GPU"),
    ],
)
def test_the_determinism_is_that_of_what_ran(device: str, facts, told: str, root: Path) -> None:
    path = root / "explain/record.json"
    write_json(path, read_json(path) | {"device": device, "facts": facts})
    record, _ = gather_record(root, {})
    assert not find_schema_faults(record)
    said = record["determinism"]
    assert told in (said.get("class") or said["reason"])


def test_without_an_operating_point_the_reason_is_said(root: Path) -> None:
    path = root / "evaluate/metrics.json"
    metrics = read_json(path)
    for arm in metrics["arms"].values():
        arm["thresholds"] = []
    write_json(path, metrics)
    record, _ = gather_record(root, {})
    assert not find_schema_faults(record)
    assert "no operating point" in record["cases"][0]["prediction"]["thresholds"]["reason"]


def test_each_finding_has_an_operating_point_of_its_own(root: Path) -> None:
    path = root / "evaluate/metrics.json"
    metrics = read_json(path)
    write_json(path, {"arms": {}, "findings": {"effusion": metrics, "nodule": metrics}})
    record, _ = gather_record(root, {})
    assert not find_schema_faults(record)
    points = record["cases"][0]["prediction"]["thresholds"]
    assert [point["called"] for point in points] == ["effusion", "nodule"]


def test_a_step_that_ran_after_the_report_is_told_before_it_is_sealed(root: Path) -> None:
    path = root / "pretrain/record.json"
    write_json(path, read_json(path) | {"facts": {"seconds": 1}})
    with pytest.raises(AuditError, match=r"provenance\.pretrain"):
        seal_study(root)


def test_the_architecture_is_told_from_the_weights(made: Path, tmp_path: Path) -> None:
    path = next(made.rglob("model.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    other = tmp_path / "weights"
    other.write_bytes(bytes(content))
    assert hash_architecture(other) == hash_architecture(path)
    other.write_bytes(path.read_bytes().replace(b"[1]", b"[2]"))
    assert hash_architecture(other) != hash_architecture(path)
    assert json.loads((made / STUDY_RECORD).read_text())["cases"][0]["model"]["path"]
