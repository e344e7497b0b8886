"""Synthetic images within the workflow: a job a fold where asked for, and none elsewhere."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pipeline import TINY, Values, write_config

DRAWING: Values = {**TINY, "model": {"weights": "none"}, "synthesise": {"generator": "gan"}}


def plan(folder: Path, values: Mapping[str, Mapping[str, object]]) -> dict[str, int]:
    """Return the jobs of a dry run, by rule."""
    config = write_config(folder, values)
    snakefile = Path(__file__).parents[2] / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "-n"]
    command += ["--directory", str(folder), "--configfile", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


@pytest.mark.parametrize("synthesise", [None, {"generator": "none"}])
def test_a_study_that_draws_nothing_has_the_jobs_that_it_had(
    tmp_path: Path, synthesise: dict[str, object] | None
) -> None:
    values = {name: fields for name, fields in DRAWING.items() if name != "synthesise"}
    if synthesise is not None:
        values["synthesise"] = synthesise
    assert "synthesise" not in plan(tmp_path, values)


def test_each_fold_has_a_generator_of_its_own(tmp_path: Path) -> None:
    assert plan(tmp_path, DRAWING)["synthesise"] == 2
