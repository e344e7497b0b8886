"""Snakemake as a child that is watched: ended without orphans, and started again where it hangs."""

import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from medvision.errors import ClusterError, StoppedError
from medvision.runtime.lead import Lead
from medvision.runtime.queue import ask_to_end, cancel_jobs, list_queued, wait_for_jobs

_TICK_S = 1.0
# A crowded login node gives one that works no more than this of a core.
_IDLE_SHARE = 0.05
# With nothing in the queue there is nothing to cancel.
_HUNG_GRACE_S = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Care:
    """How a leader is looked after.

    Args:
        patience_s: Seconds that it may do nothing while the queue is empty, > 0.
        restarts: How often it is started again after it was killed or hung, >= 0.
        grace_s: Seconds that it has to cancel its jobs before it is killed; it waits for a
            thread of its own that may sleep for 180.
        orphans: What becomes of jobs that a killed leader left: cancel, or wait.
    """

    patience_s: float
    restarts: int = 5
    grace_s: float = 240.0
    orphans: str = "cancel"


@dataclass
class _Idleness:
    """For how long nothing has happened, neither in the queue nor in the leader."""

    pid: int
    prefix: str
    since: float = field(default_factory=time.monotonic)
    asked: float = field(default_factory=time.monotonic)
    cpu_s: float = 0.0

    def measure(self) -> float:
        """Return the seconds since something was last seen to happen."""
        now, cpu_s = time.monotonic(), _read_cpu_s(self.pid)
        is_working = cpu_s - self.cpu_s > _IDLE_SHARE * (now - self.asked) or _has_child(self.pid)
        self.asked, self.cpu_s = now, cpu_s
        if is_working or not _is_empty(self.prefix):
            self.since = time.monotonic()
        return now - self.since


def lead_run(command: Sequence[str], lead: Lead, *, care: Care) -> int:
    """Run Snakemake to its end, whatever becomes of its process on the way.

    SIGTERM, SIGINT and SIGHUP become SIGINT, at which Snakemake cancels its jobs; at SIGTERM itself
    it would wait for them until the batch system's grace is over. What it did not know to
    cancel is cancelled by name. Where Snakemake was killed, or does nothing while the queue is
    empty, its jobs are dealt with first, then its lock is taken away and it is started again.

    Args:
        command: Snakemake and its arguments.
        lead: The right to lead this study's run.
        care: How it is looked after.

    Returns:
        Snakemake's exit code.

    Raises:
        StoppedError: A signal or `medvision cluster cancel` came; no job is left.
        ClusterError: SLURM does not answer, or the leader ended too often.
    """
    with _heeding() as has_signal:

        def should_stop() -> bool:
            return has_signal() or lead.is_cancelled()

        if lead.was_left:
            _clear_away(command, lead, care=care, should_stop=should_stop)
        for _ in range(care.restarts + 1):
            code = _lead_once(command, lead, care=care, should_stop=should_stop)
            if should_stop():
                _stop(lead, code)
            if code is not None and code >= 0:
                _close(lead)
                return code
            _log.warning("cluster: Snakemake %s; it is started again", _say_end(code))
            _clear_away(command, lead, care=care, should_stop=should_stop)
    raise ClusterError(
        f"cluster: Snakemake must end by itself, got {care.restarts + 1} times that it was killed "
        "or hung.",
        "look at its log in .snakemake/log; is the memory of this machine enough for it?",
    )


def _stop(lead: Lead, code: int | None) -> NoReturn:
    """Cancel what is left; the run stays open where Snakemake did not take its own lock away."""
    n = cancel_jobs(lead.prefix)
    if code is not None and code >= 0:
        lead.close()
    raise StoppedError(
        "cluster: run must be left to end, got a signal or a request to cancel; "
        f"jobs that were left after Snakemake's end, and cancelled: {n}."
    )


def _close(lead: Lead) -> None:
    """Close a run that ended by itself, unless jobs are left: Snakemake may fail and forget them.

    It stays open too where the queue does not answer; the next run then looks again, and unlocks.
    """
    try:
        if all(job.is_ending for job in list_queued(lead.prefix)):
            lead.close()
            return
        n = cancel_jobs(lead.prefix)
    except ClusterError as error:
        _log.warning("%s The next run will look for jobs that this one may have left.", error)
    else:
        _log.warning("cluster: Snakemake ended and left jobs, which were cancelled: %d", n)


