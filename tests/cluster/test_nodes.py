"""Nodes and the controller come and go under a run; its results stay equal."""

import time

from cluster.runs import Run
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


def test_what_ran_on_a_lost_node_runs_elsewhere(undisturbed: Run, start: type[Run]) -> None:
    run = start(pause=8)
    run.start()
    wait_for(lambda: len(run.list_seen("starts")) == 2, seconds=60, what=f"2 starts\n{run.log}")
    jobs = {job for _, job in run.list_seen("starts")}
    node = run.cluster.show(min(jobs))["NodeList"]
    run.cluster.kill(node)
    try:
        assert run.finish(240) == 0, run.log
    finally:
        run.cluster.start(node)
    assert run.is_equal(undisturbed)
    assert len(run.list_seen("starts")) > 2, "something did run on the node"
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
    # A round of the plugin's polls that begins in an outage asks sacct, which without accounting
    # never answers: until the watchdog comes.
    run = start(pause=4)
    run.start("--patience", "0.7", "--max-status-checks-per-second", "0.2")
    wait_for(lambda: len(run.list_seen("starts")) == 2, seconds=60, what=f"2 starts\n{run.log}")
    run.cluster.kill("slurmctld")
    time.sleep(20)
    run.cluster.start("slurmctld")
    assert run.finish(240) == 0, run.log
    assert run.is_equal(undisturbed)
    assert run.list_overlaps() == []
