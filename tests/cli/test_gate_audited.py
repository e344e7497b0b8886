"""A gate's verdict held against its own tables: edits that fit one another are named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from planted_drawn import draw_new, gate, make_judged, plant_drawn, read_train
from synthetic_generators import copy_train

from medvision.audit.findings import Finding
from medvision.cli._recompute.gate import find_verdict_faults
from medvision.io.tables import read_table, write_table

STEP = "gate/fold-0"
TABLES = ("criteria.tsv", "images.tsv", "gate.json")


def judge(root: Path, made) -> Path:
    """Judge images with the real command; return the study's folder."""
    study = make_judged(root)
    plant_drawn(study, made)
    result = gate(study)
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    return root / "results"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open gate that refuses some images one by one; nothing in it is changed."""
    return judge(tmp_path_factory.mktemp("judged"), draw_new(48, seed=77))


@pytest.fixture
def own(judged: Path, tmp_path: Path) -> Path:
    """A copy of the gate's folder, to be edited."""
    (tmp_path / STEP).mkdir(parents=True)
    for name in TABLES:
        (tmp_path / STEP / name).write_bytes((judged / STEP / name).read_bytes())
    return tmp_path


def audit(root: Path) -> list[Finding]:
    return find_verdict_faults(lambda path: root / path, 0)


def change(root: Path, name: str, edit: Callable[[dict[str, str]], dict[str, str] | None]) -> None:
    """Give the first row for which `edit` returns cells these cells."""
    path = root / STEP / name
    rows = read_table(path)
    place, cells = next((n, cells) for n, row in enumerate(rows) if (cells := edit(row)))
    rows[place] = {**rows[place], **cells}
    write_table(path, rows, columns=list(rows[0]))


def count(root: Path, **more: int) -> None:
    path = root / STEP / "gate.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, **{name: held[name] + n for name, n in more.items()}}))


def accept(row: dict[str, str]) -> dict[str, str] | None:
    return {"accepted": "true", "reason": ""} if row["reason"] else None


def test_verdicts_of_real_gates_follow_from_their_tables(judged: Path, tmp_path: Path) -> None:
    assert audit(judged) == []
    study = make_judged(tmp_path / "read")
    copies = copy_train(read_train(study), n=48, alteration="flip")
    shut = judge(tmp_path / "shut", copies)
    assert json.loads((shut / STEP / "gate.json").read_text())["n_refused"] == 48
    assert audit(shut) == []


def test_an_accepted_copy_is_found_though_every_count_fits(own: Path) -> None:
    change(own, "images.tsv", accept)
    count(own, n_accepted=1, n_refused=-1)
    found = audit(own)
    assert {finding.where for finding in found} == {f"{STEP}/images.tsv"}
    assert all("images refused as copies in " in finding.thing for finding in found)


def test_an_accepted_copy_that_keeps_its_reason_is_found(own: Path) -> None:
    change(own, "images.tsv", lambda row: {"accepted": "true"} if row["reason"] else None)
    count(own, n_accepted=1)
    assert [finding.thing.partition(" of ")[0] for finding in audit(own)] == ["reason"]


def test_an_image_that_is_left_out_without_a_reason_is_found(own: Path) -> None:
    change(own, "images.tsv", lambda row: None if row["reason"] else {"accepted": "false"})
    count(own, n_accepted=-1)
    (finding,) = audit(own)
    assert "reason of synthetic_" in finding.thing


def test_a_share_of_copies_that_was_edited_alone_is_found(own: Path) -> None:
    change(
        own,
        "criteria.tsv",
        lambda row: {"value": "0.5"} if row["statistic"] == "share of copies" else None,
    )
    assert ["24 of 48" in str(finding) for finding in audit(own)] == [True]
