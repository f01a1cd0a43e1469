"""How the state and the clocks of a thread are read."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.system import thread_state
from slowhound.system.thread_state import SHOWN_NAME, cpu_seconds, waiting_for
from slowhound.system.wait_states import StateKind, numbers
from tests.unit.system.conftest import Pair, Said

pytestmark = pytest.mark.skipif(not numbers(), reason="Linux on x86_64 or aarch64 only")


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
