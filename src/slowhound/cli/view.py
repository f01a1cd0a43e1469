"""Shows requests, reports and what is in flight as pages in a browser.

It reads DIR, or with --from the store of a fleet, and changes nothing. There are no users: whoever
can connect may read everything, so it listens on this machine only. From elsewhere, use a tunnel:
ssh -L 8321:127.0.0.1:8321 HOST.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from typing import NamedTuple

from slowhound.cli.location import Refusal, find_location, print_error, print_out
from slowhound.config.default_dir import default_folder, existing
from slowhound.runtime.app_files import absolute
from slowhound.store.answer import StoreError
from slowhound.store.open import open_source

BIND = "127.0.0.1:8321"
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


class Bind(NamedTuple):
    """Where to listen."""

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
    def shown(self) -> str:
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
        "--bind", type=parse_bind, default=BIND, metavar="HOST:PORT", help=f"default: {BIND}"
    )
    parser.add_argument(
        "--from", dest="source", metavar="URL", help="clickhouse://..., the store of a fleet"
    )
    parser.add_argument(
        "--allow-anyone",
        action="store_true",
        help="listen on an address that others can reach; they can then read everything",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is interrupted."""
    bind: Bind = arguments.bind
    if not bind.is_loopback and not arguments.allow_anyone:
        raise Refusal(
            f"{bind.host} can be reached by others, and the viewer has no users."
            " Use a tunnel, mount it in your site, or say --allow-anyone.",
            code=2,
        )
    directory = _directory(arguments)
    from django.conf import settings

    from slowhound.viewer.standalone import configure, server

    if settings.configured:
        _begin_again(arguments, directory)
    try:
        open_source(arguments.source or directory).close()
    except StoreError as exc:
        raise Refusal(str(exc)) from exc
    configure(directory, arguments.source, [*LOOPBACK, bind.shown] if bind.is_loopback else ["*"])
    try:
        serving = server(bind.host, bind.port)
    except OSError as exc:
        raise Refusal(f"cannot listen on {bind.shown}:{bind.port}: {exc.strerror}") from exc
    if not bind.is_loopback:
        print_error("whoever can reach this address can read everything that is stored")
    print_out(f"slowhound's viewer: http://{bind.shown}:{serving.server_port}/  (Ctrl-C ends it)")
    sys.stdout.flush()
    with serving:
        serving.serve_forever()
    return 0


def _directory(arguments: argparse.Namespace) -> str:
    """DIR; with a store elsewhere it need not be there, and then nothing is live."""
    if arguments.source is None:
        return find_location(arguments).dir
    return absolute(arguments.dir or next(iter(existing()), default_folder()))


def _begin_again(arguments: argparse.Namespace, directory: str) -> None:
    """A site's settings were read to find DIR; the viewer's own need a fresh process."""
    words = ["view", "--dir", directory, "--bind", f"{arguments.bind.shown}:{arguments.bind.port}"]
    words += ["--from", arguments.source] if arguments.source else []
    words += ["--allow-anyone"] if arguments.allow_anyone else []
    environ = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    os.execve(sys.executable, [sys.executable, "-m", "slowhound", *words], environ)  # noqa: S606
