"""Workers end with the process that started them, and a stopped one clears up what it made."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from medvision.runtime.npz import Rows, write_npz

POOL = """\
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from medvision.runtime.workers import end_with_parent

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""

ROOM = """\
import os, sys, time
from pathlib import Path
from medvision.runtime.shared_room import SharedRoom
from medvision.runtime.workers import clearing_up

def say(arrays, _):
    return os.getpid()

if __name__ == "__main__":
    with clearing_up(), SharedRoom(Path(sys.argv[1]), "held", workers=2) as room:
        room.make("rows", (5,))
        print(next(room.spread(say, range(9))), flush=True)
        time.sleep(60)
"""


def start(folder: Path, text: str, *words: str) -> tuple[subprocess.Popen[str], int]:
    """Start a script; return it and the process that works for it."""
    script = folder / "script.py"
    script.write_text(text)
    (folder / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(folder / "temporary")}
    command = [sys.executable, str(script), *words]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert started.stdout is not None
    return started, int(started.stdout.readline())


def wait_for_end(pid: int) -> None:
    end = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < end, "the worker lives on"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_worker_ends_with_its_parent(tmp_path: Path, name: str) -> None:
    parent, worker = start(tmp_path, POOL)
    assert is_alive(worker)
    parent.send_signal(signal.Signals[name])
    parent.wait(20)
    wait_for_end(worker)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_stopped_room_leaves_no_file_and_no_worker(tmp_path: Path) -> None:
    write_npz(tmp_path / "stack.npz", {"held": Rows((4, 8, 8), "u1", np.zeros((4, 8, 8), "u1"))})
    parent, worker = start(tmp_path, ROOM, str(tmp_path / "stack.npz"))
    assert list((tmp_path / "temporary").iterdir())
    parent.terminate()
    assert parent.wait(20) == 128 + signal.SIGTERM
    assert list((tmp_path / "temporary").iterdir()) == []
    wait_for_end(worker)
