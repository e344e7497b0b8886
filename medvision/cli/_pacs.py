"""Section pacs handed over to those who obey it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from medvision.cli._inputs import find_key
from medvision.config.model import Study
from medvision.layout import Layout

if TYPE_CHECKING:
    from medvision.io.pacs.archive import Archive
    from medvision.io.pacs.listing import Server
    from medvision.io.pacs.provider import Door


@contextmanager
def open_archive(study: Study, layout: Layout) -> Iterator["Archive"]:
    """Claim the folder of what is received, with the network libraries kept silent.

    Raises:
        StaleOutputError: Another process fills it, or another key named its files.
        DataError: The key of the pseudonyms cannot be read.
    """
    from medvision.io.deidentify import Pseudonymiser, read_or_create_key
    from medvision.io.pacs.claim import claim_archive
    from medvision.io.pacs.quiet import silence_network

    names = Pseudonymiser(read_or_create_key(find_key(study, layout)))
    root = layout.step("pull")
    with (
        silence_network(),
        claim_archive(root, names, min_free_gb=study.pacs.min_free_gb) as archive,
    ):
        yield archive


def build_door(study: Study) -> "Door":
    """Return where we listen, and who may come in.

    Raises:
        ConfigError: Others than this machine could come in, and nothing says who may.
    """
    from medvision.io.pacs.provider import Door

    pacs = study.pacs
    return Door(
        ae_title=pacs.ae_title,
        listen_host=pacs.listen_host,
        listen_port=pacs.listen_port,
        callers=pacs.callers,
        max_associations=pacs.max_associations,
        max_instance_mb=pacs.max_instance_mb,
        timeout_s=pacs.timeout_s,
        listen_cert=pacs.listen_cert,
        listen_key=pacs.listen_key,
        listen_ca=pacs.listen_ca,
    )


def open_server(study: Study, archive: "Archive") -> "Server":
    """Return the server that the configuration names, ready to be asked.

    Raises:
        ConfigError: A certificate or the environment's credentials are unusable, or the port to
            receive at is taken.
    """
    from medvision.io.pacs.access import read_credentials
    from medvision.io.pacs.dicomweb import DicomwebServer
    from medvision.io.pacs.dimse import DimseServer
    from medvision.io.pacs.remote import Remote

    pacs = study.pacs
    is_web = pacs.protocol == "dicomweb"
    remote = Remote(
        url=pacs.url if is_web else "",
        host=pacs.host,
        port=pacs.port,
        called_ae_title=pacs.called_ae_title,
        ae_title=pacs.ae_title,
        tls=pacs.tls,
        ca_file=pacs.ca_file,
        client_cert=pacs.client_cert,
        client_key=pacs.client_key,
        timeout_s=pacs.timeout_s,
        credentials=read_credentials(os.environ),
    )
    if is_web:
        return DicomwebServer(remote, archive, connections=pacs.connections)
    return DimseServer(
        remote, archive, door=build_door(study) if pacs.protocol == "c-move" else None
    )
