"""The storage provider holds its bounds against callers that mean no good."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_pacs import SERIES, STUDY, build_archive, build_files
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from medvision.errors import ConfigError
from medvision.io.pacs.archive import Archive
from medvision.io.pacs.guard import Guard
from medvision.io.pacs.provider import Door, Provider, run_provider
from medvision.io.pacs.quiet import silence_network

pytestmark = pytest.mark.timeout(90)

CT = "1.2.840.10008.5.1.4.1.1.2"
PRIVATE = "1.2.826.0.1.3680043.99.1"


def build_door(**values: object) -> Door:
    settings: dict[str, object] = {
        "ae_title": "MEDVISION",
        "listen_host": "127.0.0.1",
        "listen_port": 0,
        "callers": (),
        "max_associations": 2,
        "max_instance_mb": 1,
        "timeout_s": 2.0,
        "listen_cert": None,
        "listen_key": None,
        "listen_ca": None,
    }
    return Door(**(settings | values))  # type: ignore[arg-type]  # a table of settings


@contextmanager
def provide(archive: Archive, **values: object) -> Iterator[Provider]:
    with silence_network(), run_provider(build_door(**values), archive, of=None) as provider:
        yield provider


def connect(provider: Provider, sop_class: str = CT, syntax: str | None = None) -> Association:
    ae = AE(ae_title="CT1")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
    ae.add_requested_context(sop_class, syntax)
    return ae.associate("127.0.0.1", provider.port, ae_title="MEDVISION")


def build_dataset(sop_uid: str = "1.2.3.4", *, sop_class: str = CT, n_bytes: int = 0) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, sop_uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    if n_bytes:
        dataset.BitsAllocated = 8
        dataset.PixelData = bytes(n_bytes)
    return dataset


def send(association: Association, dataset: Dataset) -> int | None:
    from pydicom.dataset import FileMetaDataset

    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    status = association.send_c_store(dataset).get("Status")
    return None if status is None else int(status)


def test_private_sop_classes_are_taken_too(tmp_path: Path) -> None:
    archive = build_archive(tmp_path)
    with provide(archive) as provider:
        association = connect(provider, PRIVATE)
        assert send(association, build_dataset(sop_class=PRIVATE)) == 0
        association.release()
    assert archive.counts == {"stored": 1}


def test_a_dataset_without_identity_is_answered_with_c000(tmp_path: Path) -> None:
    archive = build_archive(tmp_path)
    with provide(archive) as provider:
        association = connect(provider)
        dataset = build_dataset()
        del dataset.StudyInstanceUID
        assert send(association, dataset) == 0xC000
        assert send(association, build_dataset()) == 0
        association.release()
    assert archive.counts == {"refused": 1, "stored": 1}


def test_an_instance_beyond_the_limit_ends_the_association_not_the_provider(
    tmp_path: Path,
) -> None:
    archive = build_archive(tmp_path)
    with provide(archive) as provider:
        association = connect(provider)
        assert send(association, build_dataset(n_bytes=3_000_000)) is None
        association = connect(provider)
        for k in range(4):
            assert send(association, build_dataset(f"1.2.3.{k}", n_bytes=900_000)) == 0
        association.release()
    assert archive.counts == {"stored": 4}


def test_a_piece_that_claims_gigabytes_is_not_waited_for(tmp_path: Path) -> None:
    with provide(build_archive(tmp_path)) as provider:
        with socket.create_connection(("127.0.0.1", provider.port), timeout=10) as caller:
            caller.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFF0) + bytes(1000))
            assert caller.recv(100) == b""
        assert connect(provider).is_established


@pytest.mark.parametrize(
    "start",
    [b"", b"\x01\x00\x00", b"GET / HTTP/1.1\r\n\r\n", bytes(64)],
    ids=["nothing", "half a head", "HTTP", "zeros"],
)
def test_a_caller_that_talks_nonsense_is_shown_out_in_time(tmp_path: Path, start: bytes) -> None:
    with provide(build_archive(tmp_path)) as provider:
        started = time.monotonic()
        with socket.create_connection(("127.0.0.1", provider.port), timeout=20) as caller:
            caller.sendall(start)
            while caller.recv(100):
                pass
        assert time.monotonic() - started < 15
        assert connect(provider).is_established


def test_more_callers_than_allowed_are_refused_and_the_first_are_served(tmp_path: Path) -> None:
    archive = build_archive(tmp_path)
    with provide(archive, max_associations=2) as provider:
        first = [connect(provider) for _ in range(2)]
        assert all(association.is_established for association in first)
        others = [connect(provider) for _ in range(3)]
        assert not any(association.is_established for association in others)
        for k, association in enumerate(first):
            assert send(association, build_dataset(f"1.2.3.{k}")) == 0
            association.release()
    assert archive.counts == {"stored": 2}


def test_a_store_under_way_is_finished_when_the_provider_ends(tmp_path: Path) -> None:
    import threading

    archive = build_archive(tmp_path)
    statuses: list[int | None] = []
    with provide(archive) as provider:
        association = connect(provider)

        def work() -> None:
            for k in range(20):
                statuses.append(send(association, build_dataset(f"1.2.3.{k}", n_bytes=100_000)))
            association.release()

        thread = threading.Thread(target=work)
        thread.start()
        while archive.counts["stored"] < 3:
            time.sleep(0.01)
    thread.join(timeout=20)
    assert statuses == [0] * 20
    assert archive.counts == {"stored": 20}


def test_bytes_of_slow_callers_do_not_count_for_ever() -> None:
    ours, theirs = socket.socketpair()
    guard = Guard(
        SimpleNamespace(socket=ours),  # type: ignore[arg-type]  # all that a guard looks at
        max_pdu=1000,
        max_message=10**6,
        timeout_s=0.3,
    )
    ours.settimeout(0.2)
    theirs.sendall(b"abc")
    with pytest.raises(TimeoutError):
        guard.receive(10)
    theirs.sendall(b"defgh")
    assert guard.receive(5) == b"defgh"
    theirs.close()
    assert guard.receive(5) == b""
    ours.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "pacs.example.org"])
def test_other_addresses_than_loopback_need_a_list_of_callers(host: str) -> None:
    with pytest.raises(ConfigError, match="must name the AE titles that may call"):
        build_door(listen_host=host)
    assert build_door(listen_host=host, callers=("CT1",)).listen_host == host


def test_what_is_pushed_lies_as_it_was_sent(tmp_path: Path) -> None:
    import io

    import pydicom

    archive = build_archive(tmp_path)
    (content,) = build_files(tmp_path / "files", n=1).values()
    with provide(archive) as provider:
        association = connect(provider, CT, "1.2.840.10008.1.2.1")
        status = association.send_c_store(pydicom.dcmread(io.BytesIO(content)))
        assert status.Status == 0
        association.release()
    (path,) = archive.root.rglob("*.dcm")
    assert path.read_bytes().endswith(content[content.index(b"\x08\x00\x08\x00CS") :])
