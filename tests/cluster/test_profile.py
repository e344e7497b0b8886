"""The profile slurm and `medvision doctor` on a real SLURM: placed as asked, results as at home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cluster.slurm import Cluster
from fake_slurm import write_answer
from pipeline import TINY, Values, digest_tree, list_commands, run, write_config

CHECKOUT = Path(__file__).parents[2]
SITE = {
    "partitions": [
        {"name": "cpu", "runtime": 60, "mem_mb": 8000, "cpus": 4},
        {"name": "gpu", "runtime": 60, "mem_mb": 8000, "cpus": 4, "gpus": 2, "gpu_type": "fake"},
    ]
}
LAST = "pretrain"
QUICK = (
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "1"),
    *("--max-status-checks-per-second", "1", "--latency-wait", "10"),
)


def configure(folder: Path, site: object = SITE) -> Values:
    """Write a tiny study with a site file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "site.yaml").write_text(yaml.safe_dump(site))
    ingest = {"workers": 1, "shards": 2}
    values = {**TINY, "ingest": ingest, "cluster": {"site": str(folder / "site.yaml")}}
    write_config(folder, values)
    return values


def call(cluster: Cluster, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of Python in a folder as a user of the cluster would."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**cluster.environment, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def queued(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny study whose first steps ran as jobs, through the profile as it ships."""
    folder = tmp_path_factory.mktemp("profile")
    configure(folder)
    done = call(
        cluster,
        folder,
        *("snakemake", "--snakefile", str(CHECKOUT / "Snakefile"), "--configfile", "config.yaml"),
        *("--workflow-profile", str(CHECKOUT / "workflow" / "profiles" / "slurm"), *QUICK),
        *("--until", LAST),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def list_jobs(cluster: Cluster, folder: Path) -> dict[str, dict[str, str]]:
    """Return comment to what SLURM says of each job of a folder."""
    lines = cluster.call("scontrol", "show", "job", "-o").splitlines()
    jobs = [dict(w.split("=", 1) for w in line.split() if "=" in w) for line in lines]
    return {job["Comment"]: job for job in jobs if job["WorkDir"] == str(folder)}


def test_every_job_of_a_rule_is_placed_by_the_site_and_asks_by_the_table(
    cluster: Cluster, queued: Path
) -> None:
    jobs = list_jobs(cluster, queued)
    shards = {f"rule_ingest_shard_wildcards_{n}_2" for n in (1, 2)}
    assert shards < set(jobs)
    assert jobs["rule_cohort"]["Partition"] == "cpu"
    assert jobs["rule_cohort"]["MinMemoryNode"] in ("4000M", "4G")
    assert jobs["rule_cohort"]["TimeLimit"] == "01:00:00"
    training = jobs[f"rule_{LAST}"]
    assert training["Partition"] == "gpu"
    assert "gpu:fake:1" in training["TresPerJob"].replace("gres:", "")
    assert {job["JobState"] for job in jobs.values()} == {"COMPLETED"}


def test_other_users_see_no_subject_in_names_and_comments(cluster: Cluster, queued: Path) -> None:
    told = "".join(job["Comment"] + job["JobName"] for job in list_jobs(cluster, queued).values())
    assert "sub-" not in told
    assert "img-" not in told


def test_results_of_the_cluster_are_those_of_one_machine(queued: Path, tmp_path: Path) -> None:
    configure(tmp_path)
    for arguments in list_commands(tmp_path / "config.yaml"):
        run(arguments)
        if arguments[0] == LAST:
            break
    digests = [digest_tree(folder / "results") for folder in (queued, tmp_path)]
    # A key and what it makes are the study's own; the phantom's is published.
    assert digests[0] == digests[1]


def test_jobs_leave_nothing_that_others_may_read(queued: Path) -> None:
    found = [p for p in (queued / "results").rglob("*") if p.stat().st_mode & 0o007]
    assert found == []


def test_doctor_finds_a_healthy_cluster_and_asks_its_nodes(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path)
    write_answer(tmp_path / "bin", "nvidia-smi", "GPU 0: fake\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    words = ("medvision", "doctor", "--config", "config.yaml", "--profile", "slurm", "--probe")
    done = call(cluster, tmp_path, *words)
    assert done.returncode == 0, done.stdout
    for said in ("cpu: 3 nodes", "gpu: 1 nodes, 2 GPUs a node", "gpu: ", "1 GPUs"):
        assert said in done.stdout
    assert "sees output folder and Python" in done.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "night"}, "night is not there"),
        ({"name": "cpu", "runtime": 600}, "runtime is 600 in the site file, the cluster has 60"),
        (
            {"name": "gpu", "gpus": 2, "gpu_type": "a100"},
            "of type a100 in the site file, nodes have 0",
        ),
    ],
)
def test_doctor_finds_what_a_site_file_promises_and_the_cluster_has_not(
    cluster: Cluster, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    configure(tmp_path, {"partitions": [changes]})
    done = call(
        cluster, tmp_path, *("medvision", "doctor", "--config", "config.yaml", "--profile", "slurm")
    )
    assert done.returncode == 1
    assert words in done.stdout
