"""Asking again: how often, and how long to wait in between."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

from medvision.io.pacs.reasons import TransientError

Result = TypeVar("Result")

_MAX_WAIT_S = 60.0
_FAILURES_IN_A_ROW = 8


@dataclass(frozen=True)
class Policy:
    """How patient a pull is.

    Args:
        retries: How often a failed request is repeated; one that brought anything new starts the
            count again.
        backoff_s: First wait in seconds; each further one is twice as long, up to a minute.
    """

    retries: int
    backoff_s: float

    def waits_s(self, seed: int) -> Iterator[float]:
        """Yield the waits: exponential, each spread by half of itself either way.

        Args:
            seed: Seed of the spread, different for requests that run side by side.
        """
        draw = random.Random(seed)  # noqa: S311 - spreads load, guards nothing
        for n in range(self.retries):
            yield min(_MAX_WAIT_S, self.backoff_s * 2**n) * draw.uniform(0.5, 1.5)


@dataclass
class Fuse:
    """Tells when a server has gone: after so many failures in a row nobody asks it any more."""

    limit: int = _FAILURES_IN_A_ROW
    _failures: int = 0
    _lock: Lock = field(default_factory=Lock)

    @property
    def is_blown(self) -> bool:
        return self._failures >= self.limit

    def note(self, code: str) -> None:
        """Count a request that failed for good, by its reason; "" for one that worked."""
        with self._lock:
            if not self.is_blown:
                is_silent = code in {"connection-lost", "timed-out"}
                self._failures = self._failures + 1 if is_silent else 0


def ask(
    work: Callable[[], Result],
    policy: Policy,
    *,
    seed: int,
    sleep: Callable[[float], object] = time.sleep,
) -> Result:
    """Do something until it works or patience ends.

    Args:
        work: What is done.
        policy: How often, and with what waits.
        seed: Seed of the waits.
        sleep: Waits so many seconds.

    Returns:
        What the work returned.

    Raises:
        TransientError: It failed once more than may be repeated.
    """
    for wait_s in policy.waits_s(seed):
        try:
            return work()
        except TransientError as error:
            sleep(max(wait_s, min(error.wait_s, _MAX_WAIT_S)))
    return work()
