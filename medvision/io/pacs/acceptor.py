"""The socket of a storage provider: TLS handshakes and limits in each caller's own thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from pynetdicom.transport import ThreadedAssociationServer

_OPENING_PER_ASSOCIATION = 2


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

        n_opening = 0
        lock = Lock()

        def get_request(self) -> "tuple[socket.socket, tuple[str, int]]":
            """Accept a connection without waiting for what the caller says next."""
            if self.socket is None:
                raise OSError("the server is closed")
            plain, address = self.socket.accept()
            if self.ssl_context is None:
                return plain, address
            # guard_connection shakes hands, so that one silent caller holds up no other.
            client = self.ssl_context.wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False
            )
            return client, address

        def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002 - socketserver's signature
            """Tell whether one more connection is admitted."""
            n_open = self.n_opening + len(self.active_associations)
            return n_open < _OPENING_PER_ASSOCIATION * self.ae.maximum_associations

        def process_request_thread(
            self,
            request: "socket.socket | tuple[bytes, socket.socket]",
            client_address: tuple[str, int] | str,
        ) -> None:
            """Open a connection in a thread of its own."""
            with self.lock:
                self.n_opening += 1
            try:
                super().process_request_thread(request, client_address)
            finally:
                with self.lock:
                    self.n_opening -= 1

    return Server
