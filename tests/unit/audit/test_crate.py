"""The bundle's RO-Crate: read by another library, and held against the bundle."""

import json
from pathlib import Path

import pytest
from forgeries import rehash, replace

from medvision.audit.crate import CRATE, build_crate
from medvision.audit.manifest import Entry, parse_manifest
from medvision.domain.record import Record

rocrate = pytest.importorskip("rocrate.rocrate")


def test_another_library_reads_each_file_and_each_step(bundle: Path) -> None:
    crate = rocrate.ROCrate(bundle)
    held = {entity.id for entity in crate.data_entities}
    manifest = parse_manifest((bundle / "manifest.json").read_bytes())
    assert held == {entry.path for entry in manifest.files} - {CRATE}
    actions = {entity["name"]: entity for entity in crate.get_by_type("CreateAction")}
    records = {
        path.parent.relative_to(bundle / "study").as_posix() for path in bundle.rglob("record.json")
    }
    assert set(actions) == records
    made = {part.id for part in actions["evaluate"]["result"]}
    assert "study/evaluate/metrics.json" in made
    read = {part.id for part in actions["evaluate"]["object"]}
    assert "study/predict/predictions.tsv" in read


def test_each_reference_of_the_crate_leads_somewhere(bundle: Path) -> None:
    graph = json.loads((bundle / CRATE).read_text())["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph)
    named = {
        part["@id"]
        for entity in graph
        for value in entity.values()
        for part in (value if isinstance(value, list) else [value])
        if isinstance(part, dict)
    }
    assert {name for name in named - known if not name.startswith("https://")} == set()


def test_a_crate_that_tells_another_story_is_found_when_the_manifest_fits(
    bundle: Path, verify
) -> None:
    replace(bundle / CRATE, '"name":"evaluate"', '"name":"elevate"')
    rehash(bundle)
    found = {check.name for check in verify(bundle).checks if check.status == "FAIL"}
    assert "crate" in found


def make_record(step: str, **sides: dict[str, str]) -> Record:
    held = {"reads": {}, "writes": {}, **sides}
    return Record(step, "1", {}, held["reads"], held["writes"], 0, "cpu", {}, {})


def test_the_order_of_files_and_records_changes_nothing() -> None:
    records = {
        "predict": make_record("predict", reads={"source:x": "0" * 64}, writes={"a": "1" * 64}),
        "train": make_record("train", writes={"b c": "2" * 64}),
    }
    files = [Entry("study/a", "1" * 64, 3), Entry("study/b c", "2" * 64, 4)]
    one = build_crate("1", files=files, referenced=[], records=records)
    back = dict(reversed(records.items()))
    two = build_crate("1", files=files[::-1], referenced=[], records=back)
    assert one == two
    assert b"study/b%20c" in one
