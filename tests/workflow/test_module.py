"""The workflow as others use it: by its own file, as a module, and as snakedeploy writes one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

Done = subprocess.CompletedProcess[str]

WHOLE = {"phantom", "ingest", "cohort", "preprocess", "train", "predict", "report", "audit"}

DEPLOYED = """
configfile: "config.yaml"

module medvision:
    snakefile:
        github("somebody/medvision", path="workflow/Snakefile", tag="v0")
    config:
        config

use rule * from medvision
"""
"""What snakedeploy writes."""


def dry_run(folder: Path, *options: str, cache: Path | None = None) -> Done:
    """Say what would run in `folder`; where a cache is given, Snakemake keeps its sources there."""
    environment = {**os.environ, **({"XDG_CACHE_HOME": str(cache)} if cache else {})}
    command = [sys.executable, "-m", "snakemake", "-n", *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment
    )


def count_jobs(done: Done) -> dict[str, int]:
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^ *(\w+) +(\d+) *$", done.stdout + done.stderr, re.M)
    return {name: int(count) for name, count in rows}


def write_outer(folder: Path, snakefile: Path, **studies: dict[str, object]) -> Path:
    """Write a workflow that uses this one once for each study, under the study's name."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = "".join(
        f'module {name}:\n    snakefile: "{snakefile}"\n    config: config["{name}"]\n'
        f"use rule * from {name} as {name}_*\n"
        for name in studies
    )
    wanted = "".join(f"        rules.{name}_all.input,\n" for name in studies)
    target = f"rule everything:\n    default_target: True\n    input:\n{wanted}"
    (folder / "Snakefile").write_text(f'configfile: "config.yaml"\n{modules}{target}')
    (folder / "config.yaml").write_text(yaml.safe_dump(studies))
    return folder


def test_both_snakefiles_have_the_whole_study_as_their_target(
    tmp_path: Path, checkout: Path
) -> None:
    config = ["--configfile", str(checkout / "config" / "config.yaml")]
    for snakefile, target in (("Snakefile", "default"), ("workflow/Snakefile", "all")):
        jobs = count_jobs(dry_run(tmp_path, "-s", str(checkout / snakefile), *config))
        assert set(jobs) > {*WHOLE, target}


def test_another_workflow_takes_it_twice_as_a_module(tmp_path: Path, checkout: Path) -> None:
    outer = write_outer(
        tmp_path,
        checkout / "workflow" / "Snakefile",
        chest={"output": {"path": "chest"}},
        head={"output": {"path": "head"}, "cohort": {"folds": 2}, "model": {"weights": "none"}},
    )
    jobs = count_jobs(dry_run(outer))
    assert {f"{study}_{name}" for study in ("chest", "head") for name in WHOLE} < set(jobs)
    # Three folds of two arms, against two folds of one.
    assert (jobs["chest_train"], jobs["head_train"], jobs["everything"]) == (6, 2, 1)
    # Each predicts by itself, and one job gathers.
    assert (jobs["chest_predict_fold"], jobs["head_predict_fold"]) == (6, 2)
    assert (jobs["chest_predict"], jobs["head_predict"]) == (1, 1)


def test_a_module_with_a_wrong_key_is_refused_in_the_words_of_a_study(
    tmp_path: Path, checkout: Path
) -> None:
    snakefile = checkout / "workflow" / "Snakefile"
    outer = write_outer(tmp_path, snakefile, chest={"trian": {"epochs": 3}})
    done = dry_run(outer)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line]
    assert lines[-2:] == [
        "error: trian: key must be known, got trian. Did you mean train?",
        "hint: compare with docs/reference/config.md, or run `medvision doctor`.",
    ]
    assert "Traceback" not in done.stderr


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    command = ["git", *who, *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def fetched(tmp_path: Path, checkout: Path) -> Path:
    """Snakemake's cache with a clone of this workflow under the tag v0: nothing is downloaded."""
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    source = tmp_path / "source"
    for name in ("workflow", "config"):
        shutil.copytree(checkout / name, source / name)
    git(source, "init", "--quiet")
    git(source, "add", ".")
    git(source, "commit", "--quiet", "--message", "v0")
    git(source, "tag", "v0")
    cache = tmp_path / "cache"
    home = cache / "snakemake" / "snakemake" / "source-cache" / "snakemake-git-cache"
    clone = home / "github.com" / "somebody" / "medvision"
    clone.parent.mkdir(parents=True)
    git(source, "clone", "--quiet", "--bare", ".", str(clone))
    return cache


def deploy(folder: Path) -> Path:
    """Write what snakedeploy leaves of a workflow: its configuration, and a file that names it."""
    (folder / "workflow").mkdir(parents=True)
    (folder / "workflow" / "Snakefile").write_text(DEPLOYED)
    (folder / "config.yaml").write_text("output: {path: results}\n")
    return folder


def test_what_snakedeploy_writes_runs_the_tag_as_it_is_installed(
    tmp_path: Path, fetched: Path
) -> None:
    outer = deploy(tmp_path / "deployed")
    jobs = count_jobs(dry_run(outer, cache=fetched))
    assert set(jobs) > WHOLE


def test_rules_of_a_tag_that_is_not_installed_are_refused(tmp_path: Path, fetched: Path) -> None:
    source = tmp_path / "source"
    rules = source / "workflow" / "rules" / "audit.smk"
    rules.write_text(f"{rules.read_text()}# Another.\n")
    git(source, "commit", "--quiet", "--all", "--message", "v1")
    git(source, "tag", "--force", "v0")
    (clone,) = fetched.rglob("somebody/medvision")
    git(clone, "fetch", "--quiet", "--force", "--tags", str(source))
    done = dry_run(deploy(tmp_path / "deployed"), cache=fetched)
    assert done.returncode == 2
    assert "error: module: audit.smk must be that of the installed medvision" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_catalogue_finds_what_it_asks_for(checkout: Path) -> None:
    usage = yaml.safe_load((checkout / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    known = {"conda", "apptainer", "apptainer+conda", "singularity", "singularity+conda"}
    deployed = usage["software-stack-deployment"]
    assert set(deployed) <= known
    assert any(deployed.values())
    for name in ("workflow/Snakefile", "config/config.yaml", "config/README.md", "LICENSE"):
        assert (checkout / name).is_file()
    # The catalogue puts the page below a heading of its own.
    assert (checkout / "config" / "README.md").read_text().startswith("# ")
