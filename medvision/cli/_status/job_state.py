"""How far a job is, from its record, its log and what Snakemake wrote down of the run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medvision import __version__
from medvision.cli._status.jobs import Job
from medvision.cli._status.last_run import Failure, LastRun, read_tail
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.errors import DataError
from medvision.layout import Layout
from medvision.runtime.files import read_json

STALE = ("unreadable", "other version", "other settings")
"""States of a job that is done and must be done again."""

_LOG_BYTES = 1 << 16
_LAST_LINES = 20
_CLOCK_S = 1.0  # Snakemake writes its times in whole seconds.
_TRACEBACK = "Traceback (most recent call last)"
_SILENT = "ended without a word: killed, or out of memory or time"


@dataclass(frozen=True)
class Standing:
    """How far a job is.

    Args:
        job: Which.
        state: done, unreadable, other version, other settings, failed, at work or left.
        error: Why it failed, in one line; "" where it did not.
        at_s: When its log was last written to, seconds since 1970; where there is none, when it
            failed, or 0.
        logs: Where more is said of its failure; none of a job that was never taken.
    """

    job: Job
    state: str
    error: str = ""
    at_s: float = 0.0
    logs: tuple[Path, ...] = ()

    @property
    def is_open(self) -> bool:
        """It has yet to be done, or done again."""
        return self.state != "done"


def judge_job(job: Job, study: Study, layout: Layout, *, last_run: LastRun) -> Standing:
    """Say how far a job is.

    Args:
        job: Which.
        study: The configuration in force.
        layout: Its output folder.
        last_run: What Snakemake wrote down.
    """
    state = _judge_part(job, study) if job.is_part else judge_step(study, layout, step=job.step)
    failure = _find_failure(job, last_run)
    if state != "missing" and failure is None:
        return Standing(job, state)
    log_s = _read_time(job.log)
    # One that ended well once, and whose outputs are gone, has yet to begin.
    if failure is None and (not log_s or _read_time(job.benchmark) >= log_s):
        return Standing(job, "left")
    # One that was refused, or killed as it started, may have failed without a log.
    at_s = max(log_s, failure.at_s if failure else 0.0)
    error = _find_error(job, failure, is_over=last_run.is_over)
    logs = _list_logs(job, failure, has_spoken=error.startswith("error: "))
    return Standing(job, "failed" if error else "at work", error, at_s, logs)


def _find_failure(job: Job, last_run: LastRun) -> Failure | None:
    """Return how a job failed last, where it has neither begun nor ended well since."""
    failure = last_run.failures.get(str(job.log))
    since_s = max(_read_time(path) for path in (job.log, job.benchmark, job.mark))
    return failure if failure is not None and failure.at_s + _CLOCK_S >= since_s else None


def judge_step(study: Study, layout: Layout, *, step: str) -> str:
    """Return a step's state: done, missing, unreadable, other version or other settings.

    Args:
        study: The configuration in force.
        layout: Its output folder.
        step: Step name.

    Returns:
        The state; files are not hashed here, `medvision audit verify` does that.
    """
    path = layout.record(step)
    if not path.is_file():
        return "missing"
    return _judge_held(read_held(path), study, step=step)


def _judge_part(job: Job, study: Study) -> str:
    """Return a part's state, as a step's; its mark says what the record of its step will."""
    if not job.mark.is_file():
        return "missing"
    held = read_held(job.mark)
    # A mark of before they held settings says no more than that the part is done.
    if held and "version" not in held:
        return "done"
    return _judge_held(held, study, step=job.step)


def _judge_held(held: Mapping[str, JsonValue], study: Study, *, step: str) -> str:
    """Return the state of what is done, by what its record or mark holds."""
    if not held:
        return "unreadable"
    if held.get("version") != __version__:
        return "other version"
    return "done" if held.get("parameters") == study.settings(step) else "other settings"


def read_held(path: Path) -> dict[str, JsonValue]:
    """Return what a record or a mark holds; nothing where it is missing or spoilt."""
    try:
        held = read_json(path)
    except DataError:
        return {}
    return held if isinstance(held, dict) else {}


def _read_time(path: Path) -> float:
    """Return when a file was last written to, 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _list_logs(job: Job, failure: Failure | None, *, has_spoken: bool) -> tuple[Path, ...]:
    """Return its log and, where it did not speak itself, what the scheduler kept: none is empty.

    Of a job that was refused there is none.
    """
    if failure is not None and failure.is_refusal:
        return ()
    logs = (job.log, *(failure.further if failure and not has_spoken else ()))
    return tuple(log for log in logs if log.is_file() and log.stat().st_size) or (job.log,)


def _find_error(job: Job, failure: Failure | None, *, is_over: bool) -> str:
    """Return why a job failed, "" for one that is at work.

    Of an error that is none of this project's own the kind alone is told: its text may name a file
    as the hospital does.
    """
    if failure is not None and failure.is_refusal:
        # Its log, where there is one, is of an earlier time.
        return failure.reason
    lines = read_tail(job.log, n_bytes=_LOG_BYTES)
    said = [line for line in lines[-_LAST_LINES:] if line.startswith("error: ")]
    if said:
        return said[-1]
    if _TRACEBACK in lines:
        kinds = [found[1] for line in lines if (found := re.match(r"([A-Za-z_.]+):( |$)", line))]
        return f"error: {kinds[-1] if kinds else 'unknown'}, which is told in full in the log"
    if failure is not None:
        return failure.reason or _SILENT
    return _SILENT if is_over else ""
