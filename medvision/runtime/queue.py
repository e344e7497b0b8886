"""The jobs that SLURM has of one study, told by their name."""

import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from medvision.errors import ClusterError

_QUERY_S = 60
_ENDED_S = 300
_PAUSE_S = 2.0


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits or runs.

    Args:
        number: SLURM's number of it.
        name: Its name: the study's prefix, and Snakemake's number of the run.
        state: SLURM's word, such as PENDING or RUNNING.
    """

    number: str
    name: str
    state: str

    @property
    def is_ending(self) -> bool:
        """Whether its work is over and its node alone is being cleared."""
        return self.state == "COMPLETING"


def list_queued(prefix: str) -> list[QueuedJob]:
    """Return one's own jobs whose names begin with a prefix and that have not ended.

    Args:
        prefix: What a study's jobs are named by.

    Raises:
        ClusterError: SLURM does not answer.
    """
    text = _ask("squeue", "--noheader", f"--user={os.getuid()}", "--format=%A|%j|%T")
    rows = (line.split("|") for line in text.splitlines())
    jobs = [QueuedJob(*(word.strip() for word in row)) for row in rows if len(row) == 3]
    is_named = re.compile(re.escape(prefix) + r"(_|$)").match
    return [job for job in jobs if is_named(job.name)]


def ask_to_end(prefix: str) -> set[str]:
    """Ask SLURM once to cancel a study's jobs, and do not wait for their end.

    Args:
        prefix: What the study's jobs are named by.

    Returns:
        The numbers of the jobs: those that are not ending already.

    Raises:
        ClusterError: SLURM does not answer.
    """
    numbers = [job.number for job in list_queued(prefix) if not job.is_ending]
    if numbers:
        # A job may end between the two questions, which is no failure: whoever needs to know that
        # none is left asks again.
        _run("scancel", *numbers)
    return set(numbers)


def cancel_jobs(prefix: str) -> int:
    """Cancel a study's jobs, and wait until none is left.

    Args:
        prefix: What the study's jobs are named by.

    Returns:
        How many there were that had not ended of themselves.

    Raises:
        ClusterError: SLURM does not answer, or a job does not end.
    """
    cancelled: set[str] = set()
    end = time.monotonic() + _ENDED_S
    while jobs := list_queued(prefix):
        if time.monotonic() > end:
            numbers = ", ".join(job.number for job in jobs)
            raise ClusterError(
                f"cluster: cancelled jobs must end within {_ENDED_S} s, got {numbers} left.",
                "ask SLURM with `scontrol show job`, and the cluster's staff about a job stuck in "
                "COMPLETING.",
            )
        # Again each time: a job may be submitted while others are being cancelled.
        cancelled |= ask_to_end(prefix)
        time.sleep(_PAUSE_S)
    return len(cancelled)


def wait_for_jobs(prefix: str, *, should_stop: Callable[[], bool]) -> int:
    """Wait until a study's jobs have ended by themselves.

    Args:
        prefix: What the study's jobs are named by.
        should_stop: Asked every few seconds whether to wait no longer.

    Returns:
        How many there were at first.

    Raises:
        ClusterError: SLURM does not answer.
    """
    first = jobs = list_queued(prefix)
    while jobs and not should_stop():
        time.sleep(_PAUSE_S)
        jobs = list_queued(prefix)
    return len(first)


def _ask(*words: str) -> str:
    """Run one of SLURM's clients, and return what it printed."""
    done = _run(*words)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ClusterError(f"cluster: {words[0]} must answer, got: {said[-1] if said else ''}.")
    return done.stdout


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run one of SLURM's clients, whatever its exit code."""
    # A user's own variables hide jobs, as SQUEUE_PARTITION does.
    hiding = ("SQUEUE_", "SCANCEL_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(hiding)}
    try:
        return subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=_QUERY_S, env=kept
        )
    except FileNotFoundError as error:
        raise ClusterError(
            f"cluster: {words[0]} must be on PATH, got none.",
            "run this on a node from which jobs are submitted (`module load slurm` on some).",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"cluster: {words[0]} must answer, got none in {_QUERY_S} s.") from error
