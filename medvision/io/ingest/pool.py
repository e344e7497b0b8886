"""Work spread over processes, with results in the order of the work."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, is_apart: bool
) -> Iterator[Result | None]:
    """Apply a function to every item; the number of workers never changes the result.

    Args:
        function: Importable by name, or a partial of such a function.
        items: What it is applied to.
        workers: Processes.
        is_apart: Work in processes; otherwise in this one, which starts at once and can crash.

    Yields:
        Results in the order of the items; None where the item killed its process.
    """
    if not is_apart or not items:
        yield from map(function, items)
        return
    # Spawned, not forked: the parent may hold threads, and macOS allows nothing else.
    context = multiprocessing.get_context("spawn")
    done = 0
    chunk = _choose_chunk(len(items), workers)
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for result in pool.map(function, items, chunksize=chunk):
                yield result
                done += 1
    except BrokenProcessPool:
        # The culprit is most likely among those under way; the rest goes on together.
        under_way = done + workers * chunk
        yield from (_run_alone(function, item) for item in items[done:under_way])
        yield from map_in_order(function, items[under_way:], workers=workers, is_apart=True)


def _choose_chunk(n_items: int, workers: int) -> int:
    """Return how many items travel together: enough to be cheap, few enough to share evenly."""
    return max(1, min(32, n_items // (8 * workers)))


def _run_alone(function: Callable[[Item], Result], item: Item) -> Result | None:
    """Apply the function in a process of its own, so that a crash costs one item."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(function, item).result()
        except BrokenProcessPool:
            return None
