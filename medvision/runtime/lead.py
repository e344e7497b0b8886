"""Who leads a study's run on a cluster: one process at a time, and what the last one left."""

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from medvision.errors import ClusterError, DataError
from medvision.runtime.files import read_json, storage_faults, write_json

_CANCEL = "cancel"
_RUN = "run.json"
_SHARED = "medvision-lead"
# A dry run of somebody else is over by then.
_ALONE_S = 60.0
_PAUSE_S = 1.0

SNAKEMAKE = ".snakemake"
"""Where Snakemake keeps its own notes, below the folder that it works in."""


@dataclass(frozen=True)
class Lead:
    """The right to lead a study's run, held until the process and its child have ended.

    Args:
        folder: Where it is written down.
        prefix: What the study's jobs are named by: drawn at random, telling nothing.
        was_left: Whether an earlier leader did not end by itself.
        handles: Files whose locks a child must inherit, so that they hold as long as it lives.
    """

    folder: Path
    prefix: str
    was_left: bool
    handles: tuple[IO[str], ...]

    def is_cancelled(self) -> bool:
        """Tell whether somebody asked this run to be cancelled."""
        return (self.folder / _CANCEL).exists()

    def close(self) -> None:
        """Write down that the run ended by itself, and left neither lock nor job."""
        _note(self.folder, prefix=self.prefix, is_open=False)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the working folder to oneself: Snakemake unlocks all that runs there at once.

        Raises:
            ClusterError: Another run goes on in the same working folder, led or not.
        """
        work = self.handles[-1]
        end = time.monotonic() + _ALONE_S
        try:
            while not _lock(work, fcntl.LOCK_EX):
                if time.monotonic() > end:
                    raise ClusterError(
                        "cluster: no other run must go on in this folder while its lock is taken "
                        "away, got one.",
                        "wait for it, then run the same command again; give each study a folder of "
                        "its own (`medvision init`).",
                    )
                time.sleep(_PAUSE_S)
            yield
        finally:
            # Asked for in vain, too, since flock gives up the old lock before it asks for another.
            _wait_for_lock(work, fcntl.LOCK_SH)


@contextmanager
def take_lead(folder: Path, *, working_folder: Path) -> Iterator[Lead]:
    """Become the one process that leads a study's run, or refuse.

    Args:
        folder: Where it is written down, below the study's output.
        working_folder: Where Snakemake keeps its locks.

    Raises:
        ClusterError: Another process leads it.
        StorageError: The folder cannot be written.
    """
    work = working_folder / SNAKEMAKE
    with storage_faults(folder / _RUN):
        folder.mkdir(parents=True, exist_ok=True)
        work.mkdir(exist_ok=True)
    with (folder / "lock").open("a") as own, (work / _SHARED).open("a") as shared:
        if not _lock(own, fcntl.LOCK_EX):
            held = _read(folder)
            raise ClusterError(
                f"{folder}: one process alone must lead a study's run, got another on "
                f"{held.get('host')}, process {held.get('pid')}.",
                "wait for it, or end it with `medvision cluster cancel`.",
            )
        _wait_for_lock(shared, fcntl.LOCK_SH)
        held = _read(folder)
        prefix = read_prefix(folder) or f"mv-{secrets.token_hex(4)}"
        (folder / _CANCEL).unlink(missing_ok=True)
        _note(folder, prefix=prefix, is_open=True)
        yield Lead(folder, prefix, bool(held.get("is_open")), (own, shared))


def tell_of_run(working_folder: Path) -> IO[str] | None:
    """Let every leader see that a Snakemake works in a folder, as long as the file stays open.

    Its own lock tells not who took it: a leader that takes away the lock of a killed run would take
    that of a run which nobody leads with it.

    Args:
        working_folder: Where Snakemake works.

    Returns:
        The file to keep open; None where nothing can be locked, and so nothing is led.
    """
    try:
        (working_folder / SNAKEMAKE).mkdir(exist_ok=True)
        stream = (working_folder / SNAKEMAKE / _SHARED).open("a")
        # Never in wait: the leader may be unlocking, through this very process.
        _lock(stream, fcntl.LOCK_SH)
    except (OSError, ClusterError):
        return None
    return stream


def read_prefix(folder: Path) -> str | None:
    """Return what a study's jobs are named by; None where it never ran, or was copied from another.

    Args:
        folder: Where it is written down.
    """
    held = _read(folder)
    prefix = held.get("prefix")
    # Of a copied study the jobs belong to the one it was copied from.
    is_own = held.get("folder") == str(folder.resolve())
    return prefix if is_own and isinstance(prefix, str) else None


def is_led(folder: Path) -> bool:
    """Tell whether a process leads the run."""
    path = folder / "lock"
    if not path.is_file():
        return False
    with path.open("a") as own:
        return not _lock(own, fcntl.LOCK_EX)


def ask_to_cancel(folder: Path) -> None:
    """Ask the leader, on whatever machine it is, to cancel its jobs and end."""
    with storage_faults(folder / _CANCEL):
        (folder / _CANCEL).touch()


def _note(folder: Path, *, prefix: str, is_open: bool) -> None:
    """Write down who leads."""
    write_json(
        folder / _RUN,
        {
            "prefix": prefix,
            "folder": str(folder.resolve()),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "is_open": is_open,
        },
    )


def _read(folder: Path) -> dict[str, object]:
    """Return what was written down; nothing where it is missing or spoilt."""
    try:
        held = read_json(folder / _RUN)
    except (DataError, FileNotFoundError):
        return {}
    return dict(held) if isinstance(held, dict) else {}


def _lock(stream: IO[str], kind: int) -> bool:
    """Lock an open file for as long as it stays open; False where another has it."""
    try:
        _wait_for_lock(stream, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_lock(stream: IO[str], kind: int) -> None:
    """Lock an open file for as long as it stays open, once nobody else has it."""
    try:
        fcntl.flock(stream, kind)
    except BlockingIOError:
        raise
    except OSError as error:
        raise ClusterError(
            f"{stream.name}: the file system must be able to lock a file, got {error.strerror}.",
            "let output.path and the working folder lie where locks work (Lustre: mounted with "
            "flock).",
        ) from error
