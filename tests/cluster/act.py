"""One part of the tiny workflow: notes when it starts and ends, and meets its fault at first."""

import argparse
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO


def note(n: str, word: str) -> None:
    """Add a line to what was seen; appended, since two may run at once."""
    with Path("seen.txt").open("a") as stream:
        stream.write(f"{n} {word} {time.time():.2f} {os.environ.get('SLURM_JOB_ID')}\n")


def have_alone(n: str) -> IO[str]:
    """Hold a part until this process ends, however it ends; note where another holds it."""
    stream = Path(f"{n}.lock").open("a")  # noqa: SIM115 - held to the end
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(n, "overlaps")
    return stream


def meet(fault: str, *, attempt: int) -> None:
    """Do what the fault is."""
    if fault == "memory":
        # As much each time: what helps is a larger allocation.
        held = bytearray(1200 * 2**20)
        time.sleep(3 if attempt > 1 else 60)
        del held
    if fault == "deadline":
        wait_for_deadline(attempt)
    if attempt > 1:
        return
    if fault == "fail":
        raise SystemExit(3)
    if fault == "time":
        time.sleep(600)
    if fault == "scratch":
        lose_scratch()


def lose_scratch() -> None:
    """Have the node's own disk go away under what is at work there."""
    with tempfile.TemporaryFile():
        shutil.rmtree(os.environ["TMPDIR"])
        # It raises: where temporary files lie is asked once. Another process finds another place.
        with tempfile.TemporaryFile():
            pass


def wait_for_deadline(attempt: int) -> None:
    """Work until the job's time is nearly over, keep where it is, and go on there at the next."""
    from medvision.runtime.stopping import heed_stop

    kept = Path("kept/state.txt")
    if attempt > 1:
        if kept.read_text() != "half way":
            raise SystemExit("what was kept is lost")
        return
    with heed_stop() as should_stop:
        while not should_stop():
            time.sleep(0.1)
    kept.parent.mkdir()
    kept.write_text("half way")
    raise SystemExit(75)


def write_in_place(asked: argparse.Namespace) -> None:
    """Leave half of the output under its own name for a while: it must never be used."""
    asked.output.write_text("half")
    meet(asked.fault, attempt=asked.attempt)
    time.sleep(asked.pause)
    asked.output.write_text(describe(asked.n))


def write_as_the_product(asked: argparse.Namespace) -> None:
    """Give the output its name once it is whole, by what every step of medvision writes with."""
    from medvision.runtime.files import writing

    with writing(asked.output) as path:
        path.write_text("half")
        meet(asked.fault, attempt=asked.attempt)
        time.sleep(asked.pause)
        path.write_text(describe(asked.n))


def describe(n: str) -> str:
    return f"{n} {hashlib.sha256(n.encode()).hexdigest()}\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("n")
    parser.add_argument("output", type=Path)
    parser.add_argument("--fault", default="none")
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument("--pause", type=float, default=1)
    asked = parser.parse_args()
    note(asked.n, "starts")
    alone = have_alone(asked.n)
    # SLURM may call a job that it killed for its memory a completed one; see test_leader.
    is_careful = asked.fault in ("careful", "memory")
    write = write_as_the_product if is_careful else write_in_place
    write(asked)
    tempfile.TemporaryFile().close()
    note(asked.n, "ends")
    alone.close()
