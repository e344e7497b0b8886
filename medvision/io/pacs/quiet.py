"""Network libraries kept silent: their log lines quote identifiers and addresses."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from medvision.io.quiet import silence

_log = logging.getLogger(__name__)

_LOGGERS = ("pynetdicom", "urllib3", "pydicom")


@contextmanager
def silence_network() -> Iterator[None]:
    """Drop what the network libraries say, and the text of faults in their threads."""
    hook = threading.excepthook
    with silence(_LOGGERS):
        threading.excepthook = _name_fault
        try:
            yield
        finally:
            threading.excepthook = hook


def _name_fault(fault: threading.ExceptHookArgs) -> None:
    """Log the kind of a fault that ended a thread: its text may quote a header."""
    _log.warning("a connection ended by %s.", fault.exc_type.__name__)
