"""`medvision listen`: what is pushed is what is stored, until it is told to stop."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from orthanc import (
    LOOPBACK,
    SYNTAXES,
    build_mixed_series,
    needs_orthanc,
    read_dataset_bytes,
    run_orthanc,
    write_certificate,
)
from pipeline import call

from medvision.io.deidentify import Pseudonymiser, read_key
from medvision.io.tables import read_table

pytestmark = pytest.mark.timeout(180)

MAIN = "from medvision.cli.main import main; main()"


@dataclass
class Listener:
    """A listener in a process of its own."""

    process: "subprocess.Popen[str]"
    port: int
    said: list[str] = field(default_factory=list)

    def stop(self) -> int:
        """End it as a service manager would; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        assert self.process.stderr is not None
        self.said.append(self.process.stderr.read())
        return self.process.wait(timeout=30)


def list_settings(folder: Path, **pacs: object) -> list[str]:
    (folder / "labels.csv").write_text("subject,label\nx,a\n")
    values = {"protocol": "push", "listen_port": 0, "min_free_gb": 0.01, "timeout_s": 10, **pacs}
    settings = [f"pacs.{name}={json.dumps(value)}" for name, value in values.items()]
    settings += ["data.kind=dicom", f"data.labels={folder / 'labels.csv'}"]
    settings += [f"output.path={folder / 'out'}"]
    return [part for text in settings for part in ("--set", text)]


@contextmanager
def run_listener(folder: Path, *options: str, **pacs: object) -> Iterator[Listener]:
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "listen", *list_settings(folder, **pacs), *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        port = re.match(r"listen: 127\.0\.0\.1:(\d+) as MEDVISION", line)
        assert port, line + process.stderr.read()
        yield Listener(process, int(port[1]), [line])
    finally:
        process.kill()
        process.wait()


def push(
    port: int, files: list[bytes], *, caller: str = "CT1", called: str = "MEDVISION"
) -> list[int]:
    """Send files by C-STORE; return the statuses, 0 for success, -1 where nothing answered."""
    import io

    import pydicom
    from pynetdicom import AE

    datasets = [pydicom.dcmread(io.BytesIO(content)) for content in files]
    ae = AE(ae_title=caller)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
    for dataset in datasets:
        ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = ae.associate(LOOPBACK, port, ae_title=called)
    if not association.is_established:
        return []
    statuses = [association.send_c_store(dataset).get("Status", -1) for dataset in datasets]
    association.release()
    return statuses


def echo(port: int) -> int:
    from pynetdicom import AE

    ae = AE(ae_title="CT1")
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate(LOOPBACK, port, ae_title="MEDVISION")
    status = association.send_c_echo()
    association.release()
    return int(status.Status)


def find_files(folder: Path) -> dict[str, Path]:
    archive = folder / "out" / "pull" / "archive"
    return {path.stem: path for path in archive.rglob("*.dcm")}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return build_mixed_series(tmp_path_factory.mktemp("mixed"), subject="Mueller-4711")


@needs_orthanc
def test_what_orthanc_pushes_is_stored_byte_for_byte(
    mixed: dict[str, bytes], tmp_path: Path
) -> None:
    with run_orthanc(tmp_path / "orthanc") as server, run_listener(tmp_path) as listener:
        ids = [server.upload(content) for content in mixed.values()]
        server.know("listener", "MEDVISION", listener.port)
        assert echo(listener.port) == 0
        server.push("listener", ids)
        assert listener.stop() == 0
    names = Pseudonymiser(read_key(tmp_path / "out" / "secret" / "pseudonym.key"))
    found = find_files(tmp_path)
    assert set(found) == {names.uid(uid) for uid in mixed}
    for uid, content in mixed.items():
        received = found[names.uid(uid)].read_bytes()
        assert read_dataset_bytes(received) == read_dataset_bytes(content)
    assert listener.said[-1] == f"listen: stopped by signal; stored {len(SYNTAXES)}\n"


def test_a_pull_takes_stock_of_what_was_pushed(mixed: dict[str, bytes], tmp_path: Path) -> None:
    with run_listener(tmp_path, "--max-instances", str(len(mixed))) as listener:
        assert push(listener.port, list(mixed.values())) == [0] * len(mixed)
        assert listener.wait() == 0
    assert "stopped by count" in listener.said[-1]
    result = call(["pull", *list_settings(tmp_path)])
    assert result.exit_code == 0, result.output
    rows = read_table(tmp_path / "out" / "pull" / "series.tsv")
    assert [(row["received"], row["state"]) for row in rows] == [(str(len(mixed)), "pushed")]
    listing = read_table(tmp_path / "out" / "pull" / "archive.tsv")
    assert len(listing) == len(mixed)


