"""The listener: takes pushed studies until it is told to stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

from medvision.io.pacs.archive import Archive
from medvision.io.pacs.provider import Door, Provider, run_provider

_POLL_S = 0.1


def listen(
    door: Door,
    archive: Archive,
    *,
    idle_timeout_s: float | None,
    max_instances: int | None,
    tell: Callable[[int], object],
) -> str:
    """Take what is sent, until a signal or a limit ends it; who is sending may finish.

    Args:
        door: Where we listen, and who may come in.
        archive: Where instances go.
        idle_timeout_s: Seconds without an instance after which to stop; None never.
        max_instances: New instances after which to stop; None for any number. Those under way
            are still taken.
        tell: Called with the port once it is open.

    Returns:
        Why it stopped: signal, idle or count.

    Raises:
        ConfigError: The address cannot be listened on, or a certificate is unusable.
    """
    with _stop_on_signal() as stop, run_provider(door, archive, of=None) as provider:
        tell(provider.port)
        while not stop.wait(_POLL_S):
            if max_instances is not None and provider.n_stored >= max_instances:
                return "count"
            if idle_timeout_s is not None and _is_idle(provider, idle_timeout_s):
                return "idle"
    return "signal"


def _is_idle(provider: Provider, idle_timeout_s: float) -> bool:
    """Tell whether nothing came for so long."""
    return monotonic() - provider.last_s > idle_timeout_s


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGINT set, in place of what they did before."""
    stop = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
