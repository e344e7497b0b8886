"""Being asked to stop: SIGTERM, SIGUSR1, or a job's time that is nearly over."""

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from medvision.errors import ConfigError, StoppedError

TIME_LIMIT = "MEDVISION_TIME_LIMIT_MIN"
"""Minutes that a batch system gives the job; the workflow sets it from `resources.runtime`."""

# Elsewhere nobody kills a job whose time is over. The last is set by the profile kubernetes.
_BATCH_SYSTEMS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "MEDVISION_JOB")
_SPARE_SHARE = 0.1
_SPARE_S = (20.0, 600.0)
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
_OVER = "the job's time is nearly over"
_TOLD = "a signal came to the process that started this one"
_LOOK_S = 1.0

_log = logging.getLogger(__name__)


@contextmanager
def heed_stop(
    *, is_patient: bool = False, mark: Path | None = None
) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether a signal has come, or its time; the process goes on.

    The signals are SIGTERM and SIGUSR1, the usual choice where a scheduler is asked to warn a job
    (`sbatch --signal`). A second SIGTERM does what it did before, which is most often to kill; a
    second SIGUSR1 does nothing. Outside the main thread, where no handler can be set, both do what
    they did before. A scheduler's signal does not reach every process of a job, so its coming is
    foretold from the job's time limit. A StoppedError that passes says which it was.

    Args:
        is_patient: Note further ones too, as where a scheduler and torchrun each send one.
        mark: File whose coming is heeded as a signal is, where none would get through.

    Raises:
        ConfigError: The time limit in the environment is no number of minutes.
    """
    is_over = _watch_clock(plan_seconds(os.environ, age_s=_measure_age_s()))
    is_told = _watch_file(mark)
    with _noting(is_patient=is_patient) as came:
        try:
            yield lambda: bool(came) or is_told() or is_over()
        except StoppedError as error:
            early = f"{came[0]} came" if came else _TOLD if is_told() else ""
            cause = early or (_OVER if is_over() else "")
            # Of several processes one alone may have been asked.
            if not cause:
                raise
            raise StoppedError(f"{error.message.removesuffix('.')}: {cause}.", error.hint) from None


@contextmanager
def _noting(*, is_patient: bool) -> Iterator[list[str]]:
    """Yield the names of the signals that came, in their order."""
    came: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}

    def note(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
        came.append(signal.Signals(signum).name)
        if signum == signal.SIGTERM and not is_patient:
            signal.signal(signum, before[signal.SIGTERM])

    for signum in _SIGNALS:
        signal.signal(signum, note)
    try:
        yield came
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def plan_seconds(environment: Mapping[str, str], *, age_s: float) -> float:
    """Return for how long a process may go on until it should keep where it is.

    A tenth of the limit is spared for the step under way, for validation and for writing, at
    least 20 s, at most 10 minutes and never more than half.

    Args:
        environment: Variables of the process: the limit, which batch system runs it, and where
            the batch system says so when it will end the job.
        age_s: Seconds that the process has run.

    Returns:
        Seconds from now, below 0 where the time is over; infinite where nothing limits it.

    Raises:
        ConfigError: The limit is no number of minutes above 0.
    """
    if not any(name in environment for name in _BATCH_SYSTEMS):
        return math.inf
    text = environment.get(TIME_LIMIT, "inf")
    try:
        limit_s = 60 * float(text)
    except ValueError:
        limit_s = math.nan
    if not limit_s > 0:
        raise ConfigError(
            f"environment: {TIME_LIMIT} must be minutes above 0, got {text!r}.",
            "the workflow sets it from resources.runtime.",
        )
    left_s = limit_s - age_s
    end = environment.get("SLURM_JOB_END_TIME", "")
    if end.isdecimal():
        left_s = min(left_s, int(end) - time.time())
    least, most = _SPARE_S
    whole_s = min(limit_s, left_s + age_s)
    spare_s = min(most, max(least, _SPARE_SHARE * whole_s), whole_s / 2)
    return left_s - spare_s if math.isfinite(left_s) else math.inf


def _watch_clock(seconds: float) -> Callable[[], bool]:
    """Return a function that tells whether the time is over, and says so once in the log."""
    end = time.monotonic() + seconds
    told = threading.Event()

    def is_over() -> bool:
        if time.monotonic() < end:
            return False
        if not told.is_set():
            told.set()
            _log.warning("%s: ending as at SIGTERM, before it is killed", _OVER)
        return True

    return is_over


def _watch_file(path: Path | None) -> Callable[[], bool]:
    """Return a function that tells whether a file has come; it looks once a second."""
    due = time.monotonic()
    found = False

    def has_come() -> bool:
        nonlocal due, found
        if path is not None and not found and time.monotonic() >= due:
            due = time.monotonic() + _LOOK_S
            found = path.exists()
        return found

    return has_come


def _measure_age_s() -> float:
    """Return for how long this process has run; 0 where the system does not say."""
    try:
        begin = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return float(Path("/proc/uptime").read_text().split()[0]) - begin / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return 0.0
