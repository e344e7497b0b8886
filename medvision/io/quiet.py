"""Third-party readers kept silent: what they say may quote a header, and so a person."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("pydicom", "nibabel.global", "pylibjpeg", "PIL")


@contextmanager
def silence_readers() -> Iterator[None]:
    """Drop warnings and log lines of the readers while files are parsed."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        finally:
            for logger, disabled in zip(loggers, before, strict=True):
                logger.disabled = disabled


def silence_decoder() -> None:
    """Stop GDCM from writing to the process's error stream; nothing to do where it is absent."""
    try:
        import gdcm  # type: ignore[import-untyped]  # ships no types
    except ImportError:
        return
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    gdcm.Trace.DebugOff()
