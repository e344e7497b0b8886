"""Work spread over processes, with results in the order of the work."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, fewest: int
) -> Iterator[Result | None]:
    """Apply a function to every item; the number of workers never changes the result.

    Args:
        function: Importable by name, or a partial of such a function.
        items: What it is applied to.
        workers: Processes; 1 works in this one.
        fewest: With fewer items than this, starting processes costs more than it saves.

    Yields:
        Results in the order of the items; None where the item killed its process.
    """
    if workers == 1 or len(items) < fewest:
        yield from map(function, items)
        return
    # Spawned, not forked: the parent may hold threads, and macOS allows nothing else.
    context = multiprocessing.get_context("spawn")
    done = 0
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for result in pool.map(function, items, chunksize=_choose_chunk(len(items), workers)):
                yield result
                done += 1
    except BrokenProcessPool:
        yield from (_run_alone(function, item) for item in items[done:])


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
