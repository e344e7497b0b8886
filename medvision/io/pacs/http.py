"""One HTTP request to a DICOMweb server: bounded in time, every fault told by a code."""

import logging
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from medvision.io.pacs.reasons import RefusedError, TransientError
from medvision.io.pacs.remote import Remote, is_loopback

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_log = logging.getLogger(__name__)

_CHUNK = 1 << 18
_LEAST_BYTES = 1 << 10
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = {404: "not-found", 406: "not-acceptable", 410: "not-found", 415: "not-acceptable"}
OK, NO_CONTENT = 200, 204


class Client:
    """Speaks to one server, over as many connections as there are threads.

    No redirect is followed, no proxy and no file of passwords is looked up: what this sends goes
    to the server of the configuration or nowhere.

    Args:
        remote: The server.
        connections: Connections kept open.

    Raises:
        ConfigError: A certificate's file is missing or unusable.
    """

    def __init__(self, remote: Remote, *, connections: int) -> None:
        import urllib3

        self._remote = remote
        parts = urlsplit(remote.url)
        is_tls = parts.scheme == "https"
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=connections,
            timeout=urllib3.Timeout(connect=remote.timeout_s, read=remote.timeout_s),
            ssl_context=remote.build_context() if is_tls else None,
        )
        header = remote.credentials.header
        self._headers = {"Authorization": header} if header else {}
        if header and not is_tls and not is_loopback(parts.hostname or ""):
            _log.warning("pacs.url is http: the credentials travel in the clear; use https.")

    @contextmanager
    def get(
        self, path: str, *, accept: str, query: Sequence[tuple[str, str]] = ()
    ) -> Iterator["Answer"]:
        """Ask for a resource.

        Args:
            path: Below the root of the services, with a leading slash.
            accept: Value of the Accept header.
            query: Names and values of the query.

        Yields:
            The answer of status 200 or 204, its body not yet read.

        Raises:
            TransientError: The connection or the server failed.
            RefusedError: The server has no such thing, or will not hand it out.
            DataError: The server's certificate does not verify, or it wants other credentials.
        """
        from urllib3.exceptions import HTTPError

        address = f"{self._remote.url.rstrip('/')}{path}"
        address += f"?{urlencode(query)}" if query else ""
        try:
            response = self._pool.request(
                "GET",
                address,
                headers={**self._headers, "Accept": accept},
                preload_content=False,
                redirect=False,
                retries=False,
            )
        except HTTPError as error:
            # The error's own text quotes the address, and so what was asked for.
            raise self._judge_fault(error) from None
        try:
            self._check_status(response)
            yield Answer(response, self._remote.timeout_s)
        except HTTPError as error:
            raise self._judge_fault(error) from None
        finally:
            # A connection whose answer was not read to its end cannot be used again.
            response.close() if not response.closed else response.release_conn()

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def _check_status(self, response: "BaseHTTPResponse") -> None:
        """Turn what is no answer into the error it stands for."""
        status = response.status
        if status in (OK, NO_CONTENT):
            return
        if status == 401:
            raise self._remote.fail(
                "accept the credentials, got 401",
                "set MEDVISION_PACS_USER and MEDVISION_PACS_PASSWORD, or MEDVISION_PACS_TOKEN, in "
                "the environment.",
            )
        if 300 <= status < 400:
            raise self._remote.fail(
                f"answer itself, got a redirection ({status})",
                "set pacs.url to where the services really are.",
            )
        if status in _TRANSIENT or status >= 500:
            raise TransientError("server-error", wait_s=_read_wait(response))
        raise RefusedError(_REFUSED.get(status, "refused"))

    def _judge_fault(self, error: Exception) -> Exception:
        """Return the error that a fault of the connection stands for."""
        from urllib3.exceptions import LocationParseError
        from urllib3.exceptions import TimeoutError as SilenceError

        if isinstance(error, LocationParseError):
            return self._remote.fail("have a readable address, got another", "correct pacs.url.")
        if any(isinstance(part, ssl.SSLCertVerificationError) for part in _unfold(error)):
            return self._remote.fail_certificate()
        return TransientError("timed-out" if isinstance(error, SilenceError) else "connection-lost")


class Answer:
    """An answer whose body is read as it comes.

    Args:
        response: The library's own answer.
        timeout_s: A server that sends less than 1 KiB within this time is too slow.
    """

    def __init__(self, response: "BaseHTTPResponse", timeout_s: float) -> None:
        self._response = response
        self._timeout_s = timeout_s

    @property
    def content_type(self) -> str:
        return self._response.headers.get("Content-Type", "")

    @property
    def is_empty(self) -> bool:
        return self._response.status == NO_CONTENT

    def list_chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            TransientError: The server is too slow, or the body ended early.
        """
        ends, n_bytes = time.monotonic() + self._timeout_s, 0
        while chunk := self._response.read1(_CHUNK):
            yield chunk
            n_bytes += len(chunk)
            if time.monotonic() > ends:
                if n_bytes < _LEAST_BYTES:
                    raise TransientError("timed-out")
                ends, n_bytes = time.monotonic() + self._timeout_s, 0

    def read(self, *, limit: int) -> bytes:
        """Read a body that must not be longer than `limit` bytes.

        Raises:
            TransientError: `broken-answer`: it is longer.
        """
        body = bytearray()
        for chunk in self.list_chunks():
            body += chunk
            if len(body) > limit:
                raise TransientError("broken-answer")
        return bytes(body)


def _read_wait(response: "BaseHTTPResponse") -> float:
    """Return the seconds that a Retry-After header asks for; a date counts as none."""
    text = response.headers.get("Retry-After", "").strip()
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0


def _unfold(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its reasons and what it was raised from."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        inner = [part for part in error.args if isinstance(part, BaseException)]
        reason = getattr(error, "reason", None)
        error = next(
            (part for part in (*inner, reason, error.__cause__) if isinstance(part, BaseException)),
            error.__context__,
        )
