"""A loopback HTTP client: whole responses, raw bytes, and connections that are cut on purpose."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT = 60.0


@dataclass(frozen=True)
class Address:
    """Where a server listens: a host and port, or the path of a unix socket."""

    host: str
    port: int = 0
    path: str = ""

    def connect(self) -> socket.socket:
        if not self.path:
            return socket.create_connection((self.host, self.port), timeout=TIMEOUT)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(TIMEOUT)
        sock.connect(self.path)
        return sock

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        if self.path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Response:
    """A whole response; `agent` is the User-Agent by which tests find its event."""

    status: int
    headers: dict[str, str]  # by names such as Content-Type
    body: bytes
    agent: str

    @property
    def text(self) -> str:
        return self.body.decode()


class Wire:
    """One connection with one request sent on it."""

    def __init__(self, sock: socket.socket, agent: str) -> None:
        self.sock = sock
        self.agent = agent

    def read_until(self, marker: bytes) -> bytes:
        """Reads up to `marker`, and returns what arrived."""
        got = b""
        while marker not in got:
            part = self.sock.recv(65536)
            assert part, f"closed before {marker!r}: {got!r}"
            got += part
        return got

    def read_all(self) -> bytes:
        """Reads until the server closes."""
        parts = []
        while part := self.sock.recv(65536):
            parts.append(part)
        self.sock.close()
        return b"".join(parts)

    def read_what_comes(self) -> bytes:
        """Reads until the server closes or resets the connection, as one that dies does."""
        parts = []
        try:
            while part := self.sock.recv(65536):
                parts.append(part)
        except ConnectionError:
            pass
        self.sock.close()
        return b"".join(parts)

    def half_close(self) -> None:
        """Closes the sending side only; reading goes on."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Leaves as a closed browser tab does."""
        self.sock.close()

    def reset(self) -> None:
        """Leaves at once, with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Connection(http.client.HTTPConnection):
    """http.client over any Address."""

    def __init__(self, address: Address) -> None:
        super().__init__(address.host, address.port or None, timeout=TIMEOUT)
        self.address = address

    def connect(self) -> None:
        self.sock = self.address.connect()


def new_agent() -> str:
    """A User-Agent that no other request has."""
    return f"t-{uuid.uuid4().hex}"


def request_bytes(
    address: Address,
    path: str,
    agent: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A request without a body, for one connection."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {address.authority}", f"User-Agent: {agent}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
) -> Response:
    """Sends one request on an open connection, and reads its whole response."""
    agent = (headers or {}).get("User-Agent") or new_agent()
    connection.request(method, path, body=body, headers={"User-Agent": agent, **(headers or {})})
    answer = connection.getresponse()
    # A server may write names in lower case: uvicorn does, with its faster parser.
    found = {name.title(): value for name, value in answer.getheaders()}
    return Response(answer.status, found, answer.read(), agent)


def without_date(raw: bytes) -> bytes:
    """A raw response without the one header that differs from second to second."""
    return re.sub(rb"(?mi)^Date: [^\r\n]*\r\n", b"", raw, count=1)
