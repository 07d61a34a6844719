"""A stand-in for Argo Events' webhook, at an address of its own on loopback: it keeps the names of events."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Webhook(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: str, port: int) -> None:
        super().__init__((address, port), _Request)
        self.taken: list[str] = []


class _Request(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = json.loads(body).get("payload", {}).get("name", "")
        assert isinstance(self.server, _Webhook)
        self.server.taken.append(str(name))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"success")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the names are in `taken`."""


@contextlib.contextmanager
def webhook(address: str, port: int) -> Iterator[list[str]]:
    """Take events at this address until the block ends; the list grows by the name of each."""
    with _Webhook(address, port) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.taken
        finally:
            server.shutdown()
            thread.join()
