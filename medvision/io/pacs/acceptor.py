"""The socket of a storage provider: TLS handshakes and limits in each caller's own thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import ssl

    from pynetdicom.transport import ThreadedAssociationServer

_CONNECTIONS_PER_ASSOCIATION = 2


@contextmanager
def accept_any_storage() -> Iterator[None]:
    """Have pynetdicom take private SOP classes and transfer syntaxes too, and write no log text.

    These are settings of the whole library, put back at the end.
    """
    from pynetdicom import _config

    before = _config.UNRESTRICTED_STORAGE_SERVICE, _config.LOG_HANDLER_LEVEL
    _config.UNRESTRICTED_STORAGE_SERVICE, _config.LOG_HANDLER_LEVEL = True, "none"
    try:
        yield
    finally:
        _config.UNRESTRICTED_STORAGE_SERVICE, _config.LOG_HANDLER_LEVEL = before


@cache
def build_server_class() -> "type[ThreadedAssociationServer]":
    """Return the class of the server, made when the library is first needed."""
    from pynetdicom.transport import ThreadedAssociationServer

    class Server(ThreadedAssociationServer):
        """Admits twice as many connections as associations: some wait to be refused politely."""

        opening = Opening()

        def get_request(self) -> "tuple[socket.socket, tuple[str, int]]":
            """Accept a connection without waiting for what the caller says next."""
            if self.socket is None:
                raise OSError("the server is closed")
            plain, address = self.socket.accept()
            return _wrap(plain, self.ssl_context), address

        def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002 - socketserver's signature
            """Tell whether one more connection is admitted."""
            n_open = self.opening.n + len(self.active_associations)
            return n_open < _CONNECTIONS_PER_ASSOCIATION * self.ae.maximum_associations

        def process_request_thread(
            self,
            request: "socket.socket | tuple[bytes, socket.socket]",
            client_address: tuple[str, int] | str,
        ) -> None:
            """Open a connection in a thread of its own."""
            with self.opening:
                super().process_request_thread(request, client_address)

    return Server


class Opening:
    """Counts the connections that are no associations yet: those whose handshake is under way."""

    def __init__(self) -> None:
        self.n = 0
        self._lock = Lock()

    def __enter__(self) -> None:
        """One more."""
        with self._lock:
            self.n += 1

    def __exit__(self, *fault: object) -> None:
        """One less."""
        with self._lock:
            self.n -= 1


def _wrap(plain: "socket.socket", context: "ssl.SSLContext | None") -> "socket.socket":
    """Put TLS over a connection; guard_connection shakes hands, where nobody else waits."""
    if context is None:
        return plain
    return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