def _say_end(code: int | None) -> str:
    """Return how the leader ended, in words."""
    if code is None:
        return "did nothing while no job was queued"
    return f"was ended by {signal.Signals(-code).name}"


def _clear_away(
    command: Sequence[str], lead: Lead, *, care: Care, should_stop: Callable[[], bool]
) -> None:
    """Deal with the jobs that were left, and only then take the lock away."""
    if care.orphans == "wait":
        n = wait_for_jobs(lead.prefix, should_stop=should_stop)
        said = "waited for"
    else:
        n, said = cancel_jobs(lead.prefix), "cancelled"
    _log.warning("cluster: an earlier run was cut off; jobs of it %s: %d", said, n)
    if should_stop():
        raise StoppedError(
            "cluster: run must be left to clear away what an earlier one left, got a signal or a "
            "request to cancel; the same command does it."
        )
    with lead.alone():
        done = subprocess.run([*command, "--unlock"], check=False, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(
            f"cluster: Snakemake must take its lock away, got exit code {done.returncode}: "
            f"{done.stderr.strip()[-500:]}."
        )


def _lead_once(
    command: Sequence[str], lead: Lead, *, care: Care, should_stop: Callable[[], bool]
) -> int | None:
    """Run Snakemake once; return its exit code, or None where it hung and was ended."""
    child = _start(command, lead)
    idleness = _Idleness(child.pid, lead.prefix)
    poll_s = min(30.0, care.patience_s / 4)
    while (code := _wait(child, _TICK_S)) is None:
        if should_stop():
            _end(child, lead.prefix, grace_s=care.grace_s)
            return child.returncode
        is_due = time.monotonic() - idleness.asked >= poll_s
        if is_due and idleness.measure() >= care.patience_s:
            _end(child, lead.prefix, grace_s=_HUNG_GRACE_S)
            return None
    return code


def _start(command: Sequence[str], lead: Lead) -> "subprocess.Popen[bytes]":
    """Start Snakemake in a session of its own, so that a signal reaches it through us alone."""
    # Where this process is killed, the kernel has Snakemake cancel its jobs.
    setpriv = shutil.which("setpriv")
    guard = [setpriv, "--pdeathsig", "INT"] if setpriv else []
    return subprocess.Popen(
        [*guard, *command],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=[handle.fileno() for handle in lead.handles],
    )


def _end(child: "subprocess.Popen[bytes]", prefix: str, *, grace_s: float) -> None:
    """Have Snakemake cancel its jobs and end, or end it."""
    child.send_signal(signal.SIGINT)
    # It may hang before it cancels any; what it submits from here on is cancelled after its end.
    with suppress(ClusterError):
        ask_to_end(prefix)
    if _wait(child, grace_s) is None:
        child.kill()
        child.wait()


def _wait(child: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    """Wait for the child's end; None where it has not come."""
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


@contextmanager
def _heeding() -> Iterator[Callable[[], bool]]:
    """Note the signals that ask for an end; one that is ignored (nohup) stays ignored."""
    came: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
        came.append(signum)

    before = {}
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A shell's background job ignores SIGINT, and Snakemake would be deaf to it likewise.
        if signum == signal.SIGINT or signal.getsignal(signum) != signal.SIG_IGN:
            before[signum] = signal.signal(signum, note)
    try:
        yield lambda: bool(came)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _is_empty(prefix: str) -> bool:
    """Tell whether the queue is known to hold no job of the study."""
    try:
        return not list_queued(prefix)
    except ClusterError:
        return False


def _read_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of the children it waited for."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def _has_child(pid: int) -> bool:
    """Tell whether a process has living children: a local rule at work, or a question to SLURM."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [n for task in tasks for n in (task / "children").read_text().split()]
        return any(_is_living(Path(f"/proc/{n}/stat")) for n in children)
    except OSError:
        return True


def _is_living(stat: Path) -> bool:
    """Tell whether a child is more than an end that nobody has taken note of."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
