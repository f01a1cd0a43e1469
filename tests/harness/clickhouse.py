"""ClickHouse over HTTP on loopback: the real engine (chDB) in a separate process.

ClickHouse's server is not available as a Python package, but its engine is. This speaks as much of
the protocol as clickhouse-connect needs; each request gets a new connection, and so new settings.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.harness.launch import ROOT

# Parameters of a URL that are not settings.
NO_SETTINGS = {
    *("query", "database", "default_format", "query_id", "session_id", "session_check"),
    *("session_timeout", "client_protocol_version", "role", "compress", "decompress"),
    *("enable_http_compression", "http_zlib_compression_level", "user", "password"),
    *("wait_end_of_query", "send_progress_in_http_headers", "http_headers_progress_interval_ms"),
    *("cancel_http_readonly_queries_on_client_close",),
}
turn = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """Answers each request as one query."""

    protocol_version = "HTTP/1.1"
    path_of_data = ""

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/ping":
            self.reply(200, b"Ok.\n")
            return
        given = {name: values[0] for name, values in parse_qs(parts.query, True).items()}
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            given |= form(kind, body)
            body = b""
        query = given.get("query", "").encode()
        query = query + b"\n" + body if query and body else query or body
        try:
            found = run(self.path_of_data, query, given)
        except Exception as exc:
            code = re.search(r"Code: (\d+)", str(exc))
            headers = {"X-ClickHouse-Exception-Code": code[1] if code else "1"}
            self.reply(500, str(exc).encode(), **headers)
            return
        try:
            self.reply(200, found)
        except ConnectionError:  # the client has read enough
            self.close_connection = True

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Summary", json.dumps({}))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass


def form(kind: str, body: bytes) -> dict[str, str]:
    """The fields of a form."""
    from email.parser import BytesParser

    message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    return {
        str(part.get_param("name", header="content-disposition")): (
            part.get_payload(decode=True).decode()
        )
        for part in message.get_payload()
    }


def run(path: str, query: bytes, given: dict[str, str]) -> bytes:
    """The result of a query, in the format that the query or the client names."""
    import chdb

    parameters = {name[6:]: value for name, value in given.items() if name.startswith("param_")}
    settings = {
        name: value
        for name, value in given.items()
        if name not in NO_SETTINGS and not name.startswith("param_")
    }
    with turn:
        connection = chdb.connect(path)
        try:
            if given.get("database", "default") != "default":
                connection.query(f"USE {given['database']}")
            readonly = settings.pop("readonly", None)
            for name, value in settings.items():
                connection.query(f"SET {name} = '{value}'")
            if readonly is not None:
                connection.query(f"SET readonly = {readonly}")
            found = connection.query(
                query.decode(), given.get("default_format", "TabSeparated"), params=parameters
            )
            return bytes(found.bytes()) if found is not None else b""
        finally:
            connection.close()


def main(path: str) -> None:
    """Serves until the process is killed."""
    Handler.path_of_data = path
    import chdb

    keep = chdb.connect(path)  # the engine stays while connections come and go
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
    keep.close()


def needs_engine() -> None:
    """Skips the test where chdb has no library for this Python."""
    spec = find_spec("chdb")
    assert spec is not None
    assert spec.origin is not None
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not list(Path(spec.origin).parent.glob(f"*chdb_{version}.*")):
        pytest.skip(f"chdb has no library for Python {version}")


@contextmanager
def clickhouse(folder: Path) -> Iterator[str]:
    """A ClickHouse with its data in ``folder``; the beginning of its `clickhouse://` address."""
    needs_engine()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.harness.clickhouse", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            socket.create_connection(("127.0.0.1", port), 10).close()
            yield f"clickhouse://127.0.0.1:{port}"
        finally:
            process.kill()


if __name__ == "__main__":
    main(sys.argv[1])
