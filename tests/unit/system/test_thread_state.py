"""What a thread waits for, as the kernel tells."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.system import thread_state
from slowhound.system.thread_state import SHOWN_NAME, cpu_seconds, waiting_for
from slowhound.system.wait_states import StateKind, numbers
from tests.harness.process import started

pytestmark = pytest.mark.skipif(not numbers(), reason="Linux on x86_64 or aarch64 only")

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


@pytest.mark.parametrize("native_id", [0, 1, -1, os.getppid(), 2**31, 2**70])
def test_what_is_no_thread_of_ours_is_not_known(native_id: int) -> None:
    """Another process's thread, a dead one, or no number that could be one."""
    assert waiting_for(native_id) is None
    assert cpu_seconds(native_id) is None


def test_thread_that_ended_has_no_clock() -> None:
    """The clock goes with its thread."""
    thread = threading.Thread(target=bool)
    thread.start()
    thread.join()
    native_id = thread.native_id or 0
    while os.path.exists(f"/proc/self/task/{native_id}"):
        time.sleep(0.001)
    assert cpu_seconds(native_id) is None
    assert waiting_for(native_id) is None


def test_cpu_time_is_the_thread_s_own() -> None:
    """What this thread's clock says of itself is what another one reads."""
    before = time.thread_time()
    read = cpu_seconds(threading.get_native_id())
    assert read is not None
    assert before <= read <= time.thread_time()


def test_application_s_socket_stays_as_it_was(said: Said, pair: Pair) -> None:
    """Reading what a descriptor is opens none, closes none and does not make it non-blocking."""
    near, far, peer = pair
    flags = fcntl.fcntl(near, fcntl.F_GETFL)
    socket.setdefaulttimeout(5)
    try:
        said(f"recv from {peer}", near.recv, 1)
        opened = os.listdir("/proc/self/fd")
        said(f"read from {peer}", os.read, near.fileno(), 1)
        assert os.listdir("/proc/self/fd") == opened
    finally:
        socket.setdefaulttimeout(None)
    assert fcntl.fcntl(near, fcntl.F_GETFL) == flags
    far.sendall(b"ab")


def test_descriptor_closed_under_a_waiting_thread_is_no_failure(said: Said, pair: Pair) -> None:
    """The number names nothing any more, and that is said."""
    near, far, _ = pair
    number = os.dup(near.fileno())
    said("read from " + pair[2], os.read, number, 1)
    os.close(number)
    others = {int(each) for each in os.listdir("/proc/self/task")} - {threading.get_native_id()}
    assert "read from a closed descriptor" in {str(waiting_for(each)) for each in others}
    far.sendall(b"a")


def test_memory_that_is_gone_is_not_read() -> None:
    """A pointer to nowhere gives nothing, where reading it would end the process."""
    assert thread_state._memory(0, 8) == b""
    assert thread_state._memory(2**64 - 8, 8) == b""
    here = ctypes.create_string_buffer(b"here")
    assert thread_state._memory(ctypes.addressof(here), 4) == b"here"


@given(st.binary(min_size=1, max_size=90).filter(lambda name: b"/" not in name))
def test_hostile_name_is_one_short_printable_line(name: bytes) -> None:
    """Whatever a file or a socket is called, no line is added and no cursor moved."""
    family = socket.AF_UNIX.to_bytes(2, sys.byteorder)
    for text in (
        thread_state._address(family + name),
        thread_state._address(family + b"\0" + name),
    ):
        assert text.isprintable()
        assert len(text) <= SHOWN_NAME
    if b"\0" in name:
        return
    made = ctypes.create_string_buffer(b"/x/" + name)
    number = next(key for key, (kind, _) in numbers().items() if kind is StateKind.OPEN)
    at = int(numbers()[number][1])
    call = [
        str(number),
        *("%#x" % (ctypes.addressof(made) if each == at else 0) for each in range(6)),
    ]
    text = str(thread_state._of_call(0, [each.encode() for each in call]))
    assert text.startswith("open of /x/")
    assert text.isprintable()
    assert len(text) <= SHOWN_NAME + 20


@given(st.binary(max_size=130))
def test_any_address_is_one_printable_line(raw: bytes) -> None:
    """Bytes that are no address, or of a family that is not known, are no failure."""
    assert thread_state._address(raw).isprintable()


UNPRIVILEGED = """
import os, threading, time
from slowhound.system.thread_state import waiting_for
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
lock = threading.Lock()
lock.acquire()
other = threading.Thread(target=lock.acquire, daemon=True)
other.start()
os.setgid(65534)
os.setuid(65534)
sleeper = threading.enumerate()[1].native_id
while str(waiting_for(sleeper)) != "sleep" or waiting_for(other.native_id).runs:
    time.sleep(0.01)
print(waiting_for(other.native_id))
"""


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_worker_that_gave_up_root_still_tells_what_it_can() -> None:
    """Such a process may not read its own system calls; the kernel's function remains."""
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert re.fullmatch("a lock, or the GIL\n", done.stdout), done.stderr


FILTERED = """
import ctypes, os, select, struct, threading
from slowhound.system.thread_state import waiting_for
# Load the number of the call; unless it is this one go on; kill the process.
program = b"".join(struct.pack("HBBI", *each) for each in (
    (0x20, 0, 0, 0), (0x15, 0, 1, {number}), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)))
kept = ctypes.create_string_buffer(program)
prog = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, ctypes.addressof(kept)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
assert libc.prctl(22, 2, prog, 0, 0) == 0
end, other = os.pipe()
poll = select.poll()
poll.register(end, select.POLLIN)
thread = threading.Thread(target=poll.poll)
thread.start()
while (said := str(waiting_for(thread.native_id))) != "poll on pipe":
    assert said in ("running", "a lock", "running, or waiting for the GIL"), said
os.write(other, b".")
"""


def test_filter_of_system_calls_that_kills_is_not_met() -> None:
    """As one of systemd's may: memory is read as a file, which every program may do."""
    number = {"x86_64": 310, "aarch64": 270}[os.uname().machine]  # process_vm_readv
    argv = [sys.executable, "-c", FILTERED.format(number=number)]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
