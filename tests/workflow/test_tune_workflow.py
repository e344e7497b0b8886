"""A search within the workflow: parallel jobs, one choice a part, and trainings that obey it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from children import run_snakemake
from pipeline import FEW_MAPS, TINY, Values, list_commands, run, write_config

from medvision.io.tables import read_table
from medvision.layout import Layout

SPACE = {"train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
SEARCHED: Values = {
    **TINY,
    "model": {"weights": "none"},
    "cohort": {**TINY["cohort"], "inner_folds": 2},
    "train": {"epochs": 1, "batch_size": 8},
    "explain": FEW_MAPS,
    "tune": {"trials": 3, "space": SPACE},
}


def with_tune(**fields: object) -> Values:
    return {**SEARCHED, "tune": {**SEARCHED["tune"], **fields}}


def snakemake(
    folder: Path, values: Mapping[str, Mapping[str, object]], *options: str
) -> "subprocess.CompletedProcess[str]":
    config = write_config(folder, values)
    snakefile = Path(__file__).parents[2] / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), *options]
    command += ["--directory", str(folder), "--configfile", str(config)]
    return run_snakemake(command)


def count_jobs(done: "subprocess.CompletedProcess[str]") -> dict[str, int]:
    lines = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


@pytest.mark.parametrize(
    ("fields", "jobs"),
    [
        ({"trials": 0}, {"train": 4}),
        ({"workers": 1}, {"tune": 2, "train": 4}),
        ({"workers": 3}, {"tune_worker": 6, "tune": 2, "train": 4}),
    ],
)
def test_the_workflow_plans_a_search_for_each_part_and_a_job_for_each_worker(
    tmp_path: Path, fields: dict[str, object], jobs: dict[str, int]
) -> None:
    done = snakemake(tmp_path, with_tune(**fields), "-n")
    assert done.returncode == 0, done.stderr
    planned = count_jobs(done)
    names = ("tune_worker", "tune", "train")
    assert {name: planned[name] for name in names if name in planned} == jobs


@pytest.mark.slow
def test_a_search_goes_all_the_way_to_a_bundle_that_agrees(
    tiny_study: Path, tmp_path: Path
) -> None:
    for step in ("phantom", "ingest", "measure"):
        shutil.copytree(tiny_study / step, tmp_path / "results" / step)
    config = write_config(tmp_path, SEARCHED)
    for arguments in list_commands(config, after="measure"):
        run(arguments)
    layout = Layout(tmp_path / "results")
    run(["audit", "verify", str(layout.bundle)])
    for fold, part in enumerate((0, 0, 1, 1)):
        best = json.loads(
            (layout.step(layout.tune_step("scratch", part)) / "best.json").read_text()
        )
        record = json.loads(layout.record(layout.fold_step("scratch", fold)).read_text())
        assert record["facts"]["chosen"] == best["values"]
    facts = json.loads(layout.report_json.read_text())
    assert [row["n_trials"] for row in facts["searches"]["rows"]] == [3, 3]
    page = layout.report_html.read_text()
    assert "6 trials on inner folds; test subjects took no part" in page
    assert (layout.bundle / "study" / "tune" / "scratch" / "part-1" / "trials.tsv").is_file()


@pytest.mark.slow
def test_jobs_of_the_workflow_share_a_search_and_a_new_choice_trains_again(
    tmp_path: Path,
) -> None:
    layout, values = Layout(tmp_path / "results"), with_tune(workers=2)
    absolute = str(layout.record("train/scratch/fold-1"))
    done = snakemake(tmp_path, values, "--cores", "2", absolute)
    assert done.returncode == 0, done.stderr
    folder = layout.step(layout.tune_step("scratch", 0))
    marks = [json.loads((folder / "workers" / f"{n}.json").read_text()) for n in (1, 2)]
    assert sum(mark["trials"] for mark in marks) == 3
    assert [row["number"] for row in read_table(folder / "trials.tsv")] == ["0", "1", "2"]
    again = snakemake(tmp_path, values, "-n", absolute)
    assert "Nothing to be done" in again.stdout + again.stderr
    other = snakemake(tmp_path, with_tune(workers=2, seed=8), "-n", absolute)
    planned = count_jobs(other)
    assert (planned["tune_worker"], planned["tune"], planned["train"]) == (2, 1, 1)
    assert "cohort" not in planned
