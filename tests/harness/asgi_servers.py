"""Starts the test site under ASGI servers."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.harness.client import Address
from tests.harness.launch import Launcher, Setup, major_of
from tests.harness.ports import unused_port
from tests.harness.process import Process
from tests.harness.site import Site

SLOW_AFTER = 0.5
MIDDLEWARE = "slowhound.middleware.SlowhoundMiddleware"
NO_ACCESS_LOG = "accesslog = None\n"
H2C = "http_protocols = 'h2,h1'\nhttp2_cleartext = 'prior-knowledge'\n"


@dataclass(frozen=True)
class Asgi:
    """One way to serve the site.

    `command` is a module and its arguments, with {app} and {port}; without one it is Gunicorn, with
    `conf` at the end of its configuration. `wrapped` and `middleware` are the parts of slowhound
    that are used, `http2` is whether the server speaks HTTP/2 without TLS.
    """

    name: str
    command: Sequence[str] = ()
    conf: str = ""
    wrapped: bool = True
    middleware: bool = True
    http2: bool = False
    websockets: bool = True
    workers: int = 1
    listening: str = r"https?://127\.0\.0\.1:(\d+)"
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def hooks(self) -> bool:
        """True where Gunicorn's hooks record."""
        return not self.command

    def __str__(self) -> str:
        return self.name


UVICORN = ("uvicorn", "{app}", "--port", "{port}", "--timeout-graceful-shutdown", "3")
SERVERS = (
    Asgi("uvicorn", UVICORN),
    Asgi("uvicorn-2", (*UVICORN, "--workers", "2"), workers=2),
    Asgi("uvicorn-middleware", UVICORN, wrapped=False),
    Asgi("hypercorn", ("hypercorn", "{app}", "--bind", "127.0.0.1:{port}"), http2=True),
    Asgi(
        "granian",
        ("granian", "{app}", "--interface", "asgi", "--port", "{port}", "--workers", "1"),
        http2=True,
    ),
    Asgi(
        "daphne",
        ("daphne", "-b", "127.0.0.1", "-p", "{port}", "{app}"),
        listening=r"Listening on TCP address 127\.0\.0\.1:(\d+)",
    ),
    Asgi("gunicorn"),
    Asgi("gunicorn-quiet", conf=NO_ACCESS_LOG),
    Asgi("gunicorn-hooks", wrapped=False, middleware=False),
    Asgi("gunicorn-hooks-quiet", conf=NO_ACCESS_LOG, wrapped=False, middleware=False),
)
# Speaks only HTTP/2, without TLS.
GUNICORN_H2 = Asgi("gunicorn-h2", conf=H2C, http2=True)
BY_NAME = {server.name: server for server in (*SERVERS, GUNICORN_H2)}


class AsgiLauncher(Launcher):
    """Starts the site under any of these servers."""

    def asgi(
        self,
        server: Asgi,
        settings: Mapping[str, Any] | None = None,
        urls: str = "tests.site.asgi_urls",
    ) -> Site:
        """The site under `server`; without `settings` it is a site without slowhound."""
        middleware = [MIDDLEWARE] if server.middleware and settings is not None else []
        wishes: dict[str, Any] = {
            "settings": settings,
            "django": {"ROOT_URLCONF": urls, "MIDDLEWARE": middleware},
            "app": f"tests.site.asgi:{self._application(server, settings)}",
            "workers": server.workers,
            "env": server.env,
        }
        if server.hooks:
            needs_worker(server)
            conf = server.conf if settings is not None else server.conf.replace(NO_ACCESS_LOG, "")
            return self(worker="asgi", conf=conf, **wishes)
        setup = Setup(**wishes)
        home, folder = self._home(setup)
        module, *arguments = server.command
        port = unused_port()  # not all of them print a port that they have chosen themselves
        given = [each.format(app=setup.app, port=port) for each in arguments]
        argv = [sys.executable, "-m", module, *given]
        process = Process(argv, home, setup.environment(home, folder))
        return self._site(process, home, folder, lambda: address(process, server, port))

    @staticmethod
    def _application(server: Asgi, settings: Mapping[str, Any] | None) -> str:
        return "wrapped" if server.wrapped and settings is not None else "application"


def needs_worker(server: Asgi) -> None:
    """Skips the test where the environment's Gunicorn has no ASGI worker, or none with HTTP/2."""
    own = major_of(Setup.gunicorn)
    if own < 24:
        pytest.skip(f"Gunicorn {own} has no ASGI worker: it came with 24")
    if server.http2 and own < 25:
        pytest.skip(f"Gunicorn {own} has no HTTP/2: it came with 25")


def address(process: Process, server: Asgi, port: int) -> Address | None:
    """Where the server listens, once it accepts connections."""
    assert process.running, f"{server} ended\n{process.transcript()}"
    output = process.stderr + process.stdout
    if not re.search(server.listening, output) and f":{port}" not in output:
        return None
    if server.workers > 1 and output.count("Application startup complete") < server.workers:
        return None
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return None
    return Address("127.0.0.1", port)
