"""Arrays in files that several processes map, and work spread over these processes."""

import multiprocessing
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from medvision.domain.likeness.room import DTYPES, Arrays
from medvision.errors import ConfigError
from medvision.runtime.files import storage_faults
from medvision.runtime.npz import map_npz_array
from medvision.runtime.workers import end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 3
"""Items under way for each process: enough to keep it busy, few enough to be held."""


class SharedRoom:
    """A room (`domain.likeness.room`) whose arrays lie in a temporary folder, gone at the end.

    The system keeps of them in memory what there is room for, once for all processes. Each
    multiplies matrices by one thread: by more the last bits differ, and processes of several
    threads wait for one another.

    Args:
        archive: File of `write_npz` that holds the thumbnails.
        name: Their name in it.
        workers: Processes; with 1 this one works, and none is started.
    """

    def __init__(self, archive: Path, name: str, *, workers: int) -> None:
        self._workers = workers
        self._temporary = tempfile.TemporaryDirectory(prefix="medvision-look-alikes-")
        self._place = Path(self._temporary.name), archive, name
        self.arrays = _open_arrays(*self._place)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "SharedRoom":
        self._limits = _keep_to_one_thread()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._temporary.cleanup()
        self._limits.restore_original_limits()

    def make(self, name: str, shape: tuple[int, ...]) -> None:
        """Make an array.

        Args:
            name: Of `DTYPES`.
            shape: Of it.

        Raises:
            StorageError: The folder of temporary files has no space for it.
        """
        path = _name_file(self._place[0], name)
        with storage_faults(path):
            open_memmap(path, mode="w+", dtype=DTYPES[name], shape=shape)
            # Space that a map finds missing while it is written ends the process without a word.
            if hasattr(os, "posix_fallocate"):
                with path.open("r+b") as stream:
                    os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)

    def spread(
        self, work: Callable[[Arrays, Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield the result of each item, in the order of the items.

        Args:
            work: Importable by name, or a partial of such a function.
            items: What it is applied to; a few are taken ahead.

        Raises:
            ConfigError: A process could not be started, or was ended from outside.
        """
        if self._workers == 1:
            for item in items:
                yield work(self.arrays, item)
            return
        try:
            yield from self._spread(work, items)
        except (BrokenProcessPool, OSError) as error:
            raise ConfigError(
                "cohort.workers: processes must start and live on this machine, got "
                f"{type(error).__name__}.",
                "lower cohort.workers, or give the step more memory.",
            ) from error

    def _spread(
        self, work: Callable[[Arrays, Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield the result of each item from the processes."""
        if self._pool is None:
            # Not forked: a forked child of a process with threads may hang.
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_move_in,
                initargs=self._place,
            )
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(self._pool.submit(_work_there, work, item))
            if len(waiting) >= _AHEAD * self._workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _open_arrays(folder: Path, archive: Path, name: str) -> Arrays:
    """Return the arrays of a folder, and the thumbnails of an archive."""

    def open_array(asked: str) -> NDArray[np.generic]:
        if asked == "thumbnails":
            return map_npz_array(archive, name)
        array: NDArray[np.generic] = open_memmap(_name_file(folder, asked), mode="r+")
        return array

    return Arrays(open_array)


def _keep_to_one_thread() -> threadpool_limits:
    """Have this process multiply matrices by one thread, whatever the environment asks for."""
    return threadpool_limits(1, user_api="blas")


def _name_file(folder: Path, name: str) -> Path:
    """Return where an array lies."""
    return folder / f"{name}.npy"


_rooms: list[Arrays] = []
"""The arrays of a worker process; the process that imports this has none."""


def _move_in(folder: Path, archive: Path, name: str) -> None:
    """Open the arrays in a worker."""
    end_with_parent()
    _keep_to_one_thread()
    _rooms[:] = [_open_arrays(folder, archive, name)]


def _work_there(work: Callable[[Arrays, Item], Result], item: Item) -> Result:
    """Work in a worker."""
    return work(_rooms[0], item)
