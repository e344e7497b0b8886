"""The workflow when something goes wrong or changes: plain words, a lock, and no needless work."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from children import run_snakemake
from pipeline import TINY, run, write_config

Done = subprocess.CompletedProcess[str]

STAGES = {
    *("phantom", "ingest", "measure", "cohort", "preprocess", "pretrain", "train", "predict"),
    *("evaluate", "plan", "explain", "control", "shortcuts", "report", "audit"),
}


def list_command(folder: Path, *options: str) -> list[str]:
    """The command line that runs the workflow on the study in `folder`."""
    snakefile = Path(__file__).parents[2] / "Snakefile"
    places = ["--snakefile", str(snakefile), "--directory", str(folder)]
    configured = ["--configfile", str(folder / "config.yaml"), "--cores", "2"]
    return [sys.executable, "-m", "snakemake", *places, *configured, *options]


def snakemake(folder: Path, *options: str, path: str = os.environ["PATH"]) -> Done:
    command, environment = list_command(folder, *options), {**os.environ, "PATH": path}
    return run_snakemake(command, env=environment)


def configure(folder: Path, values: Mapping[str, Mapping[str, object]]) -> Path:
    """Write a study's configuration; return its folder."""
    return write_config(folder, values).parent


# Configurations.


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": {"epoch": 3}}, "train.epoch: key must be known, got epoch. Did you mean epochs"),
        ({"trian": {"epochs": 3}}, "trian: key must be known, got trian. Did you mean train?"),
        ({"train": {"epochs": "many"}}, "train.epochs: value must be a valid integer"),
        ({"data": {"kind": "dicom"}}, "data.path and data.labels must be given for kind dicom"),
    ],
)
def test_a_bad_key_ends_in_one_line_and_a_hint(
    values: dict[str, dict[str, object]], message: str, tmp_path: Path
) -> None:
    done = snakemake(configure(tmp_path, values), "-n")
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line]
    assert lines[-2].startswith("error: ")
    assert message in lines[-2]
    assert lines[-1].startswith("hint: ")
    assert "Traceback" not in done.stderr
    assert "common.smk" not in done.stderr


def test_a_named_configuration_is_not_laid_over_the_folders_own(tmp_path: Path) -> None:
    """The commands that look at a run read the named file alone."""
    own = {"phantom": {"subjects": 30, "seed": 5}, "output": {"path": "first"}}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(own))
    (tmp_path / "config.yaml").write_text("phantom: {seed: 6}\n")
    done = snakemake(tmp_path, "-n", "--printshellcmds", "--until", "phantom")
    (command,) = re.findall(r"medvision phantom --config (.*?) > ", done.stdout, re.DOTALL)
    assert json.loads(shlex.split(command)[0]) == {"phantom": {"seed": 6}}
    assert "results/phantom" in done.stdout
    assert "first" not in done.stdout


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a b; touch c $HOME (d) 'e' \"f\" é"
    done = snakemake(configure(folder, {**TINY, "output": {}}), "--until", "phantom")
    assert done.returncode == 0, done.stderr
    assert (folder / "results" / "logs" / "phantom.log").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_brace_in_the_output_folder_is_refused_in_words(tmp_path: Path) -> None:
    """Snakemake would take it for a wildcard."""
    (tmp_path / "config.yaml").write_text("output: {path: 'res{1}'}\n")
    done = snakemake(tmp_path, "-n")
    assert done.returncode == 2
    assert "output.path must have no brace or line break, got res{1}" in done.stderr


def test_numbers_in_a_section_given_on_the_command_line_are_numbers(tmp_path: Path) -> None:
    done = snakemake(
        configure(tmp_path, TINY), "-n", "--printshellcmds", "--config", "train={seeds: [0, 1]}"
    )
    assert done.returncode == 0, done.stderr
    assert "seed-1/model.safetensors" in done.stdout + done.stderr


def test_a_missing_table_of_labels_is_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    values = {"data": {"kind": "nifti", "path": "scans", "labels": "nobody.csv"}}
    done = snakemake(configure(tmp_path, values), "-n")
    assert done.returncode == 1
    output = done.stdout + done.stderr
    assert re.search(r"affected files:\s+nobody.csv", output)
    assert "Traceback" not in output
    assert not (tmp_path / "results").exists()


# What a change reruns.


