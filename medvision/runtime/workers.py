"""Processes that work for this one, and end with it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import NoReturn

_ENDED = 128 + signal.SIGTERM


def end_with_parent() -> None:
    """Have this worker end when the process that started it does.

    A pool's worker waits for work at a pipe that it holds open itself, so of a parent that was
    killed it would hear nothing, and live for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: BaseProcess) -> NoReturn:
    """Wait for the end of the parent, then end this process as it stands."""
    parent.join()
    os._exit(1)


@contextmanager
def clearing_up() -> Iterator[None]:
    """Let a SIGTERM end the block as an error does, so that what it leaves for its end is done.

    Outside the main thread, where no signal can be heeded, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(_: int, __: FrameType | None) -> NoReturn:
    """End the process as a shell says it of this signal."""
    raise SystemExit(_ENDED)
