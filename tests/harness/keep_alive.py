"""Sends many requests over few connections: kept alive, pipelined, and left in the middle."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.harness.client import Address, Wire, new_agent

LONGEST_BATCH = 5


@dataclass
class PlannedRequest:
    """One request, and its result.

    `status` and `size` are those of its view's response, `size` None where another part of the
    server responds. `leaves` is how the client leaves in the middle of the body: "close" or
    "reset". `last`: no request follows on the same connection.
    """

    path: str
    status: int = 200
    size: int | None = None
    method: str = "GET"
    body: bytes = b""
    leaves: str = ""
    last: bool = False
    has_view: bool = True
    calls: bool = False  # its view calls the site itself, in process
    agent: str = field(default_factory=new_agent)
    sent_at: float = 0.0  # seconds since 1970
    chunked: bool = False  # how its body is sent
    answered: int = 0
    received: int = 0

    def wire(self, authority: str) -> bytes:
        """The request's bytes, for a connection on which others follow."""
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            f"Host: {authority}",
            f"User-Agent: {self.agent}",
        ]
        body = self.body
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        elif body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    @property
    def inner(self) -> str:
        """The User-Agent of the request that its view makes."""
        return f"{self.agent}-inner"


class Line:
    """One connection after another: a new one whenever the server has closed the last.

    Not every server announces that it closes; without `kept` each request gets a new connection.
    """

    def __init__(self, address: Address, *, kept: bool) -> None:
        self.address = address
        self.kept = kept
        self.wire: Wire | None = None
        self.buffer = b""
        self.opened = 0

    def request(self, batch: Sequence[PlannedRequest]) -> None:
        """Sends these requests all at once, and reads their responses."""
        if self.wire is None:
            self.wire, self.buffer = Wire(self.address.connect(), ""), b""
            self.opened += 1
        for each in batch:
            each.sent_at = time.time()
        sent = b"".join(each.wire(self.address.authority) for each in batch)
        self.wire.sock.sendall(sent)
        for each in batch:
            try:
                self._read(each)
            except OSError as exc:
                raise AssertionError(f"{exc!r} in {each}") from exc
        if not self.kept:
            self.close()

    def close(self) -> None:
        """Closes the connection, if one is open."""
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    def _read(self, request: PlannedRequest) -> None:
        head = self._up_to(b"\r\n\r\n").decode("latin-1").lower()
        found = re.match(r"http/(1\.\d) (\d{3})", head)
        assert found, f"{request}: {head!r}"
        request.answered = int(found[2])
        if request.leaves:
            self._more()
            assert self.wire is not None
            getattr(self.wire, request.leaves)()
            self.wire = None
            return
        length = re.search(r"\r\ncontent-length: *(\d+)", head)
        closes = found[1] == "1.0" or "\r\nconnection: close" in head
        if request.method == "HEAD" or request.answered in (204, 304):
            request.received = 0
        elif "\r\ntransfer-encoding: chunked" in head:
            request.received = self._chunks()
        elif length:
            request.received = len(self._exactly(int(length[1])))
        else:
            request.received, closes = len(self._rest()), True
        if closes or request.last:
            self.close()

    def _chunks(self) -> int:
        total = 0
        while size := int(self._up_to(b"\r\n").strip(), 16):
            total += len(self._exactly(size + 2)) - 2
        assert self._up_to(b"\r\n") == b"\r\n"
        return total

    def _more(self) -> bool:
        assert self.wire is not None
        part = self.wire.sock.recv(65536)
        self.buffer += part
        return bool(part)

    def _up_to(self, marker: bytes) -> bytes:
        while marker not in self.buffer:
            assert self._more(), f"closed before {marker!r}: {self.buffer[-200:]!r}"
        return self._exactly(self.buffer.index(marker) + len(marker))

    def _exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            assert self._more(), f"closed {count - len(self.buffer)} bytes early"
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def _rest(self) -> bytes:
        while self._more():
            pass
        found, self.buffer = self.buffer, b""
        return found


def batches(
    requests: Sequence[PlannedRequest], chooses: random.Random, *, pipelined: bool
) -> list[list[PlannedRequest]]:
    """The requests in order, in batches if `pipelined`; one that leaves ends its batch."""
    found: list[list[PlannedRequest]] = []
    for each in requests:
        last = found[-1] if found else []
        joins = pipelined and 0 < len(last) < LONGEST_BATCH and chooses.random() < 0.5
        if joins and not each.leaves and not last[-1].leaves and not last[-1].last:
            last.append(each)
        else:
            found.append([each])
    return found


def send(
    address: Address,
    requests: Sequence[PlannedRequest],
    connections: int,
    *,
    kept: bool,
    pipelined: bool,
) -> int:
    """Sends all, evenly over this many connections at a time; returns how many it opened."""

    def run(number: int) -> int:
        line = Line(address, kept=kept)
        try:
            mine = requests[number::connections]
            for batch in batches(mine, random.Random(number), pipelined=pipelined):
                line.request(batch)
        finally:
            line.close()
        return line.opened

    with ThreadPoolExecutor(connections) as pool:
        return sum(pool.map(run, range(connections)))
