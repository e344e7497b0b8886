"""`medvision pull` against a real Orthanc on loopback: what is sent is what is received."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from dicoms import Plan, make_volume, write_series
from orthanc import (
    LOOPBACK,
    PASSWORD,
    SYNTAXES,
    USER,
    Orthanc,
    build_mixed_series,
    find_port,
    needs_orthanc,
    read_dataset_bytes,
    run_orthanc,
    run_tls_front,
    write_certificate,
)
from pipeline import call

from medvision.io.deidentify import Pseudonymiser, read_key
from medvision.io.tables import read_table

pytestmark = [needs_orthanc, pytest.mark.timeout(180)]

PROTOCOLS = ("dicomweb", "c-get", "c-move")
MAIN = "from medvision.cli.main import main; main()"
STUDY, OTHER = "1.2.826.7.1", "1.2.826.8.1"
# No part of it can come about in a digest, which is hexadecimal.
SUBJECT = "Mueller-K47Z"
LONG, LONG_COUNT = "1.2.826.9.1", 120


@dataclass
class Stocked:
    """A server, and what it was given: StudyInstanceUID to SOPInstanceUID to bytes."""

    server: Orthanc
    files: dict[str, dict[str, bytes]]
    url: str = ""


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stocked]:
    folder = tmp_path_factory.mktemp("stocked")
    files = {
        STUDY: build_mixed_series(folder / "mixed", study=STUDY, subject=SUBJECT),
        OTHER: read_plain(
            folder / "other", Plan(make_volume((8, 6, 5)), study=OTHER, series=f"{OTHER}.1")
        ),
        LONG: read_plain(
            folder / "long",
            Plan(make_volume((64, 64, LONG_COUNT)), study=LONG, series=f"{LONG}.1"),
        ),
    }
    with run_orthanc(folder / "orthanc") as server:
        for study in files.values():
            for content in study.values():
                server.upload(content)
        yield Stocked(server, files)


def read_plain(folder: Path, plan: Plan) -> dict[str, bytes]:
    import pydicom

    paths = write_series(folder, plan)
    return {str(pydicom.dcmread(path).SOPInstanceUID): path.read_bytes() for path in paths}


def list_options(server: Orthanc, folder: Path, protocol: str, **pacs: object) -> list[str]:
    """The command line of a pull into `folder`/out."""
    (folder / "labels.csv").write_text("subject,label\nx,a\n")
    values = {
        "protocol": protocol,
        "url": server.url,
        "host": LOOPBACK,
        "port": server.dicom_port,
        "called_ae_title": "ORTHANC",
        "listen_port": server.move_port,
        "backoff_s": 0.1,
        "timeout_s": 20,
        "min_free_gb": 0.01,
        **pacs,
    }
    settings = [f"pacs.{name}={json.dumps(value)}" for name, value in values.items()]
    settings += ["data.kind=dicom", f"data.labels={folder / 'labels.csv'}"]
    settings += [f"output.path={folder / 'out'}"]
    return ["pull", *(part for text in settings for part in ("--set", text))]


def ask_for(folder: Path, *studies: str) -> str:
    """Write the table of what is asked for."""
    path = folder / "studies.csv"
    path.write_text("\n".join(["study_uid", *studies]) + "\n")
    return str(path)


def pull(stocked: Stocked, folder: Path, protocol: str, *options: str, **pacs: object) -> Result:
    if "studies" not in pacs:
        pacs["studies"] = ask_for(folder, STUDY, OTHER)
    if stocked.url:
        pacs["url"] = stocked.url
    return call([*list_options(stocked.server, folder, protocol, **pacs), *options])


def read_series(folder: Path) -> list[dict[str, str]]:
    return read_table(folder / "out" / "pull" / "series.tsv")


def find_files(folder: Path) -> dict[str, Path]:
    """Pseudonymous UID to path of everything in the archive."""
    archive = folder / "out" / "pull" / "archive"
    return {path.stem: path for path in archive.rglob("*") if path.is_file()}


def names_of(folder: Path) -> Pseudonymiser:
    return Pseudonymiser(read_key(folder / "out" / "secret" / "pseudonym.key"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_instance_arrives_byte_for_byte_in_the_syntax_it_is_stored_in(
    stocked: Stocked, tmp_path: Path, protocol: str
) -> None:
    result = pull(stocked, tmp_path, protocol)
    assert result.exit_code == 0, result.output
    found, names = find_files(tmp_path), names_of(tmp_path)
    sent = {**stocked.files[STUDY], **stocked.files[OTHER]}
    assert set(found) == {names.uid(uid) for uid in sent}
    for uid, content in sent.items():
        received = found[names.uid(uid)].read_bytes()
        assert read_dataset_bytes(received) == read_dataset_bytes(content)
        assert protocol != "dicomweb" or received == content
    rows = read_series(tmp_path)
    assert [(row["line"], row["expected"], row["received"], row["state"]) for row in rows] == [
        ("2", str(len(SYNTAXES)), str(len(SYNTAXES)), "complete"),
        ("3", "5", "5", "complete"),
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_file_meta_names_the_instance_and_its_transfer_syntax(
    stocked: Stocked, tmp_path: Path, protocol: str
) -> None:
    import pydicom

    assert pull(stocked, tmp_path, protocol).exit_code == 0
    found, names = find_files(tmp_path), names_of(tmp_path)
    for uid, content in stocked.files[STUDY].items():
        meta = pydicom.filereader.read_file_meta_info(find := found[names.uid(uid)])
        assert meta.MediaStorageSOPInstanceUID == uid, find
        assert meta.TransferSyntaxUID in content.decode("latin-1")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_what_is_missing_is_fetched_again(
    stocked: Stocked, tmp_path: Path, protocol: str
) -> None:
    assert pull(stocked, tmp_path, protocol).exit_code == 0
    paths = sorted(find_files(tmp_path).values())
    before = {path: path.stat().st_mtime_ns for path in paths}
    lost = paths[::4]
    for path in lost:
        path.unlink()
    result = pull(stocked, tmp_path, protocol)
    assert result.exit_code == 0, result.output
    assert f"now stored {len(lost)}\n" in result.output
    kept = {path: path.stat().st_mtime_ns for path in paths if path not in lost}
    assert kept == {path: before[path] for path in kept}
    assert "now nothing new" in pull(stocked, tmp_path, protocol).output


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equal_pulls_leave_equal_records_and_tables(
    stocked: Stocked, tmp_path: Path, protocol: str
) -> None:
    assert pull(stocked, tmp_path, protocol).exit_code == 0
    names = ("record.json", "series.tsv", "archive.tsv")
    first = [(tmp_path / "out" / "pull" / name).read_bytes() for name in names]
    sorted(find_files(tmp_path).values())[3].unlink()
    assert pull(stocked, tmp_path, protocol).exit_code == 0
    assert [(tmp_path / "out" / "pull" / name).read_bytes() for name in names] == first


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pull_killed_in_the_middle_goes_on(
    stocked: Stocked, tmp_path: Path, protocol: str
) -> None:
    options = list_options(
        stocked.server, tmp_path, protocol, studies=ask_for(tmp_path, LONG), connections=1
    )
    process = subprocess.Popen([sys.executable, "-c", MAIN, *options], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while len(find_files(tmp_path)) < 10 and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 10 <= len(find_files(tmp_path)) < LONG_COUNT, "the kill came too late to say anything"
    assert not (tmp_path / "out" / "pull" / "record.json").exists()
    before = {p for p in find_files(tmp_path).values() if not p.name.startswith(".part-")}
    result = pull(stocked, tmp_path, protocol, studies=ask_for(tmp_path, LONG))
    assert result.exit_code == 0, result.output
    assert f"now stored {LONG_COUNT - len(before)}" in result.output
    found, names = find_files(tmp_path), names_of(tmp_path)
    sent = stocked.files[LONG]
    assert set(found) == {names.uid(uid) for uid in sent}
    for uid, content in sent.items():
        received = found[names.uid(uid)].read_bytes()
        assert read_dataset_bytes(received) == read_dataset_bytes(content)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_line_that_no_study_fits_is_told_by_its_number(
    stocked: Stocked, tmp_path: Path, protocol: str
) -> None:
    table = ask_for(tmp_path, OTHER, "1.2.3.404")
    result = pull(stocked, tmp_path, protocol, studies=table)
    assert result.exit_code == 3
    assert "error: pull: every series must be complete, got 1 that are not (no-study 1)." in (
        result.output
    )
    rows = [(row["line"], row["state"], row["reason"]) for row in read_series(tmp_path)]
    assert rows == [("2", "complete", ""), ("3", "not-found", "no-study")]
    assert not (tmp_path / "out" / "pull" / "record.json").exists()
    accepted = pull(stocked, tmp_path, protocol, studies=table, accept_incomplete=True)
    assert accepted.exit_code == 0, accepted.output
    assert (tmp_path / "out" / "pull" / "record.json").exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_studies_are_found_by_patient_accession_number_and_date(
    stocked: Stocked, tmp_path: Path, protocol: str
) -> None:
    path = tmp_path / "asked.csv"
    path.write_text(f"patient_id,accession_number\n{SUBJECT},\n,A-7\n")
    result = pull(stocked, tmp_path, protocol, studies=str(path))
    assert result.exit_code == 0, result.output
    assert [row["line"] for row in read_series(tmp_path)] == ["2"]
    dated = tmp_path / "dated"
    dated.mkdir()
    result = pull(stocked, dated, protocol, studies=None, since="2024-01-01", until="2024-12-31")
    assert result.exit_code == 0, result.output
    assert [row["received"] for row in read_series(dated)] == [str(len(SYNTAXES))]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_series_of_the_modalities_asked_for_are_pulled(
    stocked: Stocked, tmp_path: Path, protocol: str
) -> None:
    result = pull(stocked, tmp_path, protocol, modalities=["MR"])
    assert result.exit_code == 3
    assert {row["reason"] for row in read_series(tmp_path)} == {"no-series"}
    assert find_files(tmp_path) == {}


def test_what_is_asked_for_no_more_stops_the_pull_until_it_is_pruned(
    stocked: Stocked, tmp_path: Path
) -> None:
    assert pull(stocked, tmp_path, "dicomweb").exit_code == 0
    less = ask_for(tmp_path, OTHER)
    result = pull(stocked, tmp_path, "dicomweb", studies=less)
    assert result.exit_code == 3
    assert "the archive must hold what is asked for alone, got 1 other series" in result.output
    pruned = pull(stocked, tmp_path, "dicomweb", "--prune", studies=less)
    assert pruned.exit_code == 0, pruned.output
    assert len(find_files(tmp_path)) == 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_identifier_reaches_log_record_table_or_file_name(
    stocked: Stocked, tmp_path: Path, protocol: str
) -> None:
    table = tmp_path / "asked.csv"
    table.write_text(f"patient_id\n{SUBJECT}\nNobody^Known\n")
    out = tmp_path / "out" / "pull"
    result = pull(stocked, tmp_path, protocol, studies=str(table))
    said = result.output + "".join(str(path) for path in out.rglob("*"))
    said += "".join(path.read_text() for path in out.glob("*.tsv"))
    accepted = pull(stocked, tmp_path, protocol, studies=str(table), accept_incomplete=True)
    said += accepted.output + (out / "record.json").read_text()
    for secret in (SUBJECT, "Mueller", "K47Z", "Nobody", STUDY, "A-7", str(table)):
        assert secret not in said


def test_what_was_pulled_is_open_to_its_owner_alone(stocked: Stocked, tmp_path: Path) -> None:
    assert pull(stocked, tmp_path, "dicomweb").exit_code == 0
    archive = tmp_path / "out" / "pull" / "archive"
    assert archive.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in find_files(tmp_path).values())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_is_not_there_ends_the_pull_in_words(
    stocked: Stocked, tmp_path: Path, protocol: str
) -> None:
    port = find_port()
    result = pull(
        stocked,
        tmp_path,
        protocol,
        url=f"http://{LOOPBACK}:{port}/dicom-web",
        port=port,
        timeout_s=2,
        retries=1,
    )
    assert result.exit_code == 3
    assert f"{LOOPBACK}:{port}" in result.output
    assert "server must answer within 2 s, got no answer." in result.output


def test_the_wrong_root_of_the_services_is_told(stocked: Stocked, tmp_path: Path) -> None:
    url = stocked.server.url.replace("dicom-web", "wado")
    result = pull(stocked, tmp_path, "dicomweb", url=url)
    assert result.exit_code == 3
    assert "server must answer a search for studies, got not-found." in result.output


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stocked, Path]]:
    """An Orthanc that speaks DIMSE over TLS alone and HTTP with a password; its certificate."""
    folder = tmp_path_factory.mktemp("secured")
    certificate, key = write_certificate(folder / "tls")
    files = {STUDY: build_mixed_series(folder / "mixed", study=STUDY, subject=SUBJECT)}
    settings = {
        "AuthenticationEnabled": True,
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(certificate),
        "DicomTlsPrivateKey": str(key),
        "DicomTlsTrustedCertificates": str(certificate),
        "DicomTlsRemoteCertificateRequired": True,
    }
    with run_orthanc(folder / "orthanc", **settings) as server:
        for content in files[STUDY].values():
            server.upload(content)
        server.know("us", "MEDVISION", server.move_port, tls=True)
        with run_tls_front(certificate, key, server.http_port) as port:
            yield Stocked(server, files, f"https://{LOOPBACK}:{port}/dicom-web"), certificate


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDVISION_PACS_USER", USER)
    monkeypatch.setenv("MEDVISION_PACS_PASSWORD", PASSWORD)


def tls_options(certificate: Path, folder: Path) -> dict[str, object]:
    key = certificate.with_name("key.pem")
    return {
        "studies": ask_for(folder, STUDY),
        "ca_file": str(certificate),
        "tls": True,
        "client_cert": str(certificate),
        "client_key": str(key),
        "listen_cert": str(certificate),
        "listen_key": str(key),
        "listen_ca": str(certificate),
    }


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pull_over_tls_with_a_password_is_complete_and_keeps_the_secret(
    secured: tuple[Stocked, Path], tmp_path: Path, protocol: str
) -> None:
    stocked, certificate = secured
    result = pull(stocked, tmp_path, protocol, **tls_options(certificate, tmp_path))
    assert result.exit_code == 0, result.output
    assert len(find_files(tmp_path)) == len(SYNTAXES)
    record = (tmp_path / "out" / "pull" / "record.json").read_text()
    assert PASSWORD not in record + result.output


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_certificate_that_nobody_vouches_for_ends_the_pull(
    secured: tuple[Stocked, Path], tmp_path: Path, protocol: str
) -> None:
    stocked, certificate = secured
    options = tls_options(certificate, tmp_path) | {"ca_file": None, "retries": 0}
    result = pull(stocked, tmp_path, protocol, **options)
    assert result.exit_code == 3
    assert "server must show a certificate that verifies" in result.output
    assert find_files(tmp_path) == {}


def test_missing_credentials_are_told(secured: tuple[Stocked, Path], tmp_path: Path) -> None:
    stocked, certificate = secured
    result = pull(stocked, tmp_path, "dicomweb", **tls_options(certificate, tmp_path))
    assert result.exit_code == 3
    assert "server must accept the credentials, got 401." in result.output
    assert "MEDVISION_PACS_USER" in result.output


def test_a_pull_with_another_key_is_refused(stocked: Stocked, tmp_path: Path) -> None:
    assert pull(stocked, tmp_path, "dicomweb").exit_code == 0
    key = tmp_path / "other.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    options = list_options(
        stocked.server, tmp_path, "dicomweb", studies=ask_for(tmp_path, STUDY, OTHER)
    )
    result = call([*options, "--set", f"ingest.key={key}"])
    assert result.exit_code == 12
    assert "archive must bear names of key" in result.output


def test_what_was_pulled_is_what_ingest_reads(stocked: Stocked, tmp_path: Path) -> None:
    table = ask_for(tmp_path, OTHER)
    assert pull(stocked, tmp_path, "c-get", studies=table).exit_code == 0
    options = list_options(stocked.server, tmp_path, "c-get", studies=table)
    result = call(["ingest", *options[1:], "--set", "ingest.workers=1"])
    assert result.exit_code == 0, result.output
    import nibabel as nib

    image = nib.load(next((tmp_path / "out" / "ingest" / "images").glob("*.nii*")))
    expected = Plan(make_volume((8, 6, 5))).values()
    assert np.array_equal(np.sort(image.get_fdata(), axis=None), np.sort(expected, axis=None))


def test_without_a_pull_ingest_says_what_is_missing(stocked: Stocked, tmp_path: Path) -> None:
    options = list_options(stocked.server, tmp_path, "c-get", studies=ask_for(tmp_path, OTHER))
    result = call(["ingest", *options[1:]])
    assert result.exit_code in {3, 12}, result.output
    assert os.fspath(tmp_path / "out") in result.output or "pull" in result.output
