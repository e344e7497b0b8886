"""`medvision init`: a folder that Snakemake and every command accept, never overwritten unasked."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from medvision.cli.main import main
from medvision.config.model import load_study


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments):
    return CliRunner().invoke(main, ["init", *map(str, arguments)])


def make_inputs(home, *, name="scan.nii.gz"):
    (home / "data in").mkdir()
    (home / "data in" / name).write_bytes(b"")
    (home / "labels.csv").write_text("subject,label\na,x\n")
    return home / "data in", home / "labels.csv"


def test_folder_is_complete_and_its_config_is_valid(home):
    result = init("my-study")
    assert result.exit_code == 0, result.output
    names = {str(p.relative_to(home / "my-study")) for p in (home / "my-study").rglob("*.*")}
    assert names == {"config/config.yaml", "README.md", "labels.csv"}
    assert (home / "my-study" / "Snakefile").is_file()
    study = load_study(home / "my-study" / "config" / "config.yaml")
    assert study.data.kind == "dicom"
    assert study.model.weights == "none"
    assert "put the images into images/" in result.output


def test_given_paths_are_found_from_inside_the_study(home, monkeypatch):
    make_inputs(home)
    assert init("my-study", "--data", "data in", "--labels", "labels.csv").exit_code == 0
    monkeypatch.chdir(home / "my-study")
    study = load_study("config/config.yaml")
    assert study.data.path == home / "data in"
    assert study.data.labels == home / "labels.csv"
    assert not (home / "my-study" / "labels.csv").exists()


def test_paths_inside_the_study_stay_relative_so_that_it_can_be_moved(home):
    (home / "my-study" / "scans").mkdir(parents=True)
    assert init("my-study", "--data", "my-study/scans").exit_code == 0
    values = yaml.safe_load((home / "my-study" / "config" / "config.yaml").read_text())
    assert values["data"]["path"] == "scans"


@pytest.mark.parametrize(
    ("name", "kind"), [("a.nii.gz", "nifti"), ("a.nii", "nifti"), ("a", "dicom")]
)
def test_kind_is_told_by_the_files(home, name, kind):
    data, labels = make_inputs(home, name=name)
    assert init("s", "--data", data, "--labels", labels).exit_code == 0
    assert load_study(home / "s" / "config" / "config.yaml").data.kind == kind


def test_kind_given_wins(home):
    data, labels = make_inputs(home)
    init("s", "--data", data, "--labels", labels, "--kind", "dicom")
    assert load_study(home / "s" / "config" / "config.yaml").data.kind == "dicom"


def test_config_holds_only_what_a_user_changes_and_says_why(home):
    init("s")
    text = (home / "s" / "config" / "config.yaml").read_text()
    assert len(text.splitlines()) < 60
    for word in ("Hounsfield", "MR", "radiographs"):
        assert word in text


def test_names_with_quotes_and_colons_are_kept(home):
    init('it\'s: a "study"')
    study = load_study(home / 'it\'s: a "study"' / "config" / "config.yaml")
    assert study.report.title == 'it\'s: a "study"'


def test_second_init_overwrites_nothing(home):
    init("s")
    config = home / "s" / "config" / "config.yaml"
    config.write_text("data: {}\n")
    result = init("s")
    assert result.exit_code == 2
    assert "must not hold config/config.yaml yet" in result.output
    assert "--force" in result.output
    assert config.read_text() == "data: {}\n"


def test_force_overwrites(home):
    init("s")
    config = home / "s" / "config" / "config.yaml"
    config.write_text("data: {}\n")
    assert init("s", "--force").exit_code == 0
    assert "kind: dicom" in config.read_text()


@pytest.mark.parametrize("option", ["--data", "--labels"])
def test_missing_input_is_told_before_anything_is_written(home, option):
    result = init("s", option, "nowhere")
    assert result.exit_code == 2
    assert f"{option}: path must be" in result.output
    assert not (home / "s").exists()


def test_labels_file_that_lies_in_the_study_is_never_overwritten(home):
    (home / "s").mkdir()
    (home / "s" / "labels.csv").write_text("subject,label\na,x\n")
    assert init("s", "--labels", "s/labels.csv", "--force").exit_code == 0
    assert (home / "s" / "labels.csv").read_text() == "subject,label\na,x\n"
    assert load_study(home / "s" / "config" / "config.yaml").data.labels == Path("labels.csv")


def test_unwritable_place_is_told(home):
    (home / "file").write_text("")
    result = init("file/study")
    assert result.exit_code == 11
    assert "must be writable" in result.output


def test_snakemake_plans_the_whole_run(home):
    data, labels = make_inputs(home)
    init("s", "--data", data, "--labels", labels)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"],
        cwd=home / "s",
        env={**os.environ, "XDG_CACHE_HOME": str(home / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    planned = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE))
    assert {"ingest", "preprocess", "train", "explain", "audit"} <= set(planned)
    assert planned["train"] == "3"
    assert "phantom" not in planned
