"""A webhook receiver on loopback: keeps what is posted, and responds as the test wants."""

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
    """One request as it arrived."""

    path: str
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Hook:
    """A receiver's URL, what it has got, and its answers in order; the last one is repeated."""

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
        """Logs nothing."""


def status(number: int, **headers: str) -> Answer:
    """An answer with this status."""

    def answer(handler: Handler) -> None:
        handler.send_response(number)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def raw(data: bytes) -> Answer:
    """An answer of these bytes, whatever they are."""
    return lambda handler: handler.wfile.write(data) and None


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hook: Hook) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hook = hook

    def handle_error(self, *_args: object) -> None:
        """Ignores clients that leave, which are part of the tests."""


@contextmanager
def hook_server(*answers: Answer) -> Iterator[Hook]:
    """A running receiver."""
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
