"""One part of the tiny workflow: notes when it starts and ends, and meets its fault at first."""

import argparse
import hashlib
import os
import time
from pathlib import Path


def note(n: str, word: str) -> None:
    """Add a line to what was seen; appended, since two may run at once."""
    with Path("seen.txt").open("a") as stream:
        stream.write(f"{n} {word} {time.time():.2f} {os.environ.get('SLURM_JOB_ID')}\n")


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("n")
    parser.add_argument("output", type=Path)
    parser.add_argument("--fault", default="none")
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument("--pause", type=float, default=1)
    asked = parser.parse_args()
    note(asked.n, "starts")
    # What is half written must never be used.
    asked.output.write_text("half")
    meet(asked.fault, attempt=asked.attempt)
    time.sleep(asked.pause)
    asked.output.write_text(f"{asked.n} {hashlib.sha256(asked.n.encode()).hexdigest()}\n")
    note(asked.n, "ends")
