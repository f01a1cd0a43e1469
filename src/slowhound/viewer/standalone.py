"""The viewer as a site of its own, which ``slowhound view`` runs.

This site has no users: whoever can connect may read everything. So it listens on loopback and
checks the Host header, because a page of another site could point its own name at 127.0.0.1 (DNS
rebinding) and read through its visitor's browser.
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
    """Allows every request whose Host is an address or a name of this machine.

    Another site cannot point an address elsewhere, and does not own this machine's names.
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
    """Configures Django in this process to serve the viewer; it must not be configured before.

    Args:
        directory: ``DIR``.
        source: the store, when it is not in ``directory``.
        hosts: the allowed values of the Host header, which ``everyone`` checks as well.
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


class QuietHandler(WSGIRequestHandler):
    """Logs no requests: the live page makes one every two seconds."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as its base names it
        """Logs nothing."""


class ViewerServer(socketserver.ThreadingMixIn, WSGIServer):
    """One thread for each connection; none of them delays the end of the process."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints no traceback: a browser that disconnects is no error."""


class ViewerServer6(ViewerServer):
    """The same on IPv6."""

    address_family = socket.AF_INET6


def server(host: str, port: int) -> ViewerServer:
    """The server, already listening.

    Raises:
        OSError: the address is in use, or does not belong to this machine.
    """
    made = (ViewerServer6 if ":" in host else ViewerServer)((host, port), QuietHandler)
    made.set_app(get_wsgi_application())
    return made
