"""What Snakemake wrote down of a run in its own folder: whether one goes on, which jobs failed."""

import itertools
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

_TAIL_BYTES = 4 << 20
_CLOCK = "%a %b %d %H:%M:%S %Y"
_TIME = re.compile(r"\[([A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4})\]")
_LOG = re.compile(r" +log: (.+?) \(check log file")
_REFUSED = re.compile(r" +message: SLURM sbatch failed\. The error message was '(.*)")
_SBATCH = re.compile(r"^(sbatch: )?(error: )?")
# A folder's name may have spaces: what follows it in the sentence goes with it.
_PLACE = re.compile(r"(?<![\w/])[~.]{0,2}/[^:;,'\"]+")
_NEXT_LOG = re.compile(r", (?=[^,]*slurm_logs)")
_MOST_SAID = 300
_SENTENCE = re.compile(r" +message: (.+?)(?:\. |\.?$)")


@dataclass(frozen=True)
class Failure:
    """A job that Snakemake saw fail.

    Args:
        at_s: When, seconds since 1970.
        reason: What the scheduler said, "" where it said nothing.
        is_refusal: The scheduler did not take the job: nothing of it ran.
        further: Logs besides the job's own: of a queued job, what SLURM kept of it.
    """

    at_s: float
    reason: str
    further: tuple[Path, ...] = ()
    is_refusal: bool = False


@dataclass(frozen=True)
class LastRun:
    """The run that was started last from a folder.

    Args:
        is_over: No run goes on: what has begun and is not done will never be.
        failures: Log of a job, as its rule names it, to how it failed last.
    """

    is_over: bool
    failures: Mapping[str, Failure] = field(default_factory=dict)


def read_last_run(folder: Path, *, is_over: bool = False) -> LastRun:
    """Read what Snakemake keeps of its last run.

    Args:
        folder: Snakemake's own, `.snakemake` of the folder it was started in; where it is missing,
            nothing is known and a run may go on.
        is_over: The run has just ended, though its lock is still there.
    """
    logs = folder / "log"
    newest = max(logs.glob("*.snakemake.log"), default=None) if logs.is_dir() else None
    return LastRun(
        is_over=is_over or (folder.is_dir() and not _is_locked(folder)),
        failures=dict(_list_failures(read_tail(newest))) if newest else {},
    )


def _is_locked(folder: Path) -> bool:
    """Tell whether a run goes on: its locks are files or, as in the profile slurm, rows."""
    locks, database = folder / "locks", folder / "metadata.db"
    if locks.is_dir() and any(locks.iterdir()):
        return True
    if not database.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as held:
            return held.execute("SELECT 1 FROM snakemake_locks LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        # It is being written, or no such table is known: nothing says that the run is over.
        return True


def read_tail(path: Path, *, n_bytes: int = _TAIL_BYTES) -> list[str]:
    """Return the last lines of a log; none where it cannot be read.

    Args:
        path: The log.
        n_bytes: At most so many of its last bytes are read.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - n_bytes))
            return stream.read().decode(errors="replace").splitlines()
    except OSError:
        return []


def _list_failures(lines: list[str]) -> Iterator[tuple[str, Failure]]:
    """Yield the log of each job that failed, and how, in the order of their failing."""
    at_s, reason, is_error, is_refusal = 0.0, "", False, False
    for number, line in enumerate(lines):
        if clock := _TIME.fullmatch(line):
            at_s, is_error = time.mktime(time.strptime(clock[1], _CLOCK)), False
        elif line.startswith("Error in "):
            reason, is_error, is_refusal = "", True, False
        elif is_error and _REFUSED.match(line):
            reason, is_refusal = _say_refusal(lines[number:]), True
        elif is_error and (said := _SENTENCE.match(line)):
            reason = "" if said[1] == "None" else _leave_out_places(said[1])
        elif is_error and (found := _LOG.match(line)):
            own, *further = _NEXT_LOG.split(found[1])
            yield own, Failure(at_s, reason, tuple(map(Path, further)), is_refusal)


def _say_refusal(lines: list[str]) -> str:
    """Return what sbatch printed as it refused a job, in one line.

    It is quoted over several lines, and the call follows, which names folders of a user.
    """
    first = _REFUSED.match(lines[0])
    rest = itertools.takewhile(lambda line: not line.startswith(" "), lines[1:])
    said = [*(first.groups() if first else ()), *rest]
    told = "; ".join(filter(None, (_SBATCH.sub("", line.strip()) for line in said)))
    told = _leave_out_places(told.removesuffix("'."))
    return f"SLURM refused it: {told}"


def _leave_out_places(text: str) -> str:
    """Return what a scheduler said without a path in it, and no longer than a line may be."""
    return _PLACE.sub("…", text)[:_MOST_SAID]
