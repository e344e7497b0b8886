"""`medvision audit` says what it found, and its exit code says the verdict."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from forgeries import flip
from studies import configure, write_study

from medvision.cli.main import main
from medvision.errors import AuditError, ConfigError, StorageError
from medvision.io.tables import Row, read_table


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audit-command") / "results"
    write_study(root)
    return root


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["audit", *(str(word) for word in words)])


def seal(root: Path, *overrides: str) -> Result:
    return run("seal", "--config", configure(root, *overrides).model_dump_json())


def test_a_run_is_sealed_signed_and_verified(study: Path, tmp_path: Path) -> None:
    key = tmp_path / "auditor.pem"
    assert run("keygen", key).exit_code == 0
    sealed = seal(study, f"audit.signing_key={key}")
    assert sealed.exit_code == 0
    public, verdict = tmp_path / "auditor.pub.pem", tmp_path / "verdict.json"
    result = run(
        *("verify", study / "audit/bundle", "--public-key", public, "--study", study),
        *("--json", verdict, "--level", 1),
    )
    assert result.exit_code == 0, result.output
    assert "FAIL" not in result.output
    assert "not a medical device" in result.output.lower()
    value = json.loads(verdict.read_text())
    assert value["verdict"] == "PASS"
    assert value["root_digest"] in sealed.output
    unasked = {check["name"] for check in value["checks"] if check["status"] != "PASS"}
    assert unasked <= {"timestamp", "pictures"}, "no authority, no picture was asked for"


def test_the_questions_of_one_story_read_each_table_once(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(study)
    seen: Counter[Path] = Counter()

    def count(path: Path) -> list[Row]:
        seen[path] += 1
        return read_table(path)

    monkeypatch.setattr("medvision.cli.audit.read_table", count)
    assert run("verify", study / "audit/bundle", "--level", 1).exit_code == 0
    assert seen[study / "audit/bundle/study/predict/predictions.tsv"] == 1
    assert set(seen.values()) == {1}


def test_a_folder_without_a_workflow_is_refused_and_nothing_sealed(
    study: Path, tmp_path: Path
) -> None:
    shutil.rmtree(study / "audit", ignore_errors=True)
    config = configure(study).model_dump_json()
    result = run("seal", "--config", config, "--workflow", tmp_path)
    assert result.exit_code == ConfigError.exit_code
    assert "must hold a Snakefile" in result.output
    assert not (study / "audit/bundle").exists()


def test_a_tampered_bundle_exits_with_10_and_names_the_file(study: Path, tmp_path: Path) -> None:
    assert seal(study).exit_code == 0
    bundle = Path(shutil.copytree(study / "audit/bundle", tmp_path / "bundle"))
    flip(bundle / "study/report/report.html")
    (bundle / "study/[red]note").write_text("")
    result = run("verify", bundle, "--json", tmp_path / "verdict.json", "--level", 1)
    assert result.exit_code == AuditError.exit_code == 10
    assert "FAIL files: study/report/report.html: sha256 must be" in result.output
    assert "FAIL extra: study/[red]note: file must be listed" in result.output
    assert "2 failed: files, extra" in result.output
    assert json.loads((tmp_path / "verdict.json").read_text())["verdict"] == "FAIL"


def test_many_faults_are_counted_and_not_all_listed(study: Path, tmp_path: Path) -> None:
    assert seal(study).exit_code == 0
    bundle = Path(shutil.copytree(study / "audit/bundle", tmp_path / "bundle"))
    for n in range(25):
        (bundle / f"note-{n:02}").write_text("")
    result = run("verify", bundle)
    assert result.output.count("FAIL extra: note-") == 10
    assert "FAIL extra: 15 more, all in --json FILE." in result.output


def test_a_quiet_verification_speaks_by_its_exit_code(study: Path) -> None:
    assert seal(study).exit_code == 0
    result = run("verify", study / "audit/bundle", "--quiet", "--level", 1)
    assert (result.exit_code, result.output) == (0, "")


def test_sealing_an_incomplete_run_exits_with_10_and_a_hint(tmp_path: Path) -> None:
    result = seal(tmp_path / "empty")
    assert result.exit_code == AuditError.exit_code
    assert "step phantom: phantom/record.json must be present" in result.output
    assert "... and" in result.output
    assert "hint: run the workflow again" in result.output


def test_a_key_is_not_overwritten(tmp_path: Path) -> None:
    assert run("keygen", tmp_path / "a.pem").exit_code == 0
    before = (tmp_path / "a.pem").read_bytes()
    assert run("keygen", tmp_path / "a.pem").exit_code == StorageError.exit_code
    assert (tmp_path / "a.pem").read_bytes() == before


@pytest.mark.parametrize("command", ["seal", "verify", "keygen"])
def test_help_shows_an_example(command: str) -> None:
    assert f"medvision audit {command}" in run(command, "--help").output.partition("Example")[2]


def test_verifying_imports_no_network_library_and_nothing_that_reads_dicom(
    study: Path, tmp_path: Path
) -> None:
    assert seal(study).exit_code == 0
    code = (
        "import sys\n"
        "from medvision.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'monai', 'pydicom', 'captum', 'matplotlib', 'snakemake'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    words = [sys.executable, "-c", code, "audit", "verify", str(study / "audit/bundle")]
    words += ["--level", "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
