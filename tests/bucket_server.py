"""A server of S3 on loopback: moto's own, with faults that a test may plant."""

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from medvision.config.bucket import BUCKET_CREDENTIALS

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

BUCKET = "hospital"
KEY_ID, SECRET = "AKIAQ7KEYOFTESTS", "wJq-secret-of-tests-K47Z"

needs_bucket = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("boto3", "moto", "flask_cors")),
    reason="boto3, or moto with its server, is not installed",
)

_CODES = {"NoSuchKey": "404 Not Found", "PreconditionFailed": "412 Precondition Failed"}


@dataclass
class BucketServer:
    """The server: where it is, what it was asked, and what it does wrong.

    Args:
        url: Its address.
        asked: Method and path of each request.
        faults: End of a path to `truncate`, `flip`, or the code that is answered to a GET or PUT.
    """

    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    def open_client(self) -> object:
        """Return boto3's client, to stock the server with."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        )

    def stock(self, files: dict[str, bytes]) -> None:
        """Put objects into the bucket, which is made."""
        client = self.open_client()
        client.create_bucket(Bucket=BUCKET)  # type: ignore[attr-defined]
        for key, content in files.items():
            client.put_object(Bucket=BUCKET, Key=key, Body=content)  # type: ignore[attr-defined]

    def list_keys(self, prefix: str = "") -> list[str]:
        """Return the keys of the bucket."""
        pages = self.open_client().get_paginator("list_objects_v2")  # type: ignore[attr-defined]
        found = pages.paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in found for item in page.get("Contents", [])]

    def count(self, method: str, ending: str = "") -> int:
        """Return how often something was asked."""
        return sum(how == method and path.endswith(ending) for how, path in self.asked)

    def _find_fault(self, environ: "WSGIEnvironment") -> str:
        is_object = environ["REQUEST_METHOD"] in {"GET", "PUT"}
        path = environ["PATH_INFO"]
        found = (f for ending, f in self.faults.items() if is_object and path.endswith(ending))
        return next(found, "")

    def wrap(self, inner: "WSGIApplication") -> "WSGIApplication":
        """Return an application that notes what it is asked, and does the planted faults."""

        def serve(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
            self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            fault = self._find_fault(environ)
            if fault == "truncate":
                whole = b"".join(inner(environ, start))
                return [whole[: len(whole) // 2]]
            if fault == "flip":
                whole = b"".join(inner(environ, start))
                return [bytes([whole[0] ^ 1]) + whole[1:]]
            if fault:
                return _refuse(fault, start)
            return inner(environ, start)

        return serve


def _refuse(code: str, start: "Callable[..., object]") -> list[bytes]:
    start(_CODES.get(code, "403 Forbidden"), [("Content-Type", "application/xml")])
    return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]


@contextmanager
def run_bucket_server() -> Iterator[BucketServer]:
    """Run the server; it forgets everything at the end."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        """Says nothing."""

        def log(self, type: str, message: str, *words: object) -> None:
            pass

    server = BucketServer()
    inner = DomainDispatcherApplication(create_backend_app)
    running = make_server("127.0.0.1", 0, server.wrap(inner), threaded=True, request_handler=Quiet)
    server.url = f"http://127.0.0.1:{running.server_port}"
    Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        running.shutdown()
        _forget()


def _forget() -> None:
    from moto.s3.models import s3_backends

    s3_backends.reset()


def give_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment's credentials, and nothing else of AWS's."""
    hide_credentials(monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def hide_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no credentials anywhere."""
    for name in (*BUCKET_CREDENTIALS, "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