@pytest.fixture(scope="module")
def finished(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study run by Snakemake, whose every job fetches what the command once wrote."""
    folder = configure(tmp_path_factory.mktemp("finished"), TINY)
    stub = folder / "bin" / "medvision"
    stub.parent.mkdir()
    # One at a time: the jobs of two folds copy the same folder.
    copy = f'cp -r "{tiny_study}/$1" "{folder / "results"}/"'
    stub.write_text(f'#!/bin/sh\nexec flock "{folder / "lock"}" {copy}\n')
    stub.chmod(0o755)
    path = f"{stub.parent}{os.pathsep}{os.environ['PATH']}"
    done = snakemake(folder, path=path)
    assert done.returncode == 0, done.stderr
    return folder


def list_reruns(folder: Path, values: Mapping[str, Mapping[str, object]]) -> set[str]:
    """Return the stages that the workflow would run under a configuration."""
    configure(folder, values)
    done = snakemake(folder, "-n")
    assert done.returncode == 0, done.stderr
    if "Nothing to be done" in done.stdout + done.stderr:
        return set()
    # The table of jobs: name and count.
    rules = set(re.findall(r"^(\w+) +\d+$", done.stdout + done.stderr, re.M))
    assert "total" in rules, done.stdout
    return rules & STAGES


def change(section: str, **values: object) -> dict[str, dict[str, object]]:
    return {**TINY, section: {**TINY.get(section, {}), **values}}


@pytest.mark.slow
def test_a_finished_study_has_nothing_to_run(finished: Path) -> None:
    assert list_reruns(finished, TINY) == set()


@pytest.mark.slow
def test_another_title_makes_the_report_and_its_bundle_alone_anew(finished: Path) -> None:
    assert list_reruns(finished, change("report", title="Other")) == {"report", "audit"}


@pytest.mark.slow
def test_another_number_of_epochs_leaves_the_images_alone(finished: Path) -> None:
    kept = {"phantom", "ingest", "measure", "cohort", "preprocess", "pretrain"}
    assert list_reruns(finished, change("train", epochs=3)) == STAGES - kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "values", "anew"),
    [
        ("explain", {"images": 1}, {"plan", "explain", "report", "audit"}),
        ("gate", {"repeats": 50}, {"report", "audit"}),
    ],
)
def test_what_no_network_sees_trains_none_again(
    finished: Path, section: str, values: dict[str, int], anew: set[str]
) -> None:
    assert list_reruns(finished, change(section, **values)) == anew


@pytest.mark.slow
def test_other_intervals_leave_training_and_explanations_alone(finished: Path) -> None:
    reruns = list_reruns(finished, change("evaluate", n_resamples=200))
    assert reruns == {"evaluate", "shortcuts", "report", "audit"}


@pytest.mark.slow
def test_other_views_or_a_temperature_train_no_network_of_the_study_again(finished: Path) -> None:
    kept = {"phantom", "ingest", "measure", "cohort", "preprocess", "pretrain", "train"}
    reruns = list_reruns(finished, change("predict", views=["zoom"], temperature="fit"))
    assert reruns == STAGES - kept


# Snakemake's own report.


@pytest.mark.slow
def test_snakemakes_report_is_made_without_a_network_and_has_its_captions(finished: Path) -> None:
    report = finished / "report.zip"
    cut = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*cut, "true"], capture_output=True, check=False).returncode:
        cut = []  # Where no network can be cut; the page itself is looked at all the same.
    command = [*cut, *list_command(finished, "--report", str(report))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(report) as held:
        text = held.read("report/report.html").decode()
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=.https?:", text)
    assert "For research use only." in text
    assert "Reporting checklists" in text


# A kill.


@pytest.mark.slow
def test_a_killed_workflow_is_locked_and_completes_after_unlock(tmp_path: Path) -> None:
    folder = configure(tmp_path, TINY)
    records = folder / "results"
    process = subprocess.Popen(
        list_command(folder, "--until", "preprocess"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (records / "phantom" / "record.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (records / "preprocess" / "record.json").exists()
    incomplete = snakemake(folder, "--until", "preprocess")
    assert incomplete.returncode != 0
    assert "--rerun-incomplete" in incomplete.stderr
    locked = snakemake(folder, "--until", "preprocess", "--rerun-incomplete")
    assert locked.returncode != 0
    assert "--unlock" in locked.stderr
    assert snakemake(folder, "--unlock").returncode == 0
    again = snakemake(folder, "--until", "preprocess", "--rerun-incomplete")
    assert again.returncode == 0, again.stderr
    assert (records / "preprocess" / "record.json").is_file()
    assert "done" in run(["status", "--config", str(folder / "config.yaml")]).output
