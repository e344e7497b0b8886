"""What jobs took, and from that how long the others will take."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from medvision.cli._status.job_state import Standing, read_held
from medvision.cli._status.jobs import Job
from medvision.cli._status.last_run import read_tail
from medvision.layout import Layout

_TOLD = re.compile(r"(\d+):(\d\d):(\d\d) left")
_LOG_BYTES = 1 << 12


@dataclass(frozen=True)
class Took:
    """What Snakemake measured of a job that ended well.

    Args:
        seconds: From start to end.
        cpu_s: Seconds of processors.
        end_s: When it ended, seconds since 1970.
    """

    seconds: float
    cpu_s: float
    end_s: float


@dataclass(frozen=True)
class Spent:
    """What a study's jobs that are done took together, in hours."""

    job_hours: float
    cpu_hours: float
    gpu_hours: float


def read_took(job: Job) -> Took | None:
    """Return what a job took when it last ended well; None where that is not known."""
    try:
        with job.benchmark.open(newline="") as stream:
            row = list(csv.DictReader(stream, delimiter="\t"))[-1]
        end_s = job.benchmark.stat().st_mtime
        return Took(float(row["s"]), _parse(row.get("cpu_time", "")), end_s)
    except (OSError, IndexError, KeyError, ValueError):
        return None


def estimate_left(standings: Sequence[Standing]) -> float | None:
    """Return the seconds that jobs of one kind will take from now, or None where nothing tells.

    An open job takes what it took before, or the mean of the others, or what its log says. As
    many are taken to run side by side as did so far, or do now; what begins late is not foreseen.

    Args:
        standings: All jobs of the kind.
    """
    open_ones = [item for item in standings if item.is_open]
    if not open_ones:
        return 0.0
    known = [took for item in standings if not item.is_open and (took := read_took(item.job))]
    mean_s = sum(took.seconds for took in known) / len(known) if known else None
    seconds = [_foresee(item, mean_s=mean_s) for item in open_ones]
    if None in seconds:
        return None
    told = [value for value in seconds if value is not None]
    n_now = sum(item.state == "at work" for item in open_ones)
    return max(sum(told) / max(count_beside(known), n_now, 1), *told)


def count_beside(known: Sequence[Took]) -> float:
    """Return how many jobs ran side by side on average, while any ran: pauses do not count.

    Args:
        known: What they took.
    """
    busy_s, until_s = 0.0, 0.0
    for took in sorted(known, key=lambda item: item.end_s - item.seconds):
        start_s = max(took.end_s - took.seconds, until_s)
        busy_s += max(0.0, took.end_s - start_s)
        until_s = max(until_s, took.end_s)
    return sum(took.seconds for took in known) / busy_s if busy_s else 1.0


def sum_spent(standings: Sequence[Standing], layout: Layout) -> Spent:
    """Return what the jobs that are done took; attempts that failed left no figure.

    A job's GPUs are those of its processes, where its record names another device than the CPU.

    Args:
        standings: All jobs.
        layout: Where their records lie.
    """
    job_s = cpu_s = gpu_s = 0.0
    for item in standings:
        took = None if item.is_open else read_took(item.job)
        if took is None:
            continue
        job_s, cpu_s = job_s + took.seconds, cpu_s + took.cpu_s
        gpu_s += took.seconds * _count_gpus(item.job, layout)
    return Spent(job_s / 3600, cpu_s / 3600, gpu_s / 3600)


def _count_gpus(job: Job, layout: Layout) -> int:
    """Return how many GPUs a job had, from its step's record."""
    record = read_held(layout.record(job.step))
    if record.get("device", "cpu") == "cpu":
        return 0
    facts = record.get("facts")
    processes = facts.get("processes", 1) if isinstance(facts, dict) else 1
    return processes if isinstance(processes, int) else 1


def _foresee(item: Standing, *, mean_s: float | None) -> float | None:
    """Return the seconds that an open job will take."""
    lines = read_tail(item.job.log, n_bytes=_LOG_BYTES) if item.state == "at work" else []
    told = [found for line in lines if (found := _TOLD.search(line))]
    if told:
        hours, minutes, seconds = (int(text) for text in told[-1].groups())
        return float(3600 * hours + 60 * minutes + seconds)
    took = read_took(item.job)
    return mean_s if took is None else took.seconds


def _parse(text: str) -> float:
    """Return a figure of Snakemake's table; 0 for one that it could not measure."""
    try:
        return float(text)
    except ValueError:
        return 0.0
