"""Chooses ports that no other process gets."""

from __future__ import annotations

import errno
import itertools
import os
import socket

# Below the kernel's ephemeral ports (from 32768 on). Each process of a run starts far from the
# others, and each run starts at another port.
LOWEST, COUNT, APART = 10_000, 20_000, 5_000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_next = itertools.count(_worker * APART + os.getpid() * 101 % APART)


def unused_port() -> int:
    """A port on which no server listens, and which no other test gets."""
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
    """True if no other run of these tests on this machine has it, also in a container.

    An abstract socket name belongs to a network namespace, as a port does, and to this process
    until it ends.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(f"\0slowhound-test-port-{port}")
    except OSError as exc:
        sock.close()
        if exc.errno != errno.EADDRINUSE:  # the system has no abstract names
            raise
        return False
    sock.detach()  # it stays open
    return True
