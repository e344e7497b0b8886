"""Progress of long work: a bar on a terminal, a few quiet lines in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_log = logging.getLogger(__name__)


def track(
    items: Iterable[Item],
    description: str,
    *,
    total: int | None = None,
    tell: Callable[[], str] | None = None,
) -> Iterator[Item]:
    """Yield the items while showing how far the work is.

    Args:
        items: What is worked through.
        description: A verb in progress and its object, such as `training fold 0`.
        total: Number of items, where it cannot be asked of `items`.
        tell: Asked after each item for what is worth saying of it: beside the bar, or as a line
            of the log with the time left.
    """
    if sys.stderr.isatty():
        yield from _show_bar(items, description, total=total, tell=tell)
        return
    _log.info("%s: started", description)
    start = time.monotonic()
    for n_done, item in enumerate(items, start=1):
        yield item
        if tell is not None:
            left = _say_left(time.monotonic() - start, n_done=n_done, total=total)
            _log.info("%s: %s%s", description, tell(), left)
    _log.info("%s: done", description)


def _say_left(elapsed_s: float, *, n_done: int, total: int | None) -> str:
    """Return the time left, at the pace so far."""
    if not total or n_done >= total:
        return ""
    return f", {say_duration(elapsed_s / n_done * (total - n_done))} left"


def say_duration(duration_s: float) -> str:
    """Return a duration as hours, minutes and seconds: `1:02:03`.

    Args:
        duration_s: Seconds, 0 or more.
    """
    seconds = round(duration_s)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _show_bar(
    items: Iterable[Item],
    description: str,
    *,
    total: int | None,
    tell: Callable[[], str] | None,
) -> Iterator[Item]:
    """Draw rich's bar, with the time left, on the standard error stream."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total)
        for item in bar.track(items, total=total, task_id=task):
            yield item
            if tell is not None:
                bar.update(task, description=f"{description}: {tell()}")


def say_size(n_bytes: float) -> str:
    """Return a size in GB, or in MB below one.

    Args:
        n_bytes: The size in bytes, >= 0.
    """
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
