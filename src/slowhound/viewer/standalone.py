"""The viewer as a site of its own, which ``slowhound view`` runs.

It has no users: who reaches it may read everything. So it listens on loopback, and looks at the
Host header, because a page from elsewhere could point its own name at 127.0.0.1 (DNS rebinding) and
read through its visitor's browser.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import socketserver
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest
from django.urls import include, path

urlpatterns = [path("", include("slowhound.viewer.urls"))]


def everyone(request: HttpRequest) -> bool:
    """The rule of a viewer without users: whoever could connect, by a name that is this machine's.

    An address cannot be pointed elsewhere, and a name of this machine is nobody else's.
    """
    name = request.get_host().rpartition(":")[0] or request.get_host()
    name = name.removeprefix("[").removesuffix("]").lower()
    if name in {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        raise DisallowedHost(f"{name!r} is no name of this machine") from None
    return True


def configure(directory: str, source: str | None, hosts: list[str]) -> None:
    """Makes this process the viewer's; Django must not have been configured before.

    Args:
        directory: ``DIR``.
        source: the store, when it is not in ``directory``.
        hosts: what the Host header may say; ``everyone`` looks at it once more.
    """
    settings.configure(
        DEBUG=False,
        SECRET_KEY=secrets.token_hex(),
        ALLOWED_HOSTS=hosts,
        ROOT_URLCONF="slowhound.viewer.standalone",
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        USE_TZ=True,
        LOGGING_CONFIG=None,
        SLOWHOUND={
            "DIR": directory,
            "STREAM": None,
            "STORE": False,
            "VIEWER": {"ALLOW": "slowhound.viewer.standalone.everyone", "FROM": source},
        },
    )
    django.setup()


class Quiet(WSGIRequestHandler):
    """Prints no line for each request: the live page asks every two seconds."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as its base names it
        """Says nothing."""


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """One thread for each connection, none of which holds up the end."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is not worth a traceback."""


class Server6(Server):
    """The same on IPv6."""

    address_family = socket.AF_INET6


def server(host: str, port: int) -> Server:
    """The server, already listening.

    Raises:
        OSError: the address is taken, or not this machine's.
    """
    made = (Server6 if ":" in host else Server)((host, port), Quiet)
    made.set_app(get_wsgi_application())
    return made
