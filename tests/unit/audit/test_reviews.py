"""Decisions are appended, signed and chained; one changed or removed before the last is found."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from medvision.audit.findings import Verification
from medvision.cli.main import main


def decide(bundle: Path, key: Path, *, decision: str = "accept", why: str = "maps fit") -> Result:
    words = ["--decision", decision, "--rationale", why, "--key", str(key), "--reviewer", "reader"]
    return CliRunner().invoke(main, ["audit", "review", str(bundle), *words])


def failed(result: Verification) -> set[str]:
    return {check.name for check in result.checks if check.status == "FAIL"}


def fill(bundle: Path, key: Path) -> list[Path]:
    for decision in ("reject", "revise", "accept"):
        assert decide(bundle, key, decision=decision).exit_code == 0
    return sorted((bundle / "reviews").iterdir())


def test_decisions_are_appended_and_shown_and_break_no_seal(bundle, keys, verify) -> None:
    paths = fill(bundle, keys[0])
    assert [path.name for path in paths] == ["0001.json", "0002.json", "0003.json"]
    result = verify(bundle, public_key=keys[1])
    assert failed(result) == set()
    note = next(check.note for check in result.checks if check.name == "reviews")
    assert "1: reject (reader" in note
    assert "3: accept (reader" in note


def test_a_changed_decision_is_found_and_nothing_is_added_to_it(bundle, keys, verify) -> None:
    paths = fill(bundle, keys[0])
    paths[0].write_text(paths[0].read_text().replace('"reject"', '"accept"'))
    assert failed(verify(bundle)) == {"reviews"}
    done = decide(bundle, keys[0])
    assert done.exit_code == 10
    assert len(list((bundle / "reviews").iterdir())) == 3


def test_a_decision_removed_before_the_last_is_found(bundle, keys, verify) -> None:
    paths = fill(bundle, keys[0])
    paths[1].unlink()
    assert failed(verify(bundle)) == {"reviews"}
    paths[2].rename(paths[1])
    assert failed(verify(bundle)) == {"reviews"}, "renumbered"


def test_a_decision_on_another_bundle_is_found(bundle, keys, verify) -> None:
    (path, *_) = fill(bundle, keys[0])
    value = json.loads(path.read_text())
    assert value["review"]["root_digest"] == verify(bundle).root_digest
    value["review"]["root_digest"] = "0" * 64
    path.write_text(json.dumps(value, sort_keys=True, separators=(",", ":")))
    assert failed(verify(bundle)) == {"reviews"}


def test_other_files_in_the_folder_are_extra(bundle, verify) -> None:
    (bundle / "reviews").mkdir()
    (bundle / "reviews/notes.txt").write_text("x")
    assert failed(verify(bundle)) == {"extra"}


def test_a_decision_without_a_reason_is_refused(bundle, keys) -> None:
    done = decide(bundle, keys[0], why=" ")
    assert done.exit_code == 2
    assert "text must say why" in done.output
