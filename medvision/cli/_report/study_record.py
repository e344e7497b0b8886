"""The record of a study's explanations: gathered for the report, and held to its sources."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from medvision.audit.canonical import read_rfc8785, write_canonical, write_rfc8785
from medvision.audit.findings import Finding
from medvision.audit.graph import find_record_paths, parse_record
from medvision.cli._run import Step
from medvision.domain.explanation.plan import PLAN
from medvision.domain.record import JsonValue, Record
from medvision.errors import WeightsError
from medvision.io.tables import read_table
from medvision.report.study_inputs import DOCUMENTS, STUDY_RECORD, TABLES, StudyInputs
from medvision.report.study_record import build_study_record
from medvision.runtime.files import hash_bytes, hash_file, read_json, write_bytes

_LATER = ("report", "audit")
_HEADER_LENGTH = 8

Find = Callable[[str], Path]
"""Return where a file of the study lies, by its path below the output folder."""


def gather_record(root: Path, pictures: Mapping[str, bytes]) -> tuple[JsonValue, list[str]]:
    """Return the record of a study's explanations, and the files that it was made of.

    Args:
        root: Output folder.
        pictures: Name of a figure of the report to its bytes.

    Returns:
        (record, paths below the output folder).

    Raises:
        MedvisionError: A file is missing or cannot be read.
    """
    drawn = {f"report/figures/{name}": hash_bytes(png) for name, png in pictures.items()}
    inputs = _read_inputs(lambda path: root / path, _list_earlier(root), drawn)
    return build_study_record(inputs), [*TABLES, *DOCUMENTS, *inputs.architectures]


def write_study_record(step: Step, pictures: Mapping[str, bytes]) -> None:
    """Write what was planned, explained and found, in its one spelling; nothing without maps.

    Args:
        step: The step that reports; what is read is registered with it.
        pictures: Name of a figure of the report to its bytes.
    """
    if not {"plan", "explain"} <= set(step.upstream):
        return
    root = step.layout.root
    record, paths = gather_record(root, pictures)
    for path in paths:
        step.read(root / path)
    write_bytes(step.write(root / STUDY_RECORD), write_rfc8785(record, where=STUDY_RECORD))


def find_study_record_faults(find: Find) -> list[Finding]:
    """Hold the record to its schema, and make it again from the files in a bundle.

    Args:
        find: Returns where a file of the study lies in the bundle.

    Returns:
        Where it breaks the schema, and each place in which it does not follow from the files.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError: A table or a row is missing.
    """
    held = read_rfc8785(find(STUDY_RECORD).read_bytes(), where=STUDY_RECORD)
    findings = find_schema_faults(held)
    if findings:
        return findings
    path = find("report/record.json")
    report = parse_record(path.read_bytes(), path="report/record.json")
    drawn = {p: d for p, d in report.writes.items() if p.startswith("report/figures/")}
    wanted = build_study_record(_read_inputs(find, _list_earlier(path.parents[1]), drawn))
    return [
        Finding(STUDY_RECORD, place, "as the files in the bundle have it", "another value")
        for place in _find_differences("", wanted, held)
    ]


def find_stale_record(root: Path) -> list[Finding]:
    """Return where a record is not of the files beside it, such as of a step that ran after it.

    Args:
        root: Output folder; where nothing was explained there is no record, and no fault.
    """
    held = (root / STUDY_RECORD).is_file()
    return find_study_record_faults(lambda path: root / path) if held else []


def find_schema_faults(record: JsonValue) -> list[Finding]:
    """Return where a record breaks the published schema; values are not shown."""
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(read_schema()).iter_errors(record)
    return [
        Finding(STUDY_RECORD, error.json_path, "as study.schema.json says", str(error.validator))
        for error in errors
    ]


def read_schema() -> dict[str, Any]:
    """Return the published JSON Schema of the record."""
    path = files("medvision.report").joinpath("schemas", "study.schema.json")
    return cast(dict[str, Any], json.loads(path.read_text("utf-8")))


def _list_earlier(root: Path) -> list[str]:
    """Return the steps that have a record and come before the report."""
    steps = [path.rpartition("/")[0] for path in find_record_paths(root)]
    return [step for step in steps if step not in _LATER]


def _read_inputs(find: Find, steps: list[str], drawn: Mapping[str, str]) -> StudyInputs:
    """Read what the record is made of."""
    records = {step: _read_record(find, step) for step in steps}
    digests = {path: sha for record in records.values() for path, sha in record.writes.items()}
    plan = cast(dict[str, Any], read_json(find(PLAN)))
    return StudyInputs(
        tables={path: read_table(find(path)) for path in TABLES},
        documents={path: cast(dict[str, JsonValue], read_json(find(path))) for path in DOCUMENTS},
        records={"explain": records["explain"].as_dict()},
        provenance={step: hash_file(find(f"{step}/record.json")) for step in steps},
        digests={**digests, **drawn},
        architectures={path: hash_architecture(find(path)) for path in plan["models"]},
    )


def hash_architecture(path: Path) -> str:
    """Return the sha256 of the names, kinds and shapes of a model's tensors, and of its meta.

    Args:
        path: A safetensors file, of which the header alone is read.

    Raises:
        WeightsError: It is no such file.
        ValueError: Its header is no JSON.
    """
    with path.open("rb") as stream:
        n_bytes = int.from_bytes(stream.read(_HEADER_LENGTH), "little")
        if n_bytes > path.stat().st_size:
            raise WeightsError(f"{path.name}: file must be safetensors, got another kind.")
        header = json.loads(stream.read(n_bytes))
    kept: dict[str, JsonValue] = {
        name: {key: value for key, value in held.items() if key != "data_offsets"}
        for name, held in header.items()
    }
    return hash_bytes(write_canonical(kept))


def _read_record(find: Find, step: str) -> Record:
    """Read one step's record."""
    path = f"{step}/record.json"
    return parse_record(find(path).read_bytes(), path=path)


def _find_differences(place: str, wanted: JsonValue, held: JsonValue) -> list[str]:
    """Name the places in which two JSON values differ."""
    if isinstance(wanted, dict) and isinstance(held, dict):
        names = sorted({*wanted, *held})
        return [
            found
            for name in names
            for found in _find_differences(f"{place}.{name}", wanted.get(name), held.get(name))
        ]
    if isinstance(wanted, list) and isinstance(held, list) and len(wanted) == len(held):
        return [
            found
            for n, (one, other) in enumerate(zip(wanted, held, strict=True))
            for found in _find_differences(f"{place}[{n}]", one, other)
        ]
    return [] if wanted == held else [place.removeprefix(".") or "content"]
