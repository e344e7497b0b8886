"""Work spread over processes, with results in the order of the work."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Generic, TypeVar

from medvision.errors import ConfigError
from medvision.runtime.workers import end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")

_WINDOW = 3
"""Items under way per worker: enough to keep it busy, few enough to be held."""


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, is_apart: bool
) -> Iterator[tuple[Item, Result | None]]:
    """Apply a function to every item; the number of workers never changes the result.

    Only a few items and results are held at a time, however many there are.

    Args:
        function: Importable by name, or a partial of such a function.
        items: What it is applied to; taken as they are needed.
        workers: Processes.
        is_apart: Work in processes; otherwise in this one, which starts at once and can crash.

    Yields:
        Each item and its result, in the order of the items; None where it killed its process.

    Raises:
        ConfigError: No process can be started.
    """
    if not is_apart:
        yield from ((item, function(item)) for item in items)
        return
    with _Crew(function, workers) as crew:
        for item in items:
            crew.take(item)
            if crew.is_busy:
                yield from crew.give()
        while crew.waiting:
            yield from crew.give()


@dataclass(eq=False)
class _Task(Generic[Item, Result]):
    """An item under way; without a future where the crew broke before it could be begun."""

    item: Item
    future: Future[Result] | Future[Result | None] | None


class _Crew(Generic[Item, Result]):
    """Processes at work, replaced when one of them dies."""

    def __init__(self, function: Callable[[Item], Result], workers: int) -> None:
        self._function = function
        self._workers = workers
        self._pool = _start(workers)
        self.waiting: deque[_Task[Item, Result]] = deque()

    def __enter__(self) -> "_Crew[Item, Result]":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def is_busy(self) -> bool:
        """No more items should be taken."""
        return len(self.waiting) >= _WINDOW * self._workers

    def take(self, item: Item) -> None:
        """Hand an item to a process."""
        self.waiting.append(_Task(item, self._submit(item)))

    def give(self) -> Iterator[tuple[Item, Result | None]]:
        """Yield the next result, or, after a crash, those of the items that may have caused it."""
        task = self.waiting[0]
        try:
            if task.future is None:
                raise BrokenProcessPool
            result = task.future.result()
        except BrokenProcessPool:
            yield from self._recover()
            return
        self.waiting.popleft()
        yield task.item, result

    def _submit(self, item: Item) -> Future[Result] | None:
        """Begin an item, unless the processes are dead."""
        try:
            return self._pool.submit(self._function, item)
        except BrokenProcessPool:
            return None
        except OSError as error:
            raise _refuse_start(type(error).__name__) from error

    def _recover(self) -> Iterator[tuple[Item, Result | None]]:
        """Do the first items each in a process of its own, and hand the others to new ones."""
        self._pool.shutdown(cancel_futures=True)
        if _run_alone(_answer, 0) is None:
            raise _refuse_start("an end at once")
        tasks = list(self.waiting)
        self.waiting.clear()
        # Items are begun in their order: the culprit is one of the first without a result.
        alone = [task for task in tasks if not _is_done(task)][: self._workers]
        self._pool = _start(self._workers)
        for task in tasks:
            if _is_done(task):
                self.waiting.append(task)
            elif task in alone:
                result = _run_alone(self._function, task.item)
                self.waiting.append(_Task(task.item, _finish(result)))
            else:
                self.take(task.item)
        yield from self.give()


def _is_done(task: _Task[Item, Result]) -> bool:
    """Say whether an item has its result, or an error of its own."""
    future = task.future
    if future is None or not future.done() or future.cancelled():
        return False
    return not isinstance(future.exception(), BrokenProcessPool)


def _finish(result: Result | None) -> Future[Result | None]:
    """Return a future that has its result."""
    future: Future[Result | None] = Future()
    future.set_result(result)
    return future


def _start(workers: int) -> ProcessPoolExecutor:
    """Return processes to be started when they are needed."""
    # Spawned, not forked: the parent may hold threads, and macOS allows nothing else.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)


def _run_alone(function: Callable[[Item], Result], item: Item) -> Result | None:
    """Apply the function in a process of its own, so that a crash costs one item."""
    with _start(1) as pool:
        try:
            future = pool.submit(function, item)
        except OSError as error:
            raise _refuse_start(type(error).__name__) from error
        try:
            return future.result()
        except BrokenProcessPool:
            return None


def _answer(number: int) -> int:
    """Return what was given: a process that can do that can be started."""
    return number


def _refuse_start(found: str) -> ConfigError:
    """Return the error of a machine that starts no processes."""
    return ConfigError(
        f"ingest.workers: processes must start on this machine, got {found}.",
        "lower ingest.workers, or give this account more processes and memory (ulimit -u, -v); a "
        "script that calls medvision must guard its own start with __name__ == '__main__'.",
    )
