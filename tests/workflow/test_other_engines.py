"""Other engines by profile alone: planned with each plugin, run where a stand-in can run jobs."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from fake_slurm import with_path, write_command
from pipeline import TINY, write_config

CHECKOUT = Path(__file__).parents[2]
PLUGINS = {"pbs": "cluster_generic", "lsf": "lsf"}


def snakemake(folder: Path, profile: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the workflow through a profile; the test's own commands are found first."""
    plugin = f"snakemake_executor_plugin_{PLUGINS[profile]}"
    if importlib.util.find_spec(plugin) is None:
        pytest.skip(f"{plugin} is not installed")
    write_config(folder, {**TINY, "ingest": {"workers": 1, "shards": 2}})
    return subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile")),
            *("--directory", str(folder), "--configfile", str(folder / "config.yaml")),
            *("--workflow-profile", str(CHECKOUT / "workflow" / "profiles" / profile), *options),
        ],
        env=with_path(folder / "bin"),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("profile", PLUGINS)
def test_a_run_is_planned_through_the_plugin(profile: str, tmp_path: Path) -> None:
    done = snakemake(tmp_path, profile, "-n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ingest_shard" in done.stdout + done.stderr


@pytest.mark.slow
def test_jobs_run_through_a_command_that_takes_scripts(tmp_path: Path) -> None:
    write_command(
        tmp_path / "bin",
        "qsub",
        f"""\
        echo "$@" >> {tmp_path}/asked
        for script; do :; done
        sh "$script" >> {tmp_path}/jobs.log 2>&1 &
        echo 4711
        """,
    )
    options = ("--latency-wait", "5", "--seconds-between-status-checks", "1")
    done = snakemake(tmp_path, "pbs", "--until", "ingest", *options)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "jobs.log").read_text()
    assert (tmp_path / "results" / "ingest" / "record.json").is_file()
    first, *others = (tmp_path / "asked").read_text().splitlines()
    assert "select=1:ncpus=1:mem=1000mb -l walltime=600" in first
    # Phantom, index, two shards, and what gathers them.
    assert len(others) == 4


@pytest.mark.slow
def test_a_job_that_fails_asks_for_more_each_time(tmp_path: Path) -> None:
    write_command(tmp_path / "bin", "qsub", f'echo "$@" >> {tmp_path}/asked\nexit 1\n')
    assert snakemake(tmp_path, "pbs", "--until", "phantom").returncode != 0
    asked = (tmp_path / "asked").read_text().splitlines()
    for line, n in zip(asked, (1, 2, 3), strict=True):
        assert f"mem={1000 * n}mb -l walltime={600 * n}" in line
