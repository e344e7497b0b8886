"""Third-party readers kept silent: what they say may quote a header, and so a person."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import RLock

_LOGGERS = (
    "pydicom",
    "nibabel",
    "nibabel.global",
    "pylibjpeg",
    "openjpeg",
    "jpeg_ls",
    "_openjpeg",
    "PIL",
)
_NOTHING = logging.CRITICAL + 1
_MAX_HEARD = 4096
_ERROR_STREAM = 2
_STREAM_LOCK = RLock()


def silence_readers() -> AbstractContextManager[None]:
    """Drop warnings and log lines of the readers while files are parsed."""
    return silence(_LOGGERS)


@contextmanager
def silence(names: Sequence[str]) -> Iterator[None]:
    """Drop all warnings, and the log lines of some loggers.

    Args:
        names: The loggers; their children fall silent with them.
    """
    loggers = [logging.getLogger(name) for name in names]
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


@contextmanager
def hear_native() -> Iterator[list[str]]:
    """Catch what native code writes to the process's error stream, so that it can be judged.

    Libraries of C report damaged data there and nowhere else, and go on. While this lasts, what
    other threads write there is caught as well: it is meant for processes that only decode.

    Yields:
        A list that holds, afterwards, at most one text: the first 4096 characters written.
    """
    heard: list[str] = []
    with _STREAM_LOCK, tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        before = os.dup(_ERROR_STREAM)
        os.dup2(caught.fileno(), _ERROR_STREAM)
        try:
            yield heard
        finally:
            os.dup2(before, _ERROR_STREAM)
            os.close(before)
            caught.seek(0)
            text = caught.read(_MAX_HEARD).decode("ascii", "replace")
            if text:
                heard.append(text)
