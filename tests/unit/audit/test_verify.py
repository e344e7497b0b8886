"""Every mutation of a bundle is found, by the check that the documentation names."""

import json
import random
import re
import shutil
from pathlib import Path

import pytest
from forgeries import FORGERIES, PREDICTIONS, flip, refit, rehash, replace
from studies import IMAGES

from medvision.audit.findings import Verification
from medvision.audit.manifest import parse_manifest
from medvision.errors import AuditError, ConfigError


def failed(result: Verification) -> set[str]:
    return {check.name for check in result.checks if check.status == "FAIL"}


def status(result: Verification, name: str) -> str:
    return next(check.status for check in result.checks if check.name == name)


def read_documented(checkout: Path) -> dict[str, set[str]]:
    page = (checkout / "docs" / "explanation" / "audit.md").read_text()
    table = page.partition("| mutation | found by |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, flags=re.MULTILINE)
    return {name: set(checks.split(", ")) for name, checks in rows if not name.startswith("-")}


def test_an_untouched_bundle_passes_every_check(bundle: Path, sealed: Path, keys, verify) -> None:
    result = verify(bundle, public_key=keys[1], study=sealed)
    assert {check.status for check in result.checks} == {"PASS"}


def test_the_documented_mutations_are_those_that_are_tested(checkout: Path) -> None:
    assert list(read_documented(checkout)) == list(FORGERIES)


@pytest.mark.parametrize("name", FORGERIES)
def test_each_mutation_is_found_where_the_documentation_says(
    name: str, bundle: Path, keys, verify, checkout: Path
) -> None:
    FORGERIES[name](bundle)
    found = failed(verify(bundle, public_key=keys[1]))
    documented = read_documented(checkout)[name]
    assert documented <= found
    if documented == {"signature"}:
        assert found == {"signature"}, "the page says that the signature stands alone"


HASHED = [name for name in FORGERIES if "made to fit" not in name and "listed" not in name]


@pytest.mark.parametrize("name", HASHED)
def test_what_was_not_made_to_fit_is_found_at_level_0(name, bundle: Path, keys, verify) -> None:
    FORGERIES[name](bundle)
    result = verify(bundle, public_key=keys[1], level=0)
    assert failed(result)
    asked = {check.level for check in result.checks if check.status != "NOT CHECKED"}
    assert asked == {0}


def test_level_0_leaves_open_what_needs_tables_and_says_so(bundle: Path, keys, verify) -> None:
    result = verify(bundle, public_key=keys[1], level=0)
    assert result.passed
    notes = {c.name: c.note for c in result.checks if c.status == "NOT CHECKED" and c.level == 1}
    assert set(notes.values()) == {"asked from --level 1 on"}
    assert "statistics" in notes


def test_a_flip_of_any_bit_anywhere_is_found(bundle: Path, keys, verify) -> None:
    draw = random.Random(5)
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    for path in [*files, *draw.choices(files, k=40)]:
        content = path.read_bytes()
        offset = draw.randrange(len(content))
        changed = bytearray(content)
        changed[offset] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(changed))
        assert not verify(bundle, public_key=keys[1]).passed, (path, offset)
        path.write_bytes(content)
    assert verify(bundle, public_key=keys[1]).passed


@pytest.mark.parametrize("offset", range(-6, 0))
def test_the_last_bytes_of_a_signature_cannot_be_respelt(
    offset: int, bundle: Path, keys, verify
) -> None:
    path = bundle / "signature.json"
    value = json.loads(path.read_text())
    start = path.read_text().index(value["signature"]) + len(value["signature"])
    flip(path, start + offset)
    assert "signature" in failed(verify(bundle, public_key=keys[1]))


@pytest.mark.parametrize("path", ["manifest.json", "graph.json", "config.json", "README.txt"])
def test_each_file_of_the_bundles_own_is_missed(path: str, bundle: Path, verify) -> None:
    (bundle / path).unlink()
    assert not verify(bundle).passed


def test_an_absent_signature_is_said_and_does_not_fail_by_itself(bundle: Path, verify) -> None:
    (bundle / "signature.json").unlink()
    result = verify(bundle)
    assert result.passed
    assert status(result, "signature") == "NOT CHECKED"


def test_a_signature_without_a_trusted_key_is_not_called_checked(bundle: Path, verify) -> None:
    assert status(verify(bundle), "signature") == "NOT CHECKED"


def test_a_signature_of_another_manifest_fails_without_any_key(bundle: Path, verify) -> None:
    replace(bundle / "study/report/report.html", "research", "clinical")
    refit(bundle)
    assert failed(verify(bundle)) == {"signature"}


