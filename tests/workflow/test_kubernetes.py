"""The profile kubernetes: what it asks of Kubernetes, and jobs run by a stand-in for `kubectl`.

No Kubernetes is here. Where the real `kubectl` is, it makes the Jobs on a server of the test's.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_kubernetes import (
    read_container,
    read_jobs,
    read_pod,
    serve_kubernetes,
    write_kubectl,
)
from fake_slurm import with_path, write_command
from pipeline import TINY, write_config

CHECKOUT = Path(__file__).parents[2]
PROFILE = CHECKOUT / "workflow" / "profiles" / "kubernetes"
PROPERTIES = (
    '# properties = {"rule": "train", "params": {"config": "{\\"threads\\": 9}"}, "threads": 4, '
    '"resources": {"mem_mb": 16000, "mem_mib": 15259, "runtime": 60, "gpu": 1}, "jobid": 3}'
)


def snakemake(folder: Path, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    if importlib.util.find_spec("snakemake_executor_plugin_cluster_generic") is None:
        pytest.skip("snakemake_executor_plugin_cluster_generic is not installed")
    write_config(folder, {**TINY, "ingest": {"workers": 1, "shards": 2}})
    return subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile")),
            *("--directory", str(folder), "--configfile", str(folder / "config.yaml")),
            *("--workflow-profile", str(PROFILE), *options),
        ],
        env=with_path(folder / "bin", {**os.environ, **variables}),
        capture_output=True,
        text=True,
        check=False,
    )


def write_pods(folder: Path) -> Path:
    """Write a `kubectl` whose pods know where Python's packages lie, and nothing else."""
    kept = ("PATH", "HOME", "PYTHONPATH")
    pods = {name: os.environ[name] for name in kept if name in os.environ}
    write_kubectl(folder / "bin", environment=pods)
    return folder / "bin"


def act(name: str, *words: str, folder: Path) -> str:
    """Call one of the profile's commands, the folder's `kubectl` first on its path."""
    done = subprocess.run(
        [PROFILE / name, *words],
        env=with_path(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_run_is_planned_through_the_profile(tmp_path: Path) -> None:
    done = snakemake(tmp_path, "-n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ingest_shard" in done.stdout + done.stderr


def test_a_job_asks_for_what_its_rule_asks_for(tmp_path: Path) -> None:
    script = tmp_path / "study" / "job.sh"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\n{PROPERTIES}\ntrue\n")
    assert act("submit", str(script), folder=write_pods(tmp_path)) == "job.batch/medvision-1"
    (job,) = read_jobs(tmp_path / "bin")
    pod, container = read_pod(job), read_container(job)
    assert container["command"] == ["sh", str(script)]
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "16000M"},
        "limits": {"memory": "16000M", "nvidia.com/gpu": "1"},
    }
    assert (pod["activeDeadlineSeconds"], pod["restartPolicy"]) == (3600, "Never")
    # Snakemake repeats a job; Kubernetes would with the same memory.
    assert job["spec"]["backoffLimit"] == 0


def test_a_pod_is_handed_no_secret_and_no_right(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n{PROPERTIES}\ntrue\n")
    act("submit", str(script), folder=write_pods(tmp_path))
    (job,) = read_jobs(tmp_path / "bin")
    pod, container = read_pod(job), read_container(job)
    # What kills a job whose time is over, so that a training ends itself before.
    assert container["env"] == [{"name": "MEDVISION_JOB", "value": "kubernetes"}]
    assert "envFrom" not in container
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    claims = [held["persistentVolumeClaim"] for held in pod["volumes"] if held["name"] == "study"]
    assert claims == [{"claimName": "medvision"}]


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("medvision-1", "running"),
        ("medvision-1 SuccessCriteriaMet", "running"),
        ("medvision-1 SuccessCriteriaMet Complete", "success"),
        ("medvision-1 FailureTarget Failed", "failed"),
        ("medvision-1 Suspended", "running"),
        ("", "failed"),
    ],
)
def test_the_state_of_a_job_is_told_in_snakemake_s_words(
    told: str, meant: str, tmp_path: Path
) -> None:
    write_command(tmp_path, "kubectl", f"printf '%s' '{told}'")
    assert act("status", "job.batch/medvision-1", folder=tmp_path) == meant


def test_a_kubernetes_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    write_command(tmp_path, "kubectl", "echo refused >&2; exit 1")
    assert act("status", "job.batch/medvision-1", folder=tmp_path) == "running"


def test_jobs_are_deleted_without_waiting(tmp_path: Path) -> None:
    write_command(tmp_path, "kubectl", f'echo "$@" > {tmp_path}/asked')
    act("cancel", "job.batch/medvision-1", "job.batch/medvision-2", folder=tmp_path)
    asked = (tmp_path / "asked").read_text().split()
    assert asked[0] == "delete"
    assert "--wait=false" in asked
    assert asked[-2:] == ["job.batch/medvision-1", "job.batch/medvision-2"]


def test_the_real_kubectl_makes_shows_and_deletes_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not here")
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n{PROPERTIES}\ntrue\n")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("HOME", str(tmp_path))
    nothing = tmp_path / "none"
    with serve_kubernetes(tmp_path / "kubeconfig") as jobs:
        name = act("submit", str(script), folder=nothing)
        (job,) = jobs.values()
        assert name == f"job.batch/{job['metadata']['name']}"
        assert act("status", name, folder=nothing) == "running"
        over = [{"type": "SuccessCriteriaMet", "status": "True"}]
        job["status"] = {"conditions": [*over, {"type": "Complete", "status": "True"}]}
        assert act("status", name, folder=nothing) == "success"
        job["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}
        assert act("status", name, folder=nothing) == "failed"
        act("cancel", name, folder=nothing)
        assert not jobs
        assert act("status", name, folder=nothing) == "failed"
    assert act("status", name, folder=nothing) == "running"


@pytest.mark.slow
def test_jobs_run_and_a_silence_of_kubernetes_is_survived(tmp_path: Path) -> None:
    bin_folder = write_pods(tmp_path)
    (bin_folder / "away").touch()
    options = ("--latency-wait", "5", "--seconds-between-status-checks", "1")
    done = snakemake(
        tmp_path, "--until", "ingest", *options, "--max-status-checks-per-second", "10"
    )
    logs = "".join(path.read_text() for path in bin_folder.glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert (tmp_path / "results" / "ingest" / "record.json").is_file()
    assert not (bin_folder / "away").exists()
    # Phantom, index, two shards, and what gathers them.
    assert len(read_jobs(bin_folder)) == 5


@pytest.mark.slow
def test_a_job_that_fails_asks_for_more_each_time(tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    write_kubectl(bin_folder, environment={"PATH": "/nowhere"})
    options = ("--until", "phantom", "--seconds-between-status-checks", "1")
    done = snakemake(tmp_path, *options, "--max-status-checks-per-second", "10")
    assert done.returncode != 0
    jobs = read_jobs(bin_folder)
    asked = [read_container(job)["resources"]["limits"]["memory"] for job in jobs]
    assert asked == ["1000M", "2000M", "3000M"]
    assert [read_pod(job)["activeDeadlineSeconds"] for job in jobs] == [600, 1200, 1800]
