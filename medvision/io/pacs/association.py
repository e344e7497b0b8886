"""One DICOM association with the server, and what its refusals mean."""

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from medvision.io.pacs.access import Credentials
from medvision.io.pacs.reasons import RefusedError, TransientError
from medvision.io.pacs.remote import Remote

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.association import Association
    from pynetdicom.events import EventHandlerType
    from pynetdicom.pdu_primitives import _UI, UserIdentityNegotiation
    from pynetdicom.presentation import PresentationContext

MAX_PDU = 1 << 18
"""Bytes of a message's piece that we ask for; PS3.8 D.1."""

_PERMANENT = 1
_SUCCESS, _WARNING = 0x0000, 0xB000
_PENDING = frozenset({0xFF00, 0xFF01})
_NO_RESOURCES = frozenset({0xA700, 0xA701, 0xA702})
_UNKNOWN_DESTINATION = 0xA801
_NOT_AUTHORISED, _NO_SUCH_CLASS, _NO_SUCH_OPERATION = 0x0124, 0x0122, 0x0211
_USER_AND_PASSWORD, _WEB_TOKEN = 2, 5


@contextmanager
def associate(
    remote: Remote,
    contexts: Sequence["PresentationContext"],
    *,
    model: str,
    roles: Sequence[str] = (),
    handlers: Sequence["EventHandlerType"] = (),
) -> Iterator["Association"]:
    """Open an association, and end it whatever happens.

    Args:
        remote: The server.
        contexts: What is proposed, the information model included.
        model: SOP class UID of the information model that must be accepted.
        roles: SOP classes for which we also receive.
        handlers: Events and what they call.

    Raises:
        TransientError: No association could be made now.
        DataError: The server refuses us for good, or does not offer the model.
    """
    from pynetdicom import AE, build_role

    ae = AE(ae_title=remote.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = remote.timeout_s
    ae.connection_timeout = remote.timeout_s
    tls = (remote.build_context(), remote.host) if remote.tls else None
    extended: list[_UI] = [build_role(uid, scp_role=True) for uid in roles]
    extended += _identify(remote.credentials)
    association = ae.associate(
        remote.host,
        remote.port,
        contexts=list(contexts),
        ae_title=remote.called_ae_title,
        max_pdu=MAX_PDU,
        ext_neg=extended,
        tls_args=tls,
        evt_handlers=list(handlers),
    )
    try:
        _check_established(association, remote, model)
        yield association
        association.release()
    finally:
        if association.is_established:
            association.abort()


def _identify(credentials: Credentials) -> "list[UserIdentityNegotiation]":
    """Return the item that says who we are; none without credentials.

    Source:
        PS3.7 D.3.3.7.
    """
    from pynetdicom.pdu_primitives import (
        UserIdentityNegotiation,
    )

    item = UserIdentityNegotiation()
    item.positive_response_requested = False
    if credentials.token:
        item.user_identity_type = _WEB_TOKEN
        item.primary_field = credentials.token.encode()
    elif credentials.user:
        item.user_identity_type = _USER_AND_PASSWORD
        item.primary_field = credentials.user.encode()
        item.secondary_field = credentials.password.encode()
    else:
        return []
    return [item]


def _check_established(association: "Association", remote: Remote, model: str) -> None:
    """Turn a refusal into the error it stands for."""
    if model in {context.abstract_syntax for context in association.rejected_contexts}:
        raise remote.fail(
            f"offer the service {_name_model(model)}, got a refusal",
            "ask its administrator to allow it to our AE title, or choose another pacs.protocol.",
        )
    if association.is_established:
        return
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None and answer.result == _PERMANENT:
        raise remote.fail(
            f"accept an association from {remote.ae_title} to {remote.called_ae_title}, got a "
            "rejection",
            "compare pacs.ae_title and pacs.called_ae_title with what its administrator "
            "registered.",
        )
    if association.is_rejected:
        raise TransientError("no-resources")
    if remote.tls and not _is_trusted(remote):
        raise remote.fail_certificate()
    raise TransientError("connection-lost")


def _is_trusted(remote: Remote) -> bool:
    """Tell whether the server's certificate verifies; where it cannot be seen it counts as such."""
    try:
        with (
            socket.create_connection((remote.host, remote.port), remote.timeout_s) as plain,
            remote.build_context().wrap_socket(plain, server_hostname=remote.host),
        ):
            return True
    except ssl.SSLCertVerificationError:
        return False
    except OSError:
        return True


def _name_model(model: str) -> str:
    """Return the standard's name of an information model."""
    from pydicom.uid import UID

    return UID(model).name


def check_status(status: "Dataset", remote: Remote) -> bool:
    """Judge the status of a response.

    Args:
        status: As pynetdicom hands it over; empty where the connection was lost.
        remote: The server.

    Returns:
        Whether this was the last response: pending ones are not.

    Raises:
        TransientError: The server failed, or the connection was lost.
        RefusedError: The server will not do it.
        DataError: The server will never do it as it is set up.

    Source:
        PS3.4 C.4.1.1.4, C.4.2.1.5, C.4.3.1.4; PS3.7 annex C.
    """
    code = status.get("Status")
    if code is None:
        raise TransientError("connection-lost")
    if code in _PENDING:
        return False
    if code in {_SUCCESS, _WARNING}:
        return True
    if code == _UNKNOWN_DESTINATION:
        raise remote.fail(
            f"know the AE title {remote.ae_title} as a destination, got status A801",
            "ask its administrator to register pacs.ae_title with this machine's address and "
            "pacs.listen_port.",
        )
    if code in _NO_RESOURCES:
        raise TransientError("no-resources")
    if code in {_NOT_AUTHORISED, _NO_SUCH_CLASS, _NO_SUCH_OPERATION} or 0xA900 <= code < 0xAB00:
        raise RefusedError("refused")
    raise TransientError("server-error")


def read_texts(dataset: "Dataset", keywords: Sequence[str]) -> Mapping[str, str]:
    """Return keyword to plain text; what is missing, empty or unreadable is left out."""
    texts = {}
    for keyword in keywords:
        try:
            value = dataset.get(keyword)
        except Exception:  # noqa: BLE001 - pydicom raises what it meets in a server's answer
            value = None
        text = "" if value is None else str(value).strip("\0 ")
        if text:
            texts[keyword] = text
    return texts
