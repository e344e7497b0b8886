"""A real Orthanc on loopback, with files of many transfer syntaxes in it, for tests of the PACS."""

import json
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import pytest
import urllib3
from pydicom.uid import UID

PROGRAM = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
LOOPBACK = "127.0.0.1"
USER, PASSWORD = "reader", "not-a-real-secret"
_START_S = 60

needs_orthanc = pytest.mark.skipif(
    PROGRAM is None or not PLUGIN.is_file(),
    reason="Orthanc with its DICOMweb plugin is not installed (Debian: orthanc, orthanc-dicomweb)",
)


@dataclass
class Orthanc:
    """A running server, and how it is spoken to."""

    http_port: int
    dicom_port: int
    move_port: int
    home: Path
    pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)
    modalities: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.http_port}/dicom-web"

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Speak to Orthanc's own interface."""
        response = self.pool.request(
            method,
            f"http://{LOOPBACK}:{self.http_port}{path}",
            body=body,
            headers=urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}"),
        )
        assert response.status == 200, (response.status, response.data[:200])
        return response.data

    def upload(self, content: bytes) -> str:
        """Store one file; return Orthanc's own id of it."""
        return str(json.loads(self.call("POST", "/instances", content))["ID"])

    def push(self, modality: str, ids: list[str]) -> None:
        """Have Orthanc send instances to a storage provider by C-STORE."""
        order = {"Resources": ids, "Synchronous": True}
        self.call("POST", f"/modalities/{modality}/store", json.dumps(order).encode())

    def know(self, modality: str, title: str, port: int, *, tls: bool = False) -> None:
        """Tell Orthanc of a storage provider."""
        order = {"AET": title, "Host": LOOPBACK, "Port": port, "UseDicomTls": tls}
        self.call("PUT", f"/modalities/{modality}", json.dumps(order).encode())


def find_port() -> int:
    """A port of loopback that was free just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextmanager
def run_orthanc(home: Path, **settings: object) -> Iterator[Orthanc]:
    """Start Orthanc in a folder of its own; stop it at the end, whatever happens."""
    server = Orthanc(find_port(), find_port(), find_port(), home)
    home.mkdir(parents=True, exist_ok=True)
    config = _build_config(server) | settings
    path = home / "orthanc.json"
    path.write_text(json.dumps(config))
    with (home / "orthanc.log").open("wb") as log:
        # A session of its own, so that nothing sent to the tests' group reaches it.
        process = subprocess.Popen(
            [str(PROGRAM), str(path)], stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(server, process)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: Orthanc, process: "subprocess.Popen[bytes]") -> None:
    """Wait until both of its ports answer."""
    until = time.monotonic() + _START_S
    for port in (server.http_port, server.dicom_port):
        while True:
            assert process.poll() is None, (server.home / "orthanc.log").read_text()[-2000:]
            assert time.monotonic() < until, "Orthanc does not answer"
            with socket.socket() as probe:
                if probe.connect_ex((LOOPBACK, port)) == 0:
                    break
            time.sleep(0.05)


def _build_config(server: Orthanc) -> dict[str, object]:
    """Loopback alone, no disk beyond the folder, nothing changed in what is stored."""
    return {
        "Name": "test",
        "StorageDirectory": str(server.home / "db"),
        "IndexDirectory": str(server.home / "db"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": server.http_port,
        "DicomPort": server.dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "UnknownSopClassAccepted": True,
        "DicomModalities": {"us": ["MEDVISION", LOOPBACK, server.move_port]},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "OverwriteInstances": False,
        "JobsHistorySize": 10,
        "SaveJobs": False,
        "LimitFindResults": 0,
        "LimitFindInstances": 0,
    }


SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "big endian": "1.2.840.10008.1.2.2",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "RLE": "1.2.840.10008.1.2.5",
}
"""Transfer syntaxes that archives hold side by side."""


def build_mixed_series(
    folder: Path, *, series: str = "1.2.826.7.1.1", study: str = "1.2.826.7.1", subject: str = "P-7"
) -> dict[str, bytes]:
    """One CT series whose slices have a transfer syntax each.

    Returns:
        SOPInstanceUID to the file's bytes.
    """
    from dicoms import Plan, make_volume, write_series

    plan = Plan(make_volume((64, 64, len(SYNTAXES))), series=series, study=study, subject=subject)
    paths = write_series(folder, plan)
    files = {}
    for path, syntax in zip(paths, SYNTAXES.values(), strict=True):
        sop_uid, content = encode(path, syntax)
        files[sop_uid] = content
    return files


def encode(path: Path, syntax: str) -> tuple[str, bytes]:
    """Write a file again in another transfer syntax; return its SOPInstanceUID and its bytes."""
    dataset = pydicom.dcmread(path)
    target = path.with_suffix(".dcm")
    dataset.StudyDate, dataset.AccessionNumber = "20240301", "A-7"
    uid = UID(syntax)
    if syntax == SYNTAXES["JPEG lossless"]:
        dataset.save_as(target)
        _encode_by_gdcm(target)
    elif uid.is_compressed and not uid.is_deflated:
        dataset.compress(uid, generate_instance_uid=False)
        dataset.save_as(target)
    else:
        if not uid.is_little_endian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = uid
        plain = pydicom.Dataset(dataset)
        plain.file_meta = dataset.file_meta
        plain.preamble = bytes(128)
        plain.save_as(
            target,
            implicit_vr=uid.is_implicit_VR,
            little_endian=uid.is_little_endian,
            enforce_file_format=True,
        )
    return str(dataset.SOPInstanceUID), target.read_bytes()


def _encode_by_gdcm(path: Path) -> None:
    """Compress a file in place as JPEG lossless, which pydicom cannot write."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()


def read_dataset_bytes(content: bytes) -> bytes:
    """What follows preamble and meta information, by a walk of its own."""
    offset = 132
    while content[offset : offset + 2] == b"\x02\x00":
        is_long = content[offset + 4 : offset + 6] in (b"OB", b"UN", b"OW")
        start = offset + (12 if is_long else 8)
        length = content[offset + 8 : start] if is_long else content[offset + 6 : start]
        offset = start + int.from_bytes(length, "little")
    return content[offset:]


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for loopback that vouches for itself; return it and its key, as PEM."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    paths[1].chmod(0o600)
    return paths


class _Relay(socketserver.BaseRequestHandler):
    """Carries bytes between a TLS caller and a plain server, both ways, until one hangs up."""

    def handle(self) -> None:
        context, port = self.server.settings  # type: ignore[attr-defined]  # set below
        try:
            outer = context.wrap_socket(self.request, server_side=True)
        except OSError:
            return
        with outer, socket.create_connection((LOOPBACK, port)) as inner:
            back = threading.Thread(target=_carry, args=(inner, outer), daemon=True)
            back.start()
            _carry(outer, inner)
            back.join(timeout=5)


def _carry(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes one way."""
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def run_tls_front(certificate: Path, key: Path, port: int) -> Iterator[int]:
    """Put TLS before a plain port; yield the port that speaks it.

    Orthanc's own HTTPS ends in a segmentation fault at the first request in Debian 12
    (1.10.1 with OpenSSL 3), so the tests bring their own.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = socketserver.ThreadingTCPServer((LOOPBACK, 0), _Relay)
    server.daemon_threads = True
    server.settings = (context, port)  # type: ignore[attr-defined]  # read above
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
