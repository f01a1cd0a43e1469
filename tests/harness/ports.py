"""Ports that nobody gets by chance."""

from __future__ import annotations

import errno
import itertools
import os
import socket

# Below those that the kernel gives to whoever asks for any (from 32768 on). Each process of one run
# begins far from the others, and each run at a place of its own.
LOWEST, COUNT, APART = 10_000, 20_000, 5_000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_next = itertools.count(_worker * APART + os.getpid() * 101 % APART)


def unused_port() -> int:
    """One on which nobody listens, and which no other server will be given."""
    for number in _next:
        port = LOWEST + number % COUNT
        if _is_free(port) and _reserved(port):
            return port
    raise AssertionError("counting never ends")


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _reserved(port: int) -> bool:
    """True when no other run of these tests on this machine has it, not in a container either.

    A name like this belongs to a network, as the port does, and to this process while it lives.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(f"\0slowhound-test-port-{port}")
    except OSError as exc:
        sock.close()
        if exc.errno != errno.EADDRINUSE:  # no such names on this system
            raise
        return False
    sock.detach()  # it stays open
    return True
