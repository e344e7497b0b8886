"""A DICOMweb server on loopback that misbehaves as it is told, and what a pull needs beside it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from dicoms import Plan, make_volume, write_series

from medvision.io.deidentify import Pseudonymiser
from medvision.io.pacs.access import Credentials
from medvision.io.pacs.archive import Archive
from medvision.io.pacs.remote import Remote

NAMES = Pseudonymiser(b"a key that is no secret at all..")
STUDY, SERIES = "1.2.826.5.1", "1.2.826.5.1.1"
_BOUNDARY = "frontier"

Fault = Callable[["Handler"], bool]
"""Answers in place of the server; returns whether it did."""


def build_files(folder: Path, *, n: int = 6, series: str = SERIES) -> dict[str, bytes]:
    """SOPInstanceUID to bytes of a small series."""
    plan = Plan(make_volume((8, 6, n)), study=STUDY, series=series, subject="Mueller-4711")
    paths = write_series(folder, plan)
    return {f"{series}.{k + 1}": path.read_bytes() for k, path in enumerate(paths)}


def build_archive(folder: Path) -> Archive:
    return Archive(folder / "archive", folder / "ledger", NAMES, min_free_gb=0.01)


def build_remote(url: str = "", *, port: int = 104, **values: object) -> Remote:
    settings: dict[str, object] = {
        "url": url,
        "host": "127.0.0.1",
        "port": port,
        "called_ae_title": "PACS",
        "ae_title": "MEDVISION",
        "tls": False,
        "ca_file": None,
        "client_cert": None,
        "client_key": None,
        "timeout_s": 2.0,
        "credentials": Credentials(),
    }
    return Remote(**(settings | values))  # type: ignore[arg-type]  # a table of settings


@dataclass
class FakePacs:
    """One study of one series, and faults that are used up one after the other."""

    files: dict[str, bytes]
    faults: list[Fault] = field(default_factory=list)
    counted: int | None = None
    lists_instances: bool = True
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    page: int = 1000
    ignores_offset: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"


class Handler(BaseHTTPRequestHandler):
    """Answers one request, faithfully unless a fault is due."""

    protocol_version = "HTTP/1.1"
    pacs: FakePacs

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        with self.pacs.lock:
            self.pacs.asked.append(parts.path.removeprefix("/dicom-web"))
            self.pacs.headers.append(dict(self.headers))
            fault = self.pacs.faults.pop(0) if self.pacs.faults else None
        if fault is not None and fault(self):
            return
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        depth = parts.path.removeprefix("/dicom-web/").split("/")
        if len(depth) % 2:
            self.answer_rows(self.list_rows(len(depth)), query)
            return
        self.answer_parts(
            list(self.pacs.files.values()) if len(depth) == 4 else self.pick(depth[-1])
        )

    def pick(self, sop_uid: str) -> list[bytes]:
        return [self.pacs.files[sop_uid]] if sop_uid in self.pacs.files else []

    def list_rows(self, depth: int) -> list[dict[str, object]]:
        study = {"0020000D": {"vr": "UI", "Value": [STUDY]}}
        if depth == 1:
            return [{**study, "00201206": {"vr": "IS", "Value": [1]}}]
        series: dict[str, object] = {**study, "0020000E": {"vr": "UI", "Value": [SERIES]}}
        if depth == 3:
            counted = self.pacs.counted
            count = {"vr": "IS", "Value": [counted]} if counted is not None else {"vr": "IS"}
            return [{**series, "00201209": count, "00080060": {"vr": "CS", "Value": ["CT"]}}]
        if not self.pacs.lists_instances:
            return []
        return [{**series, "00080018": {"vr": "UI", "Value": [uid]}} for uid in self.pacs.files]

    def answer_rows(self, rows: list[dict[str, object]], query: dict[str, str]) -> None:
        offset = 0 if self.pacs.ignores_offset else int(query.get("offset", 0))
        self.answer(
            200, "application/dicom+json", json.dumps(rows[offset:][: self.pacs.page]).encode()
        )

    def answer_parts(self, parts: list[bytes]) -> None:
        if not parts:
            self.answer(404, "text/plain", b"no such instance of Mueller-4711")
            return
        self.answer(200, multipart_type(), join_parts(parts))

    def answer(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def multipart_type() -> str:
    return f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'


def join_parts(parts: list[bytes], *, is_ended: bool = True) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + part + b"\r\n" for part in parts)
    return body + (f"--{_BOUNDARY}--\r\n".encode() if is_ended else b"")


def behave(handler: Handler) -> bool:
    """Commit no fault."""
    return False


def fail(status: int, **headers: str) -> Fault:
    """Answer with a status."""

    def fault(handler: Handler) -> bool:
        handler.answer(status, "text/html", b"<html>Mueller-4711</html>", **headers)
        return True

    return fault


def drop(handler: Handler) -> bool:
    """Hang up without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


def cut_body(n_parts: int, *, share: float = 0.5) -> Fault:
    """Promise a whole answer and hang up in the middle of the part after `n_parts`."""

    def fault(handler: Handler) -> bool:
        body = join_parts(list(handler.pacs.files.values()))
        whole = join_parts(list(handler.pacs.files.values())[:n_parts], is_ended=False)
        size = len(whole) + int(share * len(next(iter(handler.pacs.files.values()))))
        handler.send_response(200)
        handler.send_header("Content-Type", multipart_type())
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:size])
        handler.wfile.flush()
        return drop(handler)

    return fault


def answer_with(kind: str, body: bytes) -> Fault:
    """Answer with something."""

    def fault(handler: Handler) -> bool:
        handler.answer(200, kind, body)
        return True

    return fault


def leave_out_boundary(handler: Handler) -> bool:
    """Send all parts but no last boundary, as if that were all."""
    body = join_parts(list(handler.pacs.files.values()), is_ended=False)
    handler.answer(200, multipart_type(), body)
    return True


def send_some(n_parts: int) -> Fault:
    """Send the first parts as if they were all: a server that cannot transcode the others."""
    return lambda handler: handler.answer_parts(list(handler.pacs.files.values())[:n_parts]) or True


def drip(handler: Handler) -> bool:
    """Send byte after byte, so slowly that no single read times out."""
    body = join_parts(list(handler.pacs.files.values()))
    handler.send_response(200)
    handler.send_header("Content-Type", multipart_type())
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    try:
        for byte in body:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.02)
    except OSError:
        handler.close_connection = True
    return True


def hang(handler: Handler) -> bool:
    """Say nothing at all for longer than anyone waits."""
    time.sleep(3)
    return drop(handler)


@contextmanager
def run_fake(pacs: FakePacs) -> Iterator[FakePacs]:
    """Run the server on a free port of loopback."""
    handler = type("Bound", (Handler,), {"pacs": pacs})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    pacs.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield pacs
    finally:
        server.shutdown()
        server.server_close()
