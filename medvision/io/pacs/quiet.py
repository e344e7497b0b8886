"""Network libraries kept silent: their log lines quote identifiers and addresses."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)

_LOGGERS = ("pynetdicom", "urllib3", "pydicom")
_NOTHING = logging.CRITICAL + 1


@contextmanager
def silence_network() -> Iterator[None]:
    """Drop what the network libraries say, and the text of faults in their threads."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    hook = threading.excepthook
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threading.excepthook = _name_fault
        for logger in loggers:
            logger.setLevel(_NOTHING)
        try:
            yield
        finally:
            threading.excepthook = hook
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def _name_fault(fault: threading.ExceptHookArgs) -> None:
    """Log the kind of a fault that ended a thread: its text may quote a header."""
    _log.warning("a connection ended by %s.", fault.exc_type.__name__)
