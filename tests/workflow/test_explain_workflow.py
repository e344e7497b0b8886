"""Explaining in the workflow: a job for each share, and a bundle of them that verifies."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from children import run_snakemake
from click.testing import CliRunner
from pipeline import TINY, run_all, write_config

from medvision.cli.main import main

Values = Mapping[str, Mapping[str, object]]


def divide(shards: int) -> Values:
    return {**TINY, "explain": {**TINY["explain"], "shards": shards}}


def count_planned(folder: Path) -> dict[str, int]:
    """The jobs of the explanations that a dry run names."""
    snakefile = Path(__file__).parents[2] / "Snakefile"
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "2", "-n"),
        *("--directory", str(folder), "--configfile", str(folder / "config.yaml")),
    ]
    done = run_snakemake(command)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^ *(explain\w*) +(\d+) *$", done.stdout + done.stderr, re.M)
    return {name: int(count) for name, count in rows}


@pytest.mark.parametrize("shards", [1, 3])
def test_there_is_a_job_for_each_share_and_one_that_gathers(tmp_path: Path, shards: int) -> None:
    folder = write_config(tmp_path / "study", divide(shards)).parent
    shares = {"explain_shard": shards} if shards > 1 else {}
    assert count_planned(folder) == {"explain": 1, **shares}


@pytest.mark.slow
def test_a_bundle_made_from_two_shares_verifies_at_every_level(tmp_path: Path) -> None:
    results = run_all(write_config(tmp_path / "study", divide(2)))
    told = tmp_path / "told.json"
    words = ["audit", "verify", str(results / "audit/bundle"), "--study", str(results)]
    options = ["--level", "5", "--sample", "2", "--json", str(told)]
    done = CliRunner().invoke(main, [*words, *options])
    assert done.exit_code == 0, done.output
    asked = {check["name"]: check["status"] for check in json.loads(told.read_text())["checks"]}
    assert "FAIL" not in asked.values()
    names = ("closure", "settings", "plan", "study", "maps", "checks", "stability", "influence")
    assert {asked[name] for name in names} == {"PASS"}
    left_out = json.loads((results / "audit/bundle/manifest.json").read_text())["referenced"]
    assert "explain/shard-1-of-2/cases.npz" in {entry["path"] for entry in left_out}
