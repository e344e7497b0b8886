"""The profile slurm, by what it asks of `sbatch`: growing, placed, bounded, telling of nobody."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from fake_slurm import read_calls, with_path, write_refusing_cluster
from pipeline import TINY, write_config

CHECKOUT = Path(__file__).parents[2]
PROFILE = CHECKOUT / "workflow" / "profiles" / "slurm"
SITE = CHECKOUT / "config" / "sites" / "gpus.yaml"

pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra `cluster` is missing")


def submit(
    folder: Path, values: Mapping[str, Mapping[str, object]], *options: str
) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run the workflow through the profile, on a cluster that takes no job."""
    config = write_config(folder, {**values, "cluster": {"site": str(SITE)}})
    write_refusing_cluster(folder / "bin")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile")),
            *("--directory", str(folder), "--configfile", str(config)),
            *("--workflow-profile", str(PROFILE), "--latency-wait", "1", *options),
        ],
        env=with_path(folder / "bin"),
        capture_output=True,
        text=True,
        check=False,
    )
    return done, read_calls(folder / "bin")


def option(call: list[str], name: str) -> str:
    """Return the value of one option of a call, spelt `-x value` or `--x=value`."""
    for word, after in zip(call, [*call[1:], ""], strict=True):
        if word == name:
            return after
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    raise AssertionError(f"{name} is not in {call}")


@pytest.fixture(scope="module")
def refused_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """A run whose first job is refused each time, and the calls for it."""
    done, calls = submit(tmp_path_factory.mktemp("refused"), TINY, "--until", "phantom")
    assert done.returncode != 0
    assert calls, done.stdout + done.stderr
    return done, calls


@pytest.fixture(scope="module")
def refused(
    refused_run: tuple[subprocess.CompletedProcess[str], list[list[str]]],
) -> list[list[str]]:
    """The calls for the first job of a run, which fails each time."""
    return refused_run[1]


@pytest.mark.slow
def test_the_end_of_a_run_says_what_slurm_said_as_it_refused(
    refused_run: tuple[subprocess.CompletedProcess[str], list[list[str]]],
) -> None:
    assert "SLURM refused it: refused\n" in refused_run[0].stdout


@pytest.mark.slow
def test_a_failing_job_is_tried_three_times_with_more_memory_and_time(
    refused: list[list[str]],
) -> None:
    asked = [(option(call, "--mem"), option(call, "-t")) for call in refused]
    assert asked == [("1000", "10"), ("2000", "20"), ("3000", "30")]


@pytest.mark.slow
def test_a_job_goes_to_the_sites_partition_account_and_quality_of_service(
    refused: list[list[str]],
) -> None:
    (first, *_) = refused
    assert option(first, "-p") == "cpu,cpu-old"
    assert option(first, "-A") == "radiology"
    assert option(first, "--qos") == "normal"


@pytest.mark.slow
def test_no_job_is_an_array_and_each_bears_the_name_by_which_orphans_are_found(
    refused: list[list[str]],
) -> None:
    for call in refused:
        assert not any(word.startswith("--array") for word in call)
        assert option(call, "--job-name").startswith("medvision_")


@pytest.mark.slow
def test_a_group_asks_for_no_more_cores_than_the_profile_says(tmp_path: Path) -> None:
    values = {**TINY, "ingest": {"workers": 4, "shards": 8}}
    names = ("phantom", "ingest_index", "ingest_shard")
    _, calls = submit(
        tmp_path,
        values,
        *("--until", "ingest_shard", "--retries", "0"),
        *("--groups", *(f"{name}=together" for name in names)),
    )
    (call,) = calls
    # Eight shards of four workers each are 32.
    bound = yaml.safe_load((PROFILE / "config.yaml").read_text())["cores"]
    assert int(option(call, "--cpus-per-task")) == bound == 16


def test_the_profile_sets_what_faults_have_taught() -> None:
    profile = yaml.safe_load((PROFILE / "config.yaml").read_text())
    assert profile["slurm-status-command"] == "squeue"
    # The product is how long the scheduler may be silent.
    patience_s = profile["slurm-status-attempts"] / profile["max-status-checks-per-second"]
    assert patience_s >= 3600
    assert "mem_mb=500" in profile["default-resources"]
    assert profile["persistence-backend"] == "db"
    assert "slurm-array-jobs" not in profile


def test_no_rule_has_retries_of_its_own() -> None:
    for path in (CHECKOUT / "workflow" / "rules").glob("*.smk"):
        assert "retries" not in path.read_text(), path.name


@pytest.mark.parametrize("name", ["config.yaml", "config.json"])
def test_a_key_that_stands_twice_ends_in_words_before_any_job(tmp_path: Path, name: str) -> None:
    text = write_config(tmp_path, TINY).read_text() + "train: {epochs: 9}\n"
    config = tmp_path / name
    config.write_text(text if name.endswith("yaml") else '{"train": {}, "train": {"epochs": 9}}')
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile"), "-n"]
    command += ["--directory", str(tmp_path), "--configfile", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"{name}: file must be readable YAML, got the key train a second time" in done.stderr


def test_a_bad_site_file_ends_in_words_before_any_job(tmp_path: Path) -> None:
    bad = tmp_path / "site.yaml"
    bad.write_text("acount: x\npartitions: [{name: a}]\n")
    config = write_config(tmp_path, {**TINY, "cluster": {"site": str(bad)}})
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile"), "-n"]
    command += ["--directory", str(tmp_path), "--configfile", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "site.yaml: acount: key must be one of account" in done.stderr
    assert "Traceback" not in done.stderr
