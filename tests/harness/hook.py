"""An HTTP server on loopback that keeps what it is posted, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler"], None]


@dataclass
class Posted:
    """One request as it came."""

    path: str
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Hook:
    """Where it listens, what it got, and its answers: each in turn, the last one from then on."""

    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    server: ThreadingHTTPServer | None = None

    @property
    def bodies(self) -> list[bytes]:
        return [each.body for each in self.posted]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        hook = self.server.hook
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with hook.lock:
            hook.posted.append(Posted(self.path, self.headers, body))
            answer = hook.answers.pop(0) if len(hook.answers) > 1 else hook.answers[0]
        answer(self)

    def log_message(self, *_args: object) -> None:
        """Nobody reads it."""


def status(number: int, **headers: str) -> Answer:
    """Answers with this status."""

    def answer(handler: Handler) -> None:
        handler.send_response(number)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def raw(data: bytes) -> Answer:
    """Answers with these bytes, whatever they are."""
    return lambda handler: handler.wfile.write(data) and None


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hook: Hook) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hook = hook

    def handle_error(self, *_args: object) -> None:
        """A client that goes away is part of the tests."""


@contextmanager
def hook_server(*answers: Answer) -> Iterator[Hook]:
    """A running server."""
    hook = Hook(answers=list(answers or [status(200)]))
    with Server(hook) as server:
        hook.server = server
        hook.url = f"http://127.0.0.1:{server.server_address[1]}/hook?key=1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()
