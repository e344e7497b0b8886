"""Whatever becomes of the leading process: no orphan, no job at work twice, equal results."""

import os
import re
import signal

import pytest
from cluster.runs import Run, freeze_and_kill
from cluster.slurm import Cluster, wait_for


@pytest.fixture(scope="module")
def five_faults(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose parts fail once, hold too much, take too long, end before, or lose a disk."""
    faults = {"1": "fail", "2": "memory", "3": "time", "4": "deadline", "5": "scratch"}
    folder = tmp_path_factory.mktemp("faults")
    (folder / "scratch").mkdir()
    run = Run(cluster, folder, faults=faults, parts=5, scratch=folder / "scratch")
    return run.start()


@pytest.fixture(scope="module", autouse=True)
def together(undisturbed: Run, five_faults: Run) -> None:
    """Start the run that mostly waits before the tests that do not."""


def wait_for_start(run: Run, n: int = 1) -> None:
    wait_for(
        lambda: len(run.list_seen("starts")) >= n,
        seconds=180,
        what=f"start of {n} parts\n{run.log}",
    )


def own_jobs(run: Run) -> list[str]:
    """The numbers of a run's jobs that have not ended, by its folder."""
    text = run.cluster.call("squeue", "-h", "-o", "%i|%Z")
    rows = [line.split("|") for line in text.splitlines()]
    return [number for number, folder in rows if folder == str(run.folder)]


def test_names_of_jobs_tell_nothing(undisturbed: Run) -> None:
    names = {row["Name"] for row in undisturbed.cluster.list_ended()}
    assert names
    assert all(re.fullmatch(r"mv-[0-9a-f]{8}_[0-9a-f-]{36}", name) for name in names), names


def test_a_second_run_of_one_output_folder_is_refused_and_the_first_one_cancelled(
    start: type[Run],
) -> None:
    run = start(pause=60)
    run.start()
    wait_for_start(run)
    first = run.process
    assert run.start().finish() == 14
    run.process = first
    assert "one process alone must lead" in run.log
    assert own_jobs(run), "the refusal harms nothing"
    done = run.cancel()
    assert done.returncode == 0, done.stderr
    assert "No run of this study is left" in done.stdout
    assert own_jobs(run) == []
    assert run.finish(5) == 75


def test_a_terminated_leader_cancels_its_jobs_and_the_same_command_goes_on(
    undisturbed: Run, start: type[Run]
) -> None:
    run = start(pause=20)
    run.start()
    wait_for_start(run)
    assert run.process is not None
    run.process.terminate()
    assert run.finish(60) == 75
    assert own_jobs(run) == []
    assert run.result is None
    run.pause = 1
    assert run.start().finish() == 0, run.log
    assert run.is_equal(undisturbed)
    assert run.list_overlaps() == []


def test_after_a_killed_leader_no_job_is_at_work_twice(undisturbed: Run, start: type[Run]) -> None:
    run = start(pause=20)
    run.start()
    wait_for_start(run, 2)
    freeze_and_kill(run)
    assert len(own_jobs(run)) == 2, "a killed leader leaves its jobs behind"
    run.pause = 1
    assert run.start().finish() == 0, run.log
    assert "jobs of it cancelled: 2" in run.log
    assert run.is_equal(undisturbed)
    assert run.list_overlaps() == []
    assert len(run.list_seen("starts")) == 4


def test_a_killed_snakemake_is_replaced_by_its_leader(undisturbed: Run, start: type[Run]) -> None:
    run = start(pause=5)
    run.start()
    wait_for_start(run)
    for pid in run.find_children():
        os.kill(pid, signal.SIGKILL)
    assert run.finish() == 0, run.log
    assert "was ended by SIGKILL; it is started again" in run.log
    assert run.is_equal(undisturbed)
    assert run.list_overlaps() == []


def test_where_the_leader_alone_is_killed_snakemake_cancels_its_jobs(start: type[Run]) -> None:
    run = start(pause=60)
    run.start()
    wait_for_start(run)
    assert run.process is not None
    run.process.kill()
    wait_for(lambda: not own_jobs(run), seconds=30, what="cancelled jobs")


def test_a_leader_that_hangs_with_an_empty_queue_is_started_again(
    undisturbed: Run, start: type[Run]
) -> None:
    run = start(pause=8)
    run.start("--patience", "0.5")
    wait_for_start(run, 2)
    # Stopped, Snakemake notices nothing more; the watchdog must.
    (snakemake,) = run.find_children()
    os.kill(snakemake, signal.SIGSTOP)
    wait_for(lambda: not own_jobs(run), seconds=40, what="an empty queue")
    wait_for(lambda: "did nothing while no job" in run.log, seconds=240, what="the watchdog")
    assert run.finish() == 0, run.log
    assert run.is_equal(undisturbed)


def test_failure_memory_time_a_deadline_and_lost_scratch_are_met_by_the_next_attempt(
    undisturbed: Run, five_faults: Run
) -> None:
    assert five_faults.finish(300) == 0, five_faults.log
    assert five_faults.is_equal(undisturbed)
    assert five_faults.list_states("1") == ["FAILED", "COMPLETED"]
    # Without accounting and cgroups SLURM calls it FAILED; with them OUT_OF_MEMORY. Once it said
    # COMPLETED, since srun may end with 0 where its step was killed; then the output is missing.
    assert five_faults.list_states("2") in (["FAILED", "COMPLETED"], ["COMPLETED"] * 2)
    assert five_faults.list_states("3") == ["TIMEOUT", "COMPLETED"]
    # It ended by itself, with 75, and what it kept outlived the failed attempt.
    assert five_faults.list_states("4") == ["FAILED", "COMPLETED"]
    # Its folder of temporary files was gone; Snakemake makes it anew before each attempt.
    assert five_faults.list_states("5") == ["FAILED", "COMPLETED"]
    assert five_faults.list_overlaps() == []
    logs = (five_faults.folder / ".snakemake" / "slurm_logs").rglob("*.log")
    assert any("exceeded memory limit" in path.read_text() for path in logs)
