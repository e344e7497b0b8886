"""Progress of long work: a bar on a terminal, two quiet lines in a log."""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_log = logging.getLogger(__name__)


def track(items: Iterable[Item], description: str, *, total: int | None = None) -> Iterator[Item]:
    """Yield the items while showing how far the work is.

    Args:
        items: What is worked through.
        description: A verb in progress and its object, such as `training fold 0`.
        total: Number of items, where it cannot be asked of `items`.
    """
    if sys.stderr.isatty():
        yield from _show_bar(items, description, total=total)
        return
    _log.info("%s: started", description)
    yield from items
    _log.info("%s: done", description)


def _show_bar(items: Iterable[Item], description: str, *, total: int | None) -> Iterator[Item]:
    """Draw rich's bar on the standard error stream."""
    from rich.console import Console
    from rich.progress import track as rich_track

    yield from rich_track(items, description, total=total, console=Console(stderr=True))
