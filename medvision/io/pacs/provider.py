"""A storage provider: a server that others send instances to by C-STORE, within bounds."""

import ssl
import threading
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socketserver import TCPServer
from time import monotonic, sleep
from typing import TYPE_CHECKING

from medvision.errors import ConfigError
from medvision.io.pacs.acceptor import accept_any_storage, build_server_class
from medvision.io.pacs.access import build_server_context
from medvision.io.pacs.archive import Archive, SeriesName
from medvision.io.pacs.association import MAX_PDU
from medvision.io.pacs.guard import guard_connection
from medvision.io.pacs.remote import is_loopback
from medvision.io.pacs.storing import store

if TYPE_CHECKING:
    from pynetdicom import AE
    from pynetdicom.events import Event, EventHandlerType
    from pynetdicom.transport import ThreadedAssociationServer

_MEGABYTE = 10**6
_GRACE_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Door:
    """Where we listen, and who may come in.

    Args:
        ae_title: Our application entity title; calls to another are refused.
        listen_host: Address that is listened on; 127.0.0.1 is reached from this machine alone.
        listen_port: Port; 0 takes one that is free.
        callers: AE titles that may call; () admits all, on loopback alone.
        max_associations: Callers at a time.
        max_instance_mb: Largest instance in 10^6 bytes; each caller may fill so much memory.
        timeout_s: Seconds of silence after which a caller is given up.
        listen_cert: Our certificate (PEM); None speaks without TLS.
        listen_key: Its private key, where it is not in the same file.
        listen_ca: Who may vouch for callers (PEM), who must then show a certificate.

    Raises:
        ConfigError: Others than this machine could come in, and nothing says who may.
    """

    ae_title: str
    listen_host: str
    listen_port: int
    callers: tuple[str, ...]
    max_associations: int
    max_instance_mb: int
    timeout_s: float
    listen_cert: Path | None
    listen_key: Path | None
    listen_ca: Path | None

    def __post_init__(self) -> None:
        if not self.callers and not is_loopback(self.listen_host):
            raise ConfigError(
                f"pacs.callers: value must name the AE titles that may call when "
                f"pacs.listen_host is {self.listen_host}, got none.",
                "list them, such as [CT1, PACS], or listen on 127.0.0.1.",
            )

    def build_context(self) -> ssl.SSLContext | None:
        """Build the TLS context; None where no TLS is spoken.

        Raises:
            ConfigError: A certificate's file is missing or unusable.
        """
        if self.listen_cert is None:
            return None
        return build_server_context(
            listen_cert=self.listen_cert, listen_key=self.listen_key, listen_ca=self.listen_ca
        )


@dataclass
class Provider:
    """A provider while it runs.

    Args:
        archive: Where instances go.
        port: The port that is listened on.
        last_s: When an instance last came, on time.monotonic's clock.
    """

    archive: Archive
    port: int
    last_s: float

    @property
    def n_stored(self) -> int:
        return self.archive.counts["stored"] + self.archive.counts["conflict"]


@contextmanager
def run_provider(
    door: Door, archive: Archive, *, of: Container[SeriesName] | None
) -> Iterator[Provider]:
    """Listen for as long as the context lasts; then let callers finish, for ten seconds at most.

    Any storage SOP class and any transfer syntax is taken as it is sent.

    Args:
        door: Where we listen.
        archive: Where instances go.
        of: The series that are taken; it may change while this runs. None takes any.

    Raises:
        ConfigError: The address cannot be listened on, or a certificate is unusable.
    """
    from pynetdicom import AE, evt

    provider = Provider(archive, door.listen_port, monotonic())

    def handle_store(event: "Event") -> int:
        status = store(event, archive, of=of)
        provider.last_s = monotonic()
        return status

    ae = AE(ae_title=door.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = door.timeout_s
    ae.maximum_pdu_size = MAX_PDU
    ae.maximum_associations = door.max_associations
    ae.require_called_aet = True
    ae.require_calling_aet = list(door.callers)
    limits = [MAX_PDU, door.max_instance_mb * _MEGABYTE, door.timeout_s]
    handlers: list[EventHandlerType] = [
        (evt.EVT_C_STORE, handle_store),
        (evt.EVT_CONN_OPEN, guard_connection, limits),
    ]
    with accept_any_storage():
        server = _open_server(door, ae, handlers)
        provider.port = int(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(_POLL_S,), daemon=True).start()
        try:
            yield provider
        finally:
            _close_server(server)


def _open_server(
    door: Door, ae: "AE", handlers: "list[EventHandlerType]"
) -> "ThreadedAssociationServer":
    """Bind the port."""
    from pynetdicom import build_context
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time

    try:
        return ae.make_server(
            (door.listen_host, door.listen_port),
            contexts=[build_context(Verification)],
            ssl_context=door.build_context(),
            evt_handlers=handlers,
            server_class=build_server_class(),
        )
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or type(error).__name__).lower()
        raise ConfigError(
            f"pacs.listen_port: {door.listen_host}:{door.listen_port} must be free to listen on, "
            f"got {reason}.",
            "choose another pacs.listen_port, or a pacs.listen_host of this machine.",
        ) from None


def _close_server(server: "ThreadedAssociationServer") -> None:
    """Take no new callers, let those who send finish, then hang up."""
    # Not the server's own shutdown, which expects to have been started by the AE.
    TCPServer.shutdown(server)
    server.server_close()
    ends = monotonic() + _GRACE_S
    while server.active_associations and monotonic() < ends:
        sleep(_POLL_S)
    for association in server.active_associations:
        association.abort()
