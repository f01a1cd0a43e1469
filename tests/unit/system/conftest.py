"""Threads that wait in a system call."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from slowhound.system.thread_state import waiting_for

Said = Callable[..., None]
Pair = tuple[socket.socket, socket.socket, str]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket, str]]:
    """A connection over TCP, and the address of its far end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far = server.accept()[0]
        with near, far:
            yield near, far, "{}:{}".format(*near.getpeername())


@pytest.fixture
def said(pair: Pair) -> Iterator[Said]:
    """Starts a call in a thread and returns once that is what the thread is said to wait for.

    It is torn down before the pair, so that no thread is left with a socket that is closed.
    """
    threads = []

    def expect(expected: str, call: Callable[..., Any], *args: Any) -> None:
        thread = threading.Thread(target=call, args=args, daemon=True)
        threads.append(thread)
        thread.start()
        seen = set()
        deadline = time.monotonic() + 20
        while (now := str(waiting_for(thread.native_id or 0))) != expected:
            seen.add(now)
            assert time.monotonic() < deadline, seen
            time.sleep(0.001)

    yield expect
    # Each test lets its calls return: a thread must not keep a number that is used again.
    for thread in threads:
        thread.join(5)