def test_an_instance_sent_twice_is_stored_once_and_another_of_its_name_beside_it(
    mixed: dict[str, bytes], tmp_path: Path
) -> None:
    content = mixed[min(mixed)]
    other = content.replace(b"ORIGINAL", b"DERIVED ")
    assert other != content
    with run_listener(tmp_path) as listener:
        assert push(listener.port, [content, content, other, other]) == [0, 0, 0, 0]
        assert listener.stop() == 0
    assert "conflict 1, duplicate 2, stored 1" in listener.said[-1]
    kept = {read_dataset_bytes(path.read_bytes()) for path in find_files(tmp_path).values()}
    assert kept == {read_dataset_bytes(content), read_dataset_bytes(other)}


def test_only_callers_that_are_listed_and_only_our_own_title_are_served(
    mixed: dict[str, bytes], tmp_path: Path
) -> None:
    content = mixed[min(mixed)]
    with run_listener(tmp_path, callers=["CT1"]) as listener:
        assert push(listener.port, [content], caller="STRANGER") == []
        assert push(listener.port, [content], called="OTHER") == []
        assert push(listener.port, [content]) == [0]
        assert listener.stop() == 0
    assert len(find_files(tmp_path)) == 1


def test_a_disk_that_is_about_to_be_full_is_answered_with_a700(
    mixed: dict[str, bytes], tmp_path: Path
) -> None:
    with run_listener(tmp_path, min_free_gb=10**9) as listener:
        assert push(listener.port, [mixed[min(mixed)]]) == [0xA700]
        assert listener.stop() == 0
    assert listener.said[-1] == "listen: stopped by signal; refused 1\n"
    assert find_files(tmp_path) == {}


def test_it_stops_by_itself_when_nothing_comes(tmp_path: Path) -> None:
    with run_listener(tmp_path, "--idle-timeout", "0.5") as listener:
        assert listener.wait() == 0
    assert listener.said[-1] == "listen: stopped by idle; nothing came\n"


def test_other_addresses_than_loopback_need_a_list_of_callers(tmp_path: Path) -> None:
    result = call(["listen", *list_settings(tmp_path, listen_host="0.0.0.0")])
    assert result.exit_code == 2
    assert "pacs.callers: value must name the AE titles that may call" in result.output


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with run_listener(tmp_path) as listener:
        other = tmp_path / "other"
        other.mkdir()
        result = call(["listen", *list_settings(other, listen_port=listener.port)])
    assert result.exit_code == 2
    assert f"pacs.listen_port: 127.0.0.1:{listener.port} must be free to listen on" in result.output


def test_a_pull_does_not_disturb_a_listener(tmp_path: Path) -> None:
    with run_listener(tmp_path):
        result = call(["pull", *list_settings(tmp_path)])
    assert result.exit_code == 12
    assert "one process at a time must fill the archive" in result.output


def test_to_listen_the_protocol_must_be_push(tmp_path: Path) -> None:
    result = call(["listen", *list_settings(tmp_path, protocol="none")[:2]])
    assert result.exit_code == 2
    assert "pacs.protocol: value must be push to listen, got none." in result.output


def test_over_tls_a_caller_must_show_a_certificate(mixed: dict[str, bytes], tmp_path: Path) -> None:
    import socket
    import ssl

    certificate, key = write_certificate(tmp_path / "tls")
    settings = {
        "listen_cert": str(certificate),
        "listen_key": str(key),
        "listen_ca": str(certificate),
    }
    with run_listener(tmp_path, **settings) as listener:
        # A caller that says nothing must not keep the others waiting.
        silent = socket.create_connection((LOOPBACK, listener.port))
        assert push(listener.port, [mixed[min(mixed)]]) == []
        context = ssl.create_default_context(cafile=certificate)
        assert not can_associate(listener.port, context)
        context.load_cert_chain(certificate, key)
        started = time.monotonic()
        assert can_associate(listener.port, context)
        assert time.monotonic() - started < 5
        silent.close()
        assert listener.stop() == 0


def can_associate(port: int, context: object) -> bool:
    from pynetdicom import AE

    ae = AE(ae_title="CT1")
    ae.acse_timeout = ae.network_timeout = 10
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate(
        LOOPBACK,
        port,
        ae_title="MEDVISION",
        tls_args=(context, LOOPBACK),  # type: ignore[arg-type]  # an SSLContext
    )
    is_established = bool(association.is_established)
    if is_established:
        association.release()
    return is_established
