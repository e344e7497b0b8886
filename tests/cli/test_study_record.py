"""The study record fits its schema, which lets nothing be missing, and follows from its files."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from studies import EXPLAINED, write_study

from medvision.audit.canonical import write_rfc8785
from medvision.cli._study_record import (
    find_schema_faults,
    find_study_record_faults,
    hash_architecture,
    read_schema,
)
from medvision.report.study_record import STUDY_RECORD
from medvision.runtime.files import read_json


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
        (lambda r: r["provenance"].update(train="0" * 64), ""),
    ],
)
def test_what_does_not_follow_from_the_files_is_named(change, place: str, root: Path) -> None:
    record = read_json(root / STUDY_RECORD)
    change(record)
    (root / STUDY_RECORD).write_bytes(write_rfc8785(record, where="record"))
    if not place:
        with pytest.raises(FileNotFoundError):
            list_faults(root)
        return
    (found,) = {thing.partition(place)[1] for thing in list_faults(root)}
    assert found == place


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
