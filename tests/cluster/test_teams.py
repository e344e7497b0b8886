"""A training that the profile divides over two nodes, also when it is warned on the way."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from cluster.runs import CHECKOUT, QUICK, list_jobs
from cluster.slurm import Cluster, wait_for
from pipeline import TINY, list_commands, run, write_config

from medvision.layout import Layout
from medvision.runtime.files import hash_file

PROFILE = CHECKOUT / "workflow" / "profiles" / "slurm"
SITE = {"partitions": [{"name": "cpu", "runtime": 60, "mem_mb": 8000, "cpus": 4}]}
STUDY = {
    **TINY,
    "model": {"weights": "none"},
    "train": {"epochs": 30, "patience": 30, "batch_size": 4},
}
TEAM = {"compute": {"nodes": 2, "device": "cpu"}}
BY_HAND = {"compute": {"device": "cpu"}}
WANTED = "train/scratch/fold-0"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny study up to its arrays, which no processes concern."""
    config = write_config(tmp_path_factory.mktemp("prepared"), {**STUDY, **TEAM})
    for arguments in list_commands(config):
        if arguments[0] == "train":
            return config.parent
        run(arguments)
    raise AssertionError("no training")


def copy_study(prepared: Path, folder: Path, changes: Mapping[str, Mapping[str, object]]) -> Layout:
    """Copy a study; times are kept, so that Snakemake finds the earlier steps done."""
    shutil.copytree(prepared, folder)
    (folder / "site.yaml").write_text(yaml.safe_dump(SITE))
    write_config(folder, {**STUDY, **changes, "cluster": {"site": str(folder / "site.yaml")}})
    return Layout(folder / "results")


@contextmanager
def started(
    folder: Path, *words: str, environment: Mapping[str, str] = os.environ
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a module of Python in a folder beside the test, which it does not outlive."""
    path = f"{environment['PATH']}:{Path(sys.executable).parent}"
    own = {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1", "PATH": path}
    with (folder / "said.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=folder,
            env={**environment, **own},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def read_said(folder: Path) -> str:
    """Return what a command and its jobs said."""
    logs = [folder / "said.log", *sorted(folder.glob("results/logs/train/*.log"))]
    return "".join(path.read_text() for path in logs)


def digest(layout: Layout) -> dict[str, str]:
    """Return the digest of each file of the network."""
    folder = layout.seed("scratch", 0, seed=0)
    return {path.name: hash_file(path) for path in sorted(folder.iterdir()) if path.is_file()}


def test_two_nodes_that_are_warned_go_on_to_train_what_two_processes_by_hand_do(
    cluster: Cluster, prepared: Path, tmp_path: Path
) -> None:
    divided = copy_study(prepared, tmp_path / "divided", TEAM)
    by_hand = copy_study(prepared, tmp_path / "by-hand", BY_HAND)
    folders = [divided.root.parent, by_hand.root.parent]
    log = divided.root / "logs" / "train" / "scratch-fold-0.log"
    # All nodes of this cluster are one machine, whose own name may lead to nowhere.
    environment = {**cluster.environment, "GLOO_SOCKET_IFNAME": "lo"}
    with (
        started(
            folders[0],
            *("snakemake", "--snakefile", str(CHECKOUT / "Snakefile"), "--configfile"),
            *("config.yaml", "--workflow-profile", str(PROFILE), *QUICK),
            str(divided.record(WANTED)),
            environment=environment,
        ) as run_by_rule,
        started(
            folders[1],
            *("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"),
            *("medvision", "train", "--arm", "scratch", "--fold", "0", "--config", "config.yaml"),
        ) as run_by_hand,
    ):
        wait_for(lambda: log.is_file() and "epoch 2:" in log.read_text(), seconds=200, what="start")
        (job,) = list_jobs(cluster, folders[0]).values()
        # As --signal=USR1@60 and preemption do: the steps on both nodes.
        cluster.call("scancel", "--signal=USR1", job["JobId"])
        assert run_by_hand.wait(200) == 0, read_said(folders[1])
        assert run_by_rule.wait(200) == 0, read_said(folders[0])
    assert "resuming after epoch" in log.read_text()
    jobs = list(list_jobs(cluster, folders[0]).values())
    assert [job["JobState"] for job in jobs] == ["FAILED", "COMPLETED"]
    for job in jobs:
        assert (job["NumNodes"], job["NumTasks"], job["CPUs/Task"]) == ("2", "2", "1")
    assert json.loads(divided.record(WANTED).read_text())["facts"]["processes"] == 2
    assert digest(divided) == digest(by_hand)
    assert list(divided.root.glob(".team-*")) == []
