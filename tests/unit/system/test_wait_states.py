"""What a thread waits for, in the words that are shown."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slowhound.system.thread_state import waiting_for
from slowhound.system.wait_states import StateKind, numbers
from tests.harness.process import started
from tests.unit.system.conftest import Pair, Said

pytestmark = pytest.mark.skipif(not numbers(), reason="Linux on x86_64 or aarch64 only")


def test_socket_is_named_by_its_peer(said: Said, pair: Pair) -> None:
    """Whoever we wait for stands there, however the bytes are asked for."""
    near, far, peer = pair
    said(f"recv from {peer}", near.recv, 1)
    said(f"read from {peer}", os.read, near.fileno(), 1)
    far.sendall(b"ab")


def test_timeout_of_a_socket_shows_as_poll(said: Said, pair: Pair) -> None:
    """A Python socket with a timeout waits in poll, on itself."""
    near, far, peer = pair
    near.settimeout(60)
    said(f"poll on {peer}", near.recv, 1)
    far.sendall(b"a")


def test_full_socket_is_sent_to(said: Said, pair: Pair) -> None:
    """A peer that does not read is named, too."""
    near, far, peer = pair
    size = 50_000_000
    said(f"send to {peer}", near.sendall, bytes(size))
    while size:
        size -= len(far.recv(1 << 20))


def test_ipv6_address_is_in_brackets(said: Said) -> None:
    """The port cannot be taken for a part of the address."""
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6")
    port = server.getsockname()[1]
    with server, socket.create_connection(("::1", port)) as near:
        said(f"recv from [::1]:{port}", near.recv, 1)
        server.accept()[0].close()


@pytest.mark.parametrize("abstract", [False, True])
def test_unix_socket_is_named_by_its_path(said: Said, tmp_path: Path, abstract: bool) -> None:
    """A database's socket in the file system, and one in the abstract name space."""
    path = f"\0slowhound-{os.getpid()}" if abstract else os.path.relpath(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as near:
        server.bind(path)
        server.listen()
        near.connect(path)
        said("recv from " + path.replace("\0", "@"), near.recv, 1)
        server.accept()[0].close()


def test_nameless_socket_is_a_socket(said: Said) -> None:
    """Neither end of a pair has a name."""
    near, far = socket.socketpair()
    with near, far:
        said("recv from a socket", near.recv, 1)
        far.sendall(b"a")


def test_server_that_accepts_is_named_by_its_own_address(said: Said) -> None:
    """A listening socket has no peer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def accept() -> None:
            server.accept()[0].close()

        said(f"accept on 127.0.0.1:{port}", accept)
        socket.create_connection(("127.0.0.1", port)).close()


def test_connect_names_where_it_goes(said: Said, tmp_path: Path) -> None:
    """The address is read from the call: a socket that connects has no peer yet."""
    path = os.path.relpath(tmp_path / "s")
    clients = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    with socket.socket(socket.AF_UNIX) as server, clients[0], clients[1]:
        server.bind(path)
        server.listen(0)
        clients[0].connect(path)  # the queue is full now
        said(f"connect to {path}", clients[1].connect, path)
        for _ in clients:
            server.accept()[0].close()


def test_several_descriptors_are_counted(said: Said, pair: Pair) -> None:
    """Of many descriptors the first one is named."""
    near, far, peer = pair
    others = socket.socketpair()
    with others[0], others[1]:
        poll = select.poll()
        for each in (near, *others):
            poll.register(each, select.POLLIN)
        said(f"poll on 3 descriptors, first {peer}", poll.poll)
        said(f"select on {peer}", select.select, [near], [], [])
        first, last = sorted((near, others[0]), key=socket.socket.fileno)
        name = peer if first is near else "a socket"
        said(f"select on 2 descriptors, first {name}", select.select, [last], [], [first])
        far.sendall(b"a")
        others[1].sendall(b"a")


def test_epoll_is_epoll(said: Said, pair: Pair) -> None:
    """An event loop waits for many things at once."""
    near, far, _ = pair
    with select.epoll() as epoll:
        epoll.register(near, select.EPOLLIN)
        said("epoll", epoll.poll)
        far.sendall(b"a")


def test_pipes_are_pipes(said: Said) -> None:
    """An empty pipe is read from, a full one written to."""
    reader, writer = os.pipe()
    said("read from pipe", os.read, reader, 1)
    os.write(writer, b"a")
    said("write to pipe", os.write, writer, bytes(200_000))
    size = 200_000
    while size:
        size -= len(os.read(reader, size))
    os.close(reader)
    os.close(writer)


def test_fifo_is_named_by_its_path(said: Said, tmp_path: Path) -> None:
    """An open that waits, and a read from what it opened, show the file."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    said(f"open of {path}", lambda: os.close(os.open(path, os.O_RDONLY)))
    writer = os.open(path, os.O_RDWR)
    said(f"read of {path}", os.read, writer, 1)
    os.write(writer, b"a")
    os.close(writer)


LOCKER = """
import fcntl, sys
with open(sys.argv[1], "r+") as file:
    getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX)
    print(flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(("kind", "words"), [("lockf", "fcntl lock on"), ("flock", "flock on")])
def test_file_lock_names_the_file(said: Said, tmp_path: Path, kind: str, words: str) -> None:
    """A lock that another process holds."""
    path = tmp_path / "database"
    path.touch()
    command = [sys.executable, "-c", LOCKER, str(path), kind]
    with started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        has_it = threading.Event()
        with path.open("r+") as file:

            def lock() -> None:
                getattr(fcntl, kind)(file, fcntl.LOCK_EX)
                has_it.set()

            said(f"{words} {path}", lock)
            other.stdin.close()
            other.wait()
            assert has_it.wait(20)  # before the file is closed under it


def again(over: threading.Event, call: Callable[..., Any], *args: Any) -> None:
    """What nothing can end is short, and repeated until it was seen."""
    while not over.is_set():
        call(*args)


def test_what_has_no_name_is_said_in_a_word(said: Said) -> None:
    """Locks, sleep and children."""
    lock = threading.Lock()
    with lock:
        said("a lock", lambda: lock.acquire() and lock.release())
    over = threading.Event()
    said("sleep", again, over, time.sleep, 0.05)
    said("sleep", again, over, select.select, [], [], [], 0.05)
    over.set()
    with started(["/bin/cat"], stdin=subprocess.PIPE) as child:
        said("a child process", child.wait)
        assert child.stdin is not None
        child.stdin.close()


def test_python_at_work_is_no_wait(said: Said) -> None:
    """A thread that computes runs, or would but for the hound that reads its state."""
    over = threading.Event()
    seen = set()

    def computes() -> None:
        while not over.is_set():
            sum(range(1000))

    thread = threading.Thread(target=computes, daemon=True)
    thread.start()
    while seen != {StateKind.GIL, StateKind.RUNNING}:
        state = waiting_for(thread.native_id or 0)
        assert state is not None
        assert state.runs or state.kind is StateKind.LOCK, state  # the event's, for an instant
        seen.update({state.kind} - {StateKind.LOCK})
        time.sleep(0.001)
    over.set()
    thread.join()


def test_call_without_a_gil_is_running(said: Said) -> None:
    """C code that computes is running, too."""
    import hashlib

    over = threading.Event()
    said("running", again, over, hashlib.pbkdf2_hmac, "sha256", b"a", b"b", 100_000)
    over.set()
