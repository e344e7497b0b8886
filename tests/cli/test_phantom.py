"""`medvision phantom`: files where the layout says, a record that closes, equal reruns."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from medvision.cli.main import main
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.files import hash_fast

SMALL = ("phantom.subjects=6", "phantom.size=[16, 16, 8]", "phantom.seed=3")


def _run(output: Path, *overrides: str) -> Result:
    settings = [f"output.path={output}", *SMALL, *overrides]
    options = [word for setting in settings for word in ("--set", setting)]
    return CliRunner().invoke(main, ["phantom", "--quiet", *options])


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one small cohort."""
    folder = tmp_path_factory.mktemp("phantom") / "results"
    result = _run(folder)
    assert result.exit_code == 0, result.output
    return folder


def test_record_holds_the_digest_of_every_table_mask_and_key(output: Path) -> None:
    record = json.loads(Layout(output).record("phantom").read_text())
    written = {path for path in (output / "phantom").rglob("*") if path.is_file()}
    written -= {Layout(output).record("phantom"), *Layout(output).archive.iterdir()}
    assert {output / path for path in record["writes"]} == written
    assert all(_hash(output / path) == digest for path, digest in record["writes"].items())
    assert record["seed"] == 3
    assert record["reads"] == {}


def test_listing_names_every_file_of_the_archive_with_its_digest(output: Path) -> None:
    rows = read_table(output / "phantom" / "archive.tsv", required=("file", "digest"))
    files = {path.name: hash_fast(path.read_bytes()) for path in Layout(output).archive.iterdir()}
    assert {row["file"]: row["digest"] for row in rows} == files
    assert [row["file"] for row in rows] == sorted(files)


def test_a_rerun_elsewhere_gives_the_same_record(output: Path, tmp_path: Path) -> None:
    assert _run(tmp_path / "elsewhere").exit_code == 0
    records = [Layout(folder).record("phantom") for folder in (output, tmp_path / "elsewhere")]
    assert records[0].read_bytes() == records[1].read_bytes()


def test_other_settings_replace_the_cohort_and_leave_nothing_of_it(tmp_path: Path) -> None:
    assert _run(tmp_path / "results").exit_code == 0
    assert _run(tmp_path / "results", "phantom.seed=4", "phantom.faults=false").exit_code == 0
    listed = read_table(tmp_path / "results" / "phantom" / "archive.tsv", required=("file",))
    files = {path.name for path in Layout(tmp_path / "results").archive.iterdir()}
    assert {row["file"] for row in listed} == files
    masks = {path.name for path in (tmp_path / "results" / "phantom" / "masks").iterdir()}
    rows = read_table(Layout(tmp_path / "results").phantom_labels, required=("mask",))
    assert {Path(row["mask"]).name for row in rows if row["mask"]} == masks


def test_an_output_path_that_is_a_file_ends_with_the_storage_exit_code(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    result = _run(tmp_path / "results")
    assert result.exit_code == 11
    assert "hint:" in result.output


def test_faults_without_dicom_end_with_the_config_exit_code(tmp_path: Path) -> None:
    result = _run(tmp_path / "results", "phantom.nifti_fraction=1.0")
    assert result.exit_code == 2
    assert "nifti_fraction" in result.output
    assert not Layout(tmp_path / "results").record("phantom").exists()


def test_help_shows_an_example() -> None:
    result = CliRunner().invoke(main, ["phantom", "--help"])
    assert result.exit_code == 0
    assert "medvision phantom --set" in result.output
