"""A file server on loopback that can be told to misbehave."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Shop:
    """What the server has, how it behaves, and what it was asked.

    Args:
        content: The file's bytes.
        cuts: Bytes after which each of the next answers is cut off; then answers are whole.
        ranges: Whether it knows ranges; else every answer is the whole file.
        states: HTTP states of the next answers instead of the file.
        silent: Whether it keeps the length to itself.
    """

    content: bytes
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    states: list[int] = field(default_factory=list)
    silent: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers for the server's shop."""

    server: "Server"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Serve `/file`; `/moved` leads there, `/astray` to a file of this machine."""
        shop, asked = self.server.shop, self.headers.get("Range")
        shop.asked.append((self.path, asked))
        if self.path in ("/moved", "/astray"):
            target = "/file" if self.path == "/moved" else "file:///etc/hostname"
            self._answer(302, {"Location": target}, b"")
        elif self.path != "/file":
            self._answer(404, {}, b"not here")
        elif shop.states:
            self._answer(shop.states.pop(0), {}, b"")
        else:
            self._send_file(shop, asked)

    def _send_file(self, shop: Shop, asked: str | None) -> None:
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and shop.ranges else 0
        size = len(shop.content)
        if start >= size:
            self._answer(416, {"Content-Range": f"bytes */{size}"}, b"")
            return
        body, headers = shop.content[start:], {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        if not shop.silent:
            headers["Content-Length"] = str(len(body))
        body = body[: shop.cuts.pop(0)] if shop.cuts else body
        self._answer(206 if start else 200, headers, body)

    def _answer(self, state: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(state)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    """A server with a shop."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.shop = shop


@contextmanager
def serve(shop: Shop) -> Iterator[Shop]:
    """Serve a shop until the block ends; `shop.url` is then known."""
    server = Server(shop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    shop.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield shop
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
