"""Serves the viewer: requests, reports and what is in flight as web pages.

It reads DIR, or with --from the store of a fleet, and changes nothing. It has no users: everyone
who can connect can read everything, so it listens on this machine only. From another machine, use a
tunnel: ssh -L 8321:127.0.0.1:8321 HOST.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from typing import NamedTuple

from slowhound.cli.location import any_default_dir, find_location
from slowhound.cli.output import Refusal, print_error, print_out
from slowhound.runtime.app_files import absolute
from slowhound.store.open import open_source

DEFAULT_BIND = "127.0.0.1:8321"
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


class Bind(NamedTuple):
    """The address to listen on."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url_host(self) -> str:
        """The host as a URL has it."""
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_bind(given: str) -> Bind:
    """``127.0.0.1:8321``, ``[::1]:8321``, ``localhost:0`` (any free port)."""
    host, colon, port = given.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError("write HOST:PORT, as in 127.0.0.1:8321")
    return Bind(host, int(port))


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--bind",
        type=parse_bind,
        default=DEFAULT_BIND,
        metavar="HOST:PORT",
        help=f"default: {DEFAULT_BIND}",
    )
    parser.add_argument(
        "--from", dest="source", metavar="URL", help="clickhouse://...: the store of a fleet"
    )
    parser.add_argument(
        "--allow-anyone",
        action="store_true",
        help="allow an address that others can reach; they can then read everything",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is interrupted."""
    bind: Bind = arguments.bind
    if not bind.is_loopback and not arguments.allow_anyone:
        raise Refusal(
            f"{bind.host} can be reached by others, and the viewer has no users."
            " Use a tunnel, mount it in your site, or pass --allow-anyone.",
            code=2,
        )
    directory = _directory(arguments)
    from django.conf import settings

    from slowhound.viewer.standalone import configure, server

    if settings.configured:
        _restart(arguments, directory)
    open_source(arguments.source or directory).close()  # fails now, not in the first page
    configure(
        directory, arguments.source, [*LOOPBACK, bind.url_host] if bind.is_loopback else ["*"]
    )
    try:
        serving = server(bind.host, bind.port)
    except OSError as exc:
        raise Refusal(f"cannot listen on {bind.url_host}:{bind.port}: {exc.strerror}") from exc
    if not bind.is_loopback:
        print_error("everyone who can reach this address can read everything that is stored")
    print_out(
        f"slowhound's viewer: http://{bind.url_host}:{serving.server_port}/  (Ctrl-C ends it)"
    )
    sys.stdout.flush()
    with serving:
        serving.serve_forever()
    return 0


def _directory(arguments: argparse.Namespace) -> str:
    """DIR. With --from it may be missing: the live page is then empty."""
    if arguments.source is None:
        return find_location(arguments).dir
    return absolute(arguments.dir or any_default_dir())


def _restart(arguments: argparse.Namespace, directory: str) -> None:
    """DIR was read from a site's settings; the viewer's own settings need a fresh process."""
    words = [
        "view",
        "--dir",
        directory,
        "--bind",
        f"{arguments.bind.url_host}:{arguments.bind.port}",
    ]
    words += ["--from", arguments.source] if arguments.source else []
    words += ["--allow-anyone"] if arguments.allow_anyone else []
    environ = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    os.execve(sys.executable, [sys.executable, "-m", "slowhound", *words], environ)  # noqa: S606
