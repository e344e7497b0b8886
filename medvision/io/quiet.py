"""Third-party readers kept silent: what they say may quote a header, and so a person."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("pydicom", "nibabel", "nibabel.global", "pylibjpeg", "openjpeg", "PIL")
_NOTHING = logging.CRITICAL + 1


@contextmanager
def silence_readers() -> Iterator[None]:
    """Drop warnings and log lines of the readers while files are parsed."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    # By level, not by `disabled`: modules log through children, which inherit only the level.
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(_NOTHING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def silence_decoder() -> None:
    """Stop GDCM from writing to the process's error stream; nothing to do where it is absent."""
    try:
        import gdcm  # type: ignore[import-untyped]  # ships no types
    except ImportError:
        return
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    gdcm.Trace.DebugOff()
