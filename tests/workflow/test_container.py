"""Rules in a container: the one that the site names, where Snakemake is asked for containers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline import TINY, write_config

Done = subprocess.CompletedProcess[str]
SNAKEFILE = Path(__file__).parents[2] / "Snakefile"

APPTAINER = """\
#!/bin/sh
[ "$1" = --version ] && { echo "apptainer version 1.3.6"; exit; }
printf '%s\\n' "$@" >> "$APPTAINER_LOG"
for last; do :; done
exec sh -c "$last"
"""
"""Says how it was called, and runs the command here."""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's folder, with a stand-in for Apptainer on the path."""
    command = tmp_path / "bin" / "apptainer"
    command.parent.mkdir()
    command.write_text(APPTAINER)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("APPTAINER_LOG", str(tmp_path / "calls.txt"))
    monkeypatch.delenv("MEDVISION_CONTAINER", raising=False)
    write_config(tmp_path, TINY)
    return tmp_path


def snakemake(study: Path, *options: str) -> Done:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), *options]
    command += ["--directory", str(study), "--configfile", str(study / "config.yaml")]
    return subprocess.run([*command, "--cores", "1"], capture_output=True, text=True, check=False)


def test_a_rule_runs_in_the_image_that_the_site_names(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = study / "medvision.sif"
    image.touch()
    monkeypatch.setenv("MEDVISION_CONTAINER", str(image))
    made = str(study / "results" / "phantom" / "record.json")
    options = ("--software-deployment-method", "apptainer", "--apptainer-args", "--bind /data")
    done = snakemake(study, *options, "--until", "phantom", made)
    assert done.returncode == 0, done.stderr
    assert Path(made).is_file()
    called = (study / "calls.txt").read_text().split("\n")
    assert "exec" in called
    assert called[called.index("--bind") : called.index(str(image)) + 1][:2] == ["--bind", "/data"]
    assert "medvision phantom" in (study / "calls.txt").read_text()


@pytest.mark.parametrize("named", ["", "/nowhere/medvision.sif"])
def test_containers_without_an_image_end_in_words_and_not_on_the_host(
    named: str, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDVISION_CONTAINER", named)
    done = snakemake(study, "-n", "--software-deployment-method", "apptainer")
    assert done.returncode == 2
    assert "error: MEDVISION_CONTAINER: variable must name the image, got " in done.stderr
    assert (named or "none") in done.stderr
    assert "Traceback" not in done.stderr


def test_an_image_is_not_used_where_containers_are_not_asked_for(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDVISION_CONTAINER", "/nowhere/medvision.sif")
    done = snakemake(study, "-n")
    assert done.returncode == 0, done.stderr
    assert "medvision.sif" not in done.stdout + done.stderr


def test_the_clusters_profile_takes_the_image_too(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra `cluster` is missing")
    profile = str(SNAKEFILE.parent / "workflow" / "profiles" / "slurm")
    options = ("-n", "--workflow-profile", profile, "--software-deployment-method", "apptainer")
    done = snakemake(study, *options)
    assert "error: MEDVISION_CONTAINER: variable must name the image, got none" in done.stderr
    monkeypatch.setenv("MEDVISION_CONTAINER", "docker://registry.example.org/medvision:0.1.0")
    done = snakemake(study, *options)
    assert done.returncode == 0, done.stderr
    assert "registry.example.org/medvision:0.1.0 will be pulled" in done.stdout + done.stderr
