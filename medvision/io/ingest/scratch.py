"""Memory that a process uses for one series after the other: fresh memory costs more."""

import threading
from functools import lru_cache
from typing import Literal


class Scratch:
    """Memory that is used again and again; it grows to what was asked for most."""

    def __init__(self) -> None:
        self._held = bytearray()

    def take(self, n_bytes: int) -> memoryview:
        """Return so many bytes; what was returned before may hold them too."""
        if len(self._held) < n_bytes:
            # Anew, not longer: what was returned before keeps the old memory in place.
            self._held = bytearray(n_bytes)
        return memoryview(self._held)[:n_bytes]


def find_scratch(use: Literal["file", "volumes"]) -> Scratch:
    """Return this thread's memory for one use: the bytes of a file, or the planes of a grid.

    What lies in it holds until the next file, or the next grid, is read.
    """
    return _make_scratch(use, threading.get_ident())


@lru_cache(maxsize=8)
def _make_scratch(*_: str | int) -> Scratch:
    """Return the same memory for the same use by the same thread."""
    return Scratch()
