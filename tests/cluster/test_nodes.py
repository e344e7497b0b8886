"""Nodes and the controller come and go under a run; its results stay equal."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster.runs import HERE, Run
from cluster.slurm import NODES, Cluster, wait_for


def test_every_node_is_ready_and_listens_on_loopback_alone(cluster: Cluster) -> None:
    listening = cluster.call("ss", "-Hltnp", check=False)
    own = [line.split()[3] for line in listening.splitlines() if "slurm" in line or "munge" in line]
    assert len(own) >= len(NODES)
    assert {place.rpartition(":")[0] for place in own} <= {"127.0.0.1"}
    assert cluster.call("sinfo", "-h", "-N", "-p", "cpu", "-o", "%N").split() == list(NODES)


def test_a_job_gets_the_fake_gpu_that_it_asks_for(cluster: Cluster, tmp_path) -> None:
    job = cluster.submit(
        "echo gpu $CUDA_VISIBLE_DEVICES\n", "-p", "gpu", "--gres=gpu:1", "-W", folder=tmp_path
    )
    assert (tmp_path / f"slurm-{job}.out").read_text() == "gpu 0\n"


def test_two_processes_at_one_part_would_be_noticed(cluster: Cluster, tmp_path: Path) -> None:
    words = [sys.executable, str(HERE / "act.py"), "1", "out.txt", "--pause"]
    first = subprocess.Popen([*words, "60"], cwd=tmp_path)
    run = Run(cluster, tmp_path)
    try:
        wait_for(lambda: bool(run.list_seen("starts")), seconds=180, what="start")
        wait_for((tmp_path / "out.txt").exists, seconds=180, what="half a file")
        subprocess.run([*words, "0"], cwd=tmp_path, check=True)
    finally:
        first.kill()
        first.wait()
    assert len(run.list_seen("overlaps")) == 1
    subprocess.run([*words, "0"], cwd=tmp_path, check=True)
    assert len(run.list_seen("overlaps")) == 1, "a killed process holds nothing"


def test_a_number_that_a_controller_gave_out_again_is_of_two_jobs(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One that lost its state began to count anew: each part ran under both numbers.
    starts = ("1 starts 0 43", "2 starts 0 44", "2 starts 9 43", "1 starts 9 44", "1 starts 9 45")
    (tmp_path / "seen.txt").write_text("\n".join(starts))
    span = {"StartTime": "2026-01-01T00:00:00", "EndTime": "2026-01-01T00:00:09"}
    ended = [{"JobId": job, **span} for job in ("43", "44", "45", "46")]
    monkeypatch.setattr(Cluster, "list_ended", lambda _: ended)
    assert Run(cluster, tmp_path).list_overlaps() == []
    (tmp_path / "seen.txt").write_text("\n".join((*starts, "1 starts 12 46")))
    assert Run(cluster, tmp_path).list_overlaps() == [("45", "46")]


def test_a_job_that_slurm_requeues_is_not_at_work_twice(undisturbed: Run, start: type[Run]) -> None:
    run = start(pause=6)
    run.start()
    wait_for(lambda: len(run.list_seen("starts")) == 2, seconds=180, what=f"2 starts\n{run.log}")
    job = run.list_seen("starts")[0][1]
    run.cluster.call("scontrol", "requeue", job)
    assert run.finish(240) == 0, run.log
    assert [seen for _, seen in run.list_seen("starts")].count(job) == 2
    assert run.is_equal(undisturbed)
    assert run.list_overlaps() == []


def test_what_ran_on_a_lost_node_runs_elsewhere(undisturbed: Run, start: type[Run]) -> None:
    run = start(pause=8)
    run.start()
    wait_for(lambda: len(run.list_seen("starts")) == 2, seconds=180, what=f"2 starts\n{run.log}")
    jobs = {job for _, job in run.list_seen("starts")}
    node = run.cluster.show(min(jobs))["NodeList"]
    run.cluster.kill(node)
    try:
        assert run.finish(240) == 0, run.log
    finally:
        run.cluster.start(node)
    assert run.is_equal(undisturbed)
    assert len(run.list_seen("starts")) > 2, "something did run on the node"
    assert run.list_overlaps() == []
    run.cluster.wait_idle()


def test_a_drained_node_ends_its_work_and_gets_no_more(undisturbed: Run, start: type[Run]) -> None:
    run = start(pause=3)
    cluster = run.cluster
    cluster.call("scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=test")
    try:
        assert run.start().finish() == 0, run.log
        nodes = {cluster.show(job)["NodeList"] for _, job in run.list_seen("starts")}
    finally:
        cluster.call("scontrol", "update", "NodeName=n1", "State=RESUME")
    assert "n1" not in nodes
    assert run.is_equal(undisturbed)


def test_an_outage_of_the_controller_is_outlived(undisturbed: Run, start: type[Run]) -> None:
    # One killed within seconds of a job's start may have forgotten that, and starts the job anew
    # under its number. A round of the plugin's polls that begins in an outage asks sacct, which
    # without accounting never answers: until the watchdog comes.
    run = start(pause=4)
    run.start("--patience", "0.7", "--max-status-checks-per-second", "0.2")
    wait_for(lambda: len(run.list_seen("starts")) == 2, seconds=180, what=f"2 starts\n{run.log}")
    run.cluster.kill("slurmctld")
    time.sleep(20)
    run.cluster.start("slurmctld")
    assert run.finish(240) == 0, run.log
    assert run.is_equal(undisturbed)
    assert run.list_overlaps() == []
