"""An HTTP server on loopback that keeps the bodies that are posted to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast


@dataclass
class Inbox:
    """Where the server listens, and what it got."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, kept: Inbox) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kept = kept


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        cast("Server", self.server).kept.bodies.append(self.rfile.read(size))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def inbox() -> Iterator[Inbox]:
    """A running server, and what it got."""
    kept = Inbox()
    with Server(kept) as server:
        kept.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
