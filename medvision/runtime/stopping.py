"""Being asked to stop: SIGTERM, as schedulers send it some time before they kill."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def heed_sigterm(*, is_patient: bool = False) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether SIGTERM has come; the process itself goes on.

    A second SIGTERM does what it did before, which is most often to kill. Outside the main
    thread, where no handler can be set, the function says no and SIGTERM kills.

    Args:
        is_patient: Note further ones too, as where a scheduler and torchrun each send one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    has_come = threading.Event()
    before = signal.getsignal(signal.SIGTERM)

    def note(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
        has_come.set()
        if not is_patient:
            signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, note)
    try:
        yield has_come.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
