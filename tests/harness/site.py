"""A running test site: requests to it, and the gates at which its views wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.client import (
    Address,
    Connection,
    Response,
    Wire,
    exchange,
    new_agent,
    request_bytes,
)
from tests.harness.process import Process, children_of
from tests.harness.recorded import Recorded
from tests.harness.waiting import eventually


@dataclass(frozen=True)
class Gate:
    """A place where a view waits until the test opens it."""

    name: str
    folder: Path
    process: Process

    def wait_entered(self, visitors: int = 1) -> None:
        """Waits until this many requests are at the gate."""
        eventually(
            lambda: len(list(self.folder.glob(f"{self.name}.here.*"))) >= visitors,
            f"{visitors} requests at gate {self.name}",
            transcript=self.process.transcript,
        )

    def open(self) -> None:
        """Lets all requests pass, now and later."""
        (self.folder / f"{self.name}.open").touch()


class Site(Recorded):
    """A server with the test site on it."""

    def __init__(self, process: Process, folder: Path, address: Address, scratch: Path) -> None:
        super().__init__(process, folder)
        self.address = address
        self.scratch = scratch
        self._threads = ThreadPoolExecutor(max_workers=128)
        self._wires: list[Wire] = []

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Any = None
    ) -> Response:
        """Sends one request on a new connection."""
        connection = Connection(self.address)
        try:
            return exchange(connection, method, path, headers, body)
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        return self.request("GET", path, headers)

    def start(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Future[Response]:
        """The same in a new thread."""
        return self._threads.submit(self.request, method, path, headers)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """An open connection, for `exchange` several times."""
        connection = Connection(self.address)
        try:
            yield connection
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Sends exactly these bytes, and returns the whole response."""
        with self.address.connect() as sock:
            sock.sendall(data)
            return Wire(sock, "").read_all()

    def raw_get(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> bytes:
        """All bytes of the response to a request that is the same for every server."""
        address = Address("localhost")
        return self.raw(
            request_bytes(address, path, "same-for-all", method=method, headers=headers)
        )

    def open(self, path: str, headers: Mapping[str, str] | None = None) -> Wire:
        """Sends a GET, and leaves it to the test to read the response or to close."""
        wire = Wire(self.address.connect(), new_agent())
        # A test that fails leaves it open: Python would warn of it in the test that runs next.
        self._wires.append(wire)
        wire.sock.sendall(request_bytes(self.address, path, wire.agent, headers=headers))
        return wire

    def read_all(self, wires: list[Wire]) -> None:
        """Reads all these responses at once, so that no server waits for a client to close."""
        for reading in [self._threads.submit(wire.read_what_comes) for wire in wires]:
            reading.result()

    def event(self, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Requests `path`, and returns the terminal event of that request."""
        return self.terminal(self.get(path, headers).agent)

    def gate(self, name: str) -> Gate:
        return Gate(name, self.scratch, self.process)

    def worker_pids(self) -> list[int]:
        """The children of the arbiter."""
        return self.process.children()

    @staticmethod
    def children_of(pid: int) -> list[int]:
        """The children of another arbiter."""
        return children_of(pid)

    def stop(self) -> int:
        """Stops the server as an operator does; returns its exit code."""
        return self.process.stop()

    def begin_to_end(self) -> None:
        """Lets waiting views go on, and tells the server to stop."""
        (self.scratch / "all.open").touch()
        self.process.terminate()

    def cleanup(self) -> None:
        """Lets waiting views go on, stops the server, and checks that nothing is left running."""
        (self.scratch / "all.open").touch()
        try:
            self.process.cleanup()
        finally:
            self._threads.shutdown(wait=True, cancel_futures=True)
            for wire in self._wires:
                wire.close()
