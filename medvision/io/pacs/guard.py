"""Bounds that pynetdicom does not set: how long a piece of a message may be, and how slow."""

import ssl
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.events import Event
    from pynetdicom.transport import AssociationSocket

_CHUNK = 1 << 16
_SPARE = 1 << 16
"""An association request may be longer than the largest piece of a message."""


class Guard:
    """Watches what one caller sends.

    Args:
        connection: pynetdicom's socket of the association.
        max_pdu: Largest piece of a message, in bytes.
        max_message: Largest message, in bytes: it is held in memory.
        timeout_s: Longest time for one piece.
    """

    def __init__(
        self, connection: "AssociationSocket", *, max_pdu: int, max_message: int, timeout_s: float
    ) -> None:
        self._connection = connection
        self._max_pdu = max_pdu + _SPARE
        self._max_message = max_message + _SPARE
        self._timeout_s = timeout_s
        self._n_bytes = 0

    def receive(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or what comes before the caller hangs up.

        Raises:
            OSError: The piece or the message is too long, or comes too slowly; pynetdicom then
                closes the connection.
        """
        self._n_bytes += nr_bytes
        if nr_bytes > self._max_pdu or self._n_bytes > self._max_message:
            raise OSError("the message is too long")
        ends = monotonic() + self._timeout_s
        data = bytearray()
        raw = self._connection.socket
        while raw is not None and len(data) < nr_bytes:
            if monotonic() > ends:
                raise TimeoutError
            piece = raw.recv(min(_CHUNK, nr_bytes - len(data)))
            if not piece:
                break
            data += piece
        return data

    def forget(self, event: "Event") -> None:  # noqa: ARG002 - pynetdicom's signature
        """Begin to count anew: a message was received whole."""
        self._n_bytes = 0


def guard_connection(event: "Event", max_pdu: int, max_message: int, timeout_s: float) -> None:
    """Put a guard before a connection that was just opened, and finish its TLS handshake.

    The arguments stand in this order since pynetdicom hands them over so.

    Args:
        event: pynetdicom's EVT_CONN_OPEN.
        max_pdu: As Guard.
        max_message: As Guard.
        timeout_s: As Guard.
    """
    from pynetdicom import evt

    connection = event.assoc.dul.socket
    if connection is None or connection.socket is None:
        return
    connection.socket.settimeout(timeout_s)
    try:
        if isinstance(connection.socket, ssl.SSLSocket):
            connection.socket.do_handshake()
    except OSError:
        connection.close()
        return
    guard = Guard(connection, max_pdu=max_pdu, max_message=max_message, timeout_s=timeout_s)
    connection.recv = guard.receive  # type: ignore[method-assign]
    event.assoc.bind(evt.EVT_DIMSE_RECV, guard.forget)
