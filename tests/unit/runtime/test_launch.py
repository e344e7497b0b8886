"""Who starts whom: torchrun on one machine, srun and torchrun on several; and how it is told."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from medvision.errors import ConfigError, TrainingError
from medvision.runtime import launch as module
from medvision.runtime.launch import FOLDER_PREFIX, is_launcher, launch
from medvision.runtime.team import DONE, RENDEZVOUS, STOPPED
from medvision.runtime.team_commands import Shape, build_environment, build_srun, build_torchrun

ALONE = Shape(nodes=1, processes_per_node=1, threads=2)
ONE = Shape(nodes=1, processes_per_node=4, threads=2)
TWO = Shape(nodes=2, processes_per_node=4, threads=3)
WORDS = ["train", "--arm", "scratch", "--fold", "0"]


def test_one_process_trains_alone_and_several_are_started_once():
    assert not is_launcher(ALONE, {})
    assert not is_launcher(ALONE, {"WORLD_SIZE": "3"})
    assert is_launcher(ONE, {})
    assert not is_launcher(ONE, {"WORLD_SIZE": "4"})
    assert is_launcher(TWO, {RENDEZVOUS: "/shared/.team-x"})
    assert not is_launcher(TWO, {RENDEZVOUS: "/shared/.team-x", "WORLD_SIZE": "8"})


def test_processes_started_by_hand_must_be_as_many_as_the_configuration_asks_for():
    with pytest.raises(ConfigError, match=r"WORLD_SIZE must be 8, as .* say, got 4"):
        is_launcher(TWO, {"WORLD_SIZE": "4"})


def test_torchrun_meets_by_a_file_and_starts_the_command_in_each_process():
    words = build_torchrun(WORDS, shape=TWO, folder=Path("/shared/.team-x"))
    own, command = words[: words.index("-m")], words[words.index("-m") :]
    assert own == [
        *("--nnodes=2", "--nproc-per-node=4", "--max-restarts=0", "--rdzv-backend=c10d"),
        *("--rdzv-id=.team-x", "--rdzv-endpoint=/shared/.team-x/machines"),
        *("--rdzv-conf=store_type=file,keep_alive_interval=60", "--log-dir=/shared/.team-x/logs"),
    ]
    assert command == ["-m", "medvision", *WORDS]


def test_torchrun_itself_understands_the_arguments():
    from torch.distributed.run import config_from_args, parse_args

    words = build_torchrun(WORDS, shape=TWO, folder=Path("/shared/.team-x"))
    config, program, arguments = config_from_args(parse_args(words))
    assert (config.min_nodes, config.max_nodes, config.nproc_per_node) == (2, 2, 4)
    assert config.rdzv_configs["store_type"] == "file"
    assert (program, arguments) == (sys.executable, ["-u", "-m", "medvision", *WORDS])


def test_srun_starts_the_command_once_on_each_node_with_the_cores_of_its_processes():
    assert build_srun(WORDS, shape=TWO, environment={}) == [
        *("srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=12"),
        *("--export=ALL", "--overlap", "--kill-on-bad-exit=1", "--mpi=none"),
        *(sys.executable, "-m", "medvision", *WORDS),
    ]


@pytest.mark.parametrize(("given", "asked"), [("4", 4), ("12", 12), ("32", 12)])
def test_srun_asks_for_no_more_cores_than_the_job_was_given(given, asked):
    words = build_srun(WORDS, shape=TWO, environment={"SLURM_CPUS_PER_TASK": given})
    assert f"--cpus-per-task={asked}" in words


def test_processes_of_one_machine_listen_where_no_other_machine_reaches():
    made = build_environment({"HOME": "/h"}, shape=ONE, folder=Path("/shared/.team-x"))
    assert made["GLOO_SOCKET_IFNAME"].startswith("lo")
    assert made["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] == "1"
    assert made[RENDEZVOUS] == "/shared/.team-x"
    assert made["HOME"] == "/h"


def test_the_interface_that_a_user_names_is_kept():
    for shape in (ONE, TWO):
        made = build_environment({"GLOO_SOCKET_IFNAME": "ib0"}, shape=shape, folder=Path("/x"))
        assert made["GLOO_SOCKET_IFNAME"] == "ib0"


def test_each_process_has_its_own_threads_and_not_those_of_the_whole_job():
    held = {"OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "8"}
    made = build_environment(held, shape=ONE, folder=Path("/x"))
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    assert {made[f"{name}_NUM_THREADS"] for name in names} == {"2"}


def answer(*addresses: str):
    return lambda *_: [(0, 0, 0, "", (address, 0)) for address in addresses]


def test_a_node_whose_name_leads_to_itself_alone_is_refused(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", answer("127.0.1.1", "::1"))
    with pytest.raises(ConfigError, match=r"the others reach, got 127.0.1.1, ::1") as caught:
        build_environment({}, shape=TWO, folder=Path("/x"))
    assert "GLOO_SOCKET_IFNAME=NAME" in caught.value.hint
    monkeypatch.setattr(socket, "getaddrinfo", answer("127.0.1.1", "10.0.0.7"))
    assert "GLOO_SOCKET_IFNAME" not in build_environment({}, shape=TWO, folder=Path("/x"))


def test_several_nodes_need_a_job_of_slurm(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(ConfigError, match=r"compute.nodes: value must be 1 outside .*, got 2"):
        launch(WORDS, shape=TWO, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_srun_started_on_each_node_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    with pytest.raises(ConfigError, match="must be started once, got a step of SLURM with 2 tasks"):
        launch(WORDS, shape=TWO, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def srun(tmp_path, monkeypatch):
    """Put a script in the place of srun, in a job."""

    def write(script: str) -> None:
        path = tmp_path / "bin" / "srun"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_ID", "1")

    return write


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (f'touch "${RENDEZVOUS}/{DONE}"', 0),
        (f'touch "${RENDEZVOUS}/{STOPPED}"; exit 1', 75),
        ("exit 7", 7),
        ("kill -KILL $$", 137),
    ],
)
def test_the_end_is_told_by_the_processes_and_nothing_of_the_start_is_left(
    srun, tmp_path, script, code
):
    srun(script)
    assert launch(WORDS, shape=TWO, root=tmp_path / "results") == code
    assert list((tmp_path / "results").iterdir()) == []


def test_an_end_of_srun_that_the_processes_know_nothing_of_is_no_success(srun, tmp_path):
    srun("exit 0")
    with pytest.raises(TrainingError, match="got no word of that"):
        launch(WORDS, shape=TWO, root=tmp_path)


@pytest.mark.parametrize("name", ["TERM", "USR1", "INT", "HUP"])
def test_a_signal_reaches_the_processes_by_a_file_since_srun_would_end_them_at_once(
    srun, tmp_path, name
):
    # Until it is told to stop; the signal itself would end the script.
    wait = f'until [ -e "${RENDEZVOUS}/stop" ]; do sleep 0.1; done'
    srun(f'kill -{name} $PPID; {wait}; touch "${RENDEZVOUS}/{STOPPED}"; exit 1')
    assert launch(WORDS, shape=TWO, root=tmp_path) == 75


def test_each_start_meets_in_a_folder_of_its_own_that_only_its_user_reads(tmp_path):
    with module._open_rendezvous(tmp_path) as one, module._open_rendezvous(tmp_path) as other:
        assert one != other
        assert one.is_absolute()
        assert one.name.startswith(FOLDER_PREFIX)
        assert stat.S_IMODE(one.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_a_wait_that_is_cut_off_leaves_no_process_behind(tmp_path):
    process = subprocess.Popen(["sleep", "600"])
    with pytest.raises(OSError, match="full"), module._ending(process):
        raise OSError("full")
    assert process.returncode == -signal.SIGTERM
