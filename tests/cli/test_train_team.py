"""`medvision train` as the configuration asks for: by several processes, which it starts itself."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy_study import make_study

from medvision.errors import StoppedError
from medvision.layout import Layout

FIT = {"epochs": 12, "patience": 12}
WANTED = ("train", "--arm", "scratch", "--fold", "0")
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
TEAM = {"processes_per_node": 2}


def start(study, *launcher: str) -> "subprocess.Popen[str]":
    words = [*launcher, "medvision", *WANTED, "--config", study.model_dump_json()]
    # A session of its own, so that none of its processes outlives the test.
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def digest(study) -> dict[str, str]:
    folder = Layout(study.output.path).seed("scratch", 0, seed=0)
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file()
    }


def read_environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def list_members(folder: Path) -> list[int]:
    """The processes that train together below an output folder."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [
        pid
        for pid in pids
        if (held := read_environment(pid))
        and b"\0WORLD_SIZE=2\0" in held
        and f"MEDVISION_RENDEZVOUS={folder}/".encode() in held
    ]


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    study = make_study(tmp_path_factory.mktemp("by-hand"), train=FIT)
    process = start(study, *TORCHRUN)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    return study


@pytest.mark.slow
def test_a_team_that_is_told_to_stop_goes_on_to_be_the_one_that_is_started_by_hand(
    by_hand, tmp_path
):
    study = make_study(tmp_path / "results", train=FIT, compute=TEAM)
    process = start(study)
    assert process.stderr is not None
    said = ""
    while "epoch 2:" not in said:
        said += (line := process.stderr.readline())
        assert line, said
    process.send_signal(signal.SIGUSR1)
    said += process.communicate(timeout=100)[1]
    assert process.returncode == StoppedError.exit_code, said
    assert "it was asked to stop in epoch" in said
    again = start(study)
    said = again.communicate(timeout=200)[1]
    assert again.returncode == 0, said
    assert "training by 2 processes on 1 nodes" in said
    assert "resuming after epoch" in said
    assert digest(study) == digest(by_hand)
    record = json.loads(Layout(study.output.path).record("train/scratch/fold-0").read_text())
    assert record["facts"]["processes"] == 2
    assert list(study.output.path.glob(".team-*")) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel kills no child")
def test_no_process_is_left_over_where_the_one_that_started_them_is_killed(tmp_path):
    study = make_study(tmp_path / "results", train={"epochs": 5000, "patience": 5000}, compute=TEAM)
    process = start(study)
    assert process.stderr is not None
    while "epoch 1:" not in process.stderr.readline():
        assert process.poll() is None
    members = list_members(study.output.path)
    assert len(members) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 20
    while list_members(study.output.path) and time.monotonic() < end:
        time.sleep(0.2)
    assert list_members(study.output.path) == []
