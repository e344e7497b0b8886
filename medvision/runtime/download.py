"""Fetching one large file over HTTP: cut connections are resumed, nothing half-done is kept."""

import fcntl
import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from medvision.errors import WeightsError
from medvision.runtime.files import storage_faults

_CHUNK = 1 << 20
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""States of a server that may be over soon."""

_SHARES, _LEAST_TOLD = 10, 5_000_000
"""Progress is told each tenth, and not more often than every so many bytes."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long to go on.

    Args:
        attempts: Requests in a row that may bring nothing.
        wait_s: Seconds before the second; each further one waits twice as long.
        timeout_s: Seconds of silence after which a connection counts as cut.
    """

    attempts: int = 5
    wait_s: float = 2.0
    timeout_s: float = 60.0


def fetch_file(url: str, partial: Path, *, patience: Patience) -> None:
    """Fetch a file, going on where an earlier attempt stopped.

    What has come lies in `partial`, also when this fails, so that the next call asks for the rest
    (RFC 9110, section 14). A server that cannot do that sends all again. Whether the bytes are
    right is for the caller to check: a resumed file may be half of an older one.

    Args:
        url: http or https address.
        partial: Where the bytes are collected; its folder is made.
        patience: When to give up.

    Raises:
        WeightsError: The address has no such file, or cannot be reached.
        StorageError: The folder cannot be written, or its disk is full.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise WeightsError(f"weights: address must be http or https, got {url}.")
    with storage_faults(partial):
        partial.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as stream, _alone(stream, url):
            _collect(url, stream, patience)


@contextmanager
def _alone(stream: BinaryIO, url: str) -> Iterator[None]:
    """Hold the file, so that two processes do not write into each other's bytes."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise WeightsError(
            f"weights: file must be fetched by one process at a time, got another for {url}.",
            "wait until the other is done.",
        ) from error
    yield


def _collect(url: str, stream: BinaryIO, patience: Patience) -> None:
    """Ask until the file is whole, or nothing has come for too often."""
    failures = 0
    while True:
        before = stream.tell()
        fault = _try_once(url, stream, timeout_s=patience.timeout_s)
        if fault is None:
            return
        failures = 0 if stream.tell() > before else failures + 1
        if failures >= patience.attempts:
            raise WeightsError(
                f"weights: address must answer, got {fault} from {url}.",
                "run the command again: it goes on where this one stopped; without internet, "
                "`medvision weights show NAME` says how to place the file by hand.",
            )
        _log.info("%s after %d bytes; asking again", fault, stream.tell())
        time.sleep(patience.wait_s * 2 ** max(failures - 1, 0) if failures else 0)


def _try_once(url: str, stream: BinaryIO, *, timeout_s: float) -> str | None:
    """Ask for what is missing and append it; return what went wrong in passing, or None."""
    try:
        with _open(url, start=stream.tell(), timeout_s=timeout_s) as response:
            total = _align(response, stream)
            _append(response, stream, total)
    except urllib.error.HTTPError as error:
        error.close()
        return _judge_status(error, stream, url=url)
    except http.client.IncompleteRead:
        return "a cut connection"
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as e:
        return str(getattr(e, "reason", None) or e or type(e).__name__)
    if total is not None and stream.tell() < total:
        return "a cut connection"
    return None


def _open(url: str, *, start: int, timeout_s: float) -> http.client.HTTPResponse:
    """Send one request, for the rest of the file where some of it is here."""
    # Compressed answers have no ranges of the file itself.
    headers = {"User-Agent": "medvision", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - scheme was checked
    response: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310 - as above
        request, timeout=timeout_s
    )
    return response


def _align(response: http.client.HTTPResponse, stream: BinaryIO) -> int | None:
    """Drop what is here where the answer starts anew; return the whole file's size, if told."""
    told = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status == http.HTTPStatus.PARTIAL_CONTENT and told:
        if int(told[1]) != stream.tell():
            _clear(stream)
            raise ConnectionError("another range than was asked for")
        return None if told[2] == "*" else int(told[2])
    _clear(stream)
    length = response.headers.get("Content-Length")
    return int(length) if length else None


def _append(response: http.client.HTTPResponse, stream: BinaryIO, total: int | None) -> None:
    """Write what comes, piece by piece, and say each tenth of it."""
    step = max((total or 0) / _SHARES, _LEAST_TOLD)
    told = stream.tell()
    while piece := response.read(_CHUNK):
        stream.write(piece)
        # Nothing is lost to a buffer when the process is killed.
        stream.flush()
        if stream.tell() - told >= step:
            told = stream.tell()
            _log.info("%d of %s MB", told / 1e6, round(total / 1e6) if total else "?")


def _judge_status(error: urllib.error.HTTPError, stream: BinaryIO, *, url: str) -> str | None:
    """Return what may pass, None where the file was whole already, and raise for all else."""
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        told = re.match(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if told and int(told[1]) == stream.tell():
            return None
        _clear(stream)
        return "more bytes here than there"
    if error.code in _PASSING:
        return f"{error.code} {error.reason}"
    raise WeightsError(
        f"weights: address must answer with the file, got {error.code} {error.reason} from {url}.",
        "the file may have moved: find its page, fetch it by hand, and give it to `medvision "
        "weights add NAME FILE`.",
    ) from error


def _clear(stream: BinaryIO) -> None:
    """Begin the file anew."""
    stream.truncate(0)
    stream.seek(0)