def test_another_key_than_the_one_named_in_the_bundle_fails(bundle: Path, keys, verify) -> None:
    # The value stays valid for the trusted key; the name of the signer is forged.
    path, own = bundle / "signature.json", bundle / "own.json"
    shutil.copy(path, own)
    FORGERIES["signed again with another key"](bundle)
    forged, held = json.loads(path.read_text()), json.loads(own.read_text())
    own.unlink()
    forged["signature"] = held["signature"]
    path.write_text(json.dumps(forged, sort_keys=True, separators=(",", ":")))
    assert failed(verify(bundle, public_key=keys[1])) == {"signature"}


def test_a_file_that_is_no_key_is_the_callers_fault(bundle: Path, verify) -> None:
    with pytest.raises(ConfigError, match="public key must be Ed25519"):
        verify(bundle, public_key=bundle / "README.txt")


def test_a_changed_image_is_found_in_the_output_folder(
    bundle: Path, sealed: Path, tmp_path: Path, verify
) -> None:
    study = Path(shutil.copytree(sealed, tmp_path / "study"))
    flip(study / "ingest" / "images" / f"{IMAGES[2]}.nii.gz")
    (study / "preprocess" / "arrays-1-of-1.npy").unlink()
    result = verify(bundle, study=study)
    assert failed(result) == {"study"}
    check = next(check for check in result.checks if check.name == "study")
    assert {f.where for f in check.findings} == {
        f"ingest/images/{IMAGES[2]}.nii.gz",
        "preprocess/arrays-1-of-1.npy",
    }


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, verify) -> None:
    with pytest.raises(AuditError, match="bundle must be a folder"):
        verify(tmp_path / "none")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":1,"a":2}',
        b'{"format":"medvision-bundle/2"}',
    ],
    ids=["empty", "list", "null", "not UTF-8", "deep", "twice", "another format"],
)
def test_a_malformed_manifest_is_a_finding_and_no_crash(
    content: bytes, bundle: Path, verify
) -> None:
    (bundle / "manifest.json").write_bytes(content)
    assert failed(verify(bundle)) == {"manifest"}


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"step": 1}', "[" * 100_000, "\x00"])
@pytest.mark.parametrize(
    "path",
    [
        "study/evaluate/record.json",
        "study/evaluate/metrics.json",
        "study/cohort/summary.json",
        "graph.json",
        "config.json",
        PREDICTIONS,
        "study/explain/attributions.tsv",
        "study/explain/selection.tsv",
    ],
)
def test_a_listed_file_of_any_content_is_a_finding_and_no_crash(
    path: str, content: str, bundle: Path, verify
) -> None:
    (bundle / path).write_text(content)
    rehash(bundle)
    assert not verify(bundle).passed


def test_a_cell_too_long_for_a_table_is_a_finding_and_no_crash(bundle: Path, verify) -> None:
    with (bundle / PREDICTIONS).open("a") as stream:
        stream.write("x" * 200_000 + "\n")
    rehash(bundle)
    assert "tables" in failed(verify(bundle))


def test_a_folder_behind_a_link_is_neither_entered_nor_read(
    bundle: Path, tmp_path: Path, verify
) -> None:
    (bundle / "study" / "report").rename(tmp_path / "report")
    (bundle / "study" / "report").symlink_to(tmp_path / "report")
    found = failed(verify(bundle))
    assert {"folder", "files"} <= found


def test_a_special_file_is_refused_and_never_opened(bundle: Path, verify) -> None:
    import os

    path = bundle / "study" / "report" / "report.html"
    path.unlink()
    os.mkfifo(path)
    assert {"folder", "files"} <= failed(verify(bundle))


def test_names_that_drive_a_terminal_are_shown_harmless(bundle: Path, verify) -> None:
    (bundle / "\x1b[2Jgone").write_text("")
    result = verify(bundle)
    text = "\n".join(str(f) for check in result.checks for f in check.findings)
    assert "\x1b" not in text
    assert "\\x1b[2Jgone" in text
    assert "\x1b" not in json.dumps(result.as_dict(), ensure_ascii=False)


def test_weights_are_never_unpickled(bundle: Path, verify, monkeypatch) -> None:
    import pickle

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a bundle's bytes were unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    model = bundle / "study/train/transfer/fold-0/seed-0/model.safetensors"
    model.write_bytes(b"cos\nsystem\n(S'touch " + str(bundle / "ran").encode() + b"'\ntR.")
    refit(bundle)
    verify(bundle)
    assert not (bundle / "ran").exists()


def test_the_root_digest_is_that_of_the_manifest(bundle: Path, verify) -> None:
    manifest = parse_manifest((bundle / "manifest.json").read_bytes())
    assert verify(bundle).root_digest == manifest.root_digest
