"""A stand-in for Sentry on loopback, which decodes the envelopes that the real SDK sends.

https://develop.sentry.dev/sdk/data-model/envelopes/
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Envelope:
    """An envelope: its headers, and its items with their headers."""

    headers: dict[str, Any]
    items: list[tuple[dict[str, Any], bytes]]

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(data) for header, data in self.items if header["type"] == kind]

    @property
    def attachments(self) -> dict[str, bytes]:
        return {
            header["filename"]: data
            for header, data in self.items
            if header["type"] == "attachment"
        }


@dataclass
class Project:
    """The project of a DSN; a ``status`` other than 200 refuses requests."""

    dsn: str = ""
    status: int = 200
    tries: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events, without transactions, sessions and similar items."""
        return [event for each in self.envelopes for event in each.payloads("event")]

    @property
    def transactions(self) -> list[dict[str, Any]]:
        return [event for each in self.envelopes for event in each.payloads("transaction")]

    def ours(self) -> list[dict[str, Any]]:
        """The events that slowhound has sent."""
        return [event for event in self.events if event.get("logger") == "slowhound"]


def decode(data: bytes) -> Envelope:
    """An envelope from its bytes; AssertionError if they are not one."""
    head, _, rest = data.partition(b"\n")
    items = []
    while rest.strip(b"\n"):
        line, _, rest = rest.partition(b"\n")
        header = json.loads(line)
        length = header.get("length")
        if length is None:
            payload, _, rest = rest.partition(b"\n")
        else:
            payload, rest = rest[:length], rest[length:]
            assert len(payload) == length
            assert rest[:1] in (b"", b"\n")
            rest = rest[1:]
        items.append((header, payload))
    return Envelope(json.loads(head), items)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        project = self.server.project
        project.tries += 1
        assert self.path == "/api/42/envelope/", self.path
        assert "sentry_key=public" in self.headers["X-Sentry-Auth"]
        if project.status == 200:
            encoding = self.headers.get("Content-Encoding")
            if encoding == "gzip":
                data = gzip.decompress(data)
            elif encoding == "br":
                import brotli  # the SDK only uses it where it is installed

                data = brotli.decompress(data)
            project.raw.append(data)
            project.envelopes.append(decode(data))
        self.send_response(project.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, project: Project) -> None:
        self.project = project
        super().__init__(("127.0.0.1", 0), Handler)


@contextmanager
def sentry_server() -> Iterator[Project]:
    """A running server and its one project."""
    project = Project()
    with Server(project) as server:
        project.dsn = f"http://public@127.0.0.1:{server.server_address[1]}/42"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield project
        finally:
            server.shutdown()
            thread.join()
