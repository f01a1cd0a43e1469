"""Reads what a thread of this process waits for, and how much CPU time it has used.

Linux on x86_64 and aarch64 only; elsewhere the answer is None. Nothing is done to the
application's descriptors: ``socket.socket(fileno=…)`` would switch a socket to non-blocking under
``socket.setdefaulttimeout``, and a ``dup`` that is closed gives up the process's ``fcntl`` locks
when another thread has meanwhile opened a file under that number. So ``getpeername`` is called on
the bare number.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import socket
import sys
import time

from slowhound.event.formats import one_line
from slowhound.redaction.cuts import without_rest
from slowhound.redaction.masking import short_text
from slowhound.system.guard import guarded
from slowhound.system.wait_states import KERNEL_FUNCTIONS, StateKind, ThreadState, numbers

SHOWN_NAME, STATE_ATTEMPTS = 200, 3

# A read of /proc takes 1 µs. To give up the GIL for it would cost up to 5 ms to get it back, and
# a stack that was taken before would be out of date. Only what may wait for others gives it up.
HELD, FREE = ctypes.PyDLL, ctypes.CDLL


@functools.cache
def _libc(kind: type[ctypes.CDLL]) -> ctypes.CDLL:
    return kind(None)  # all arguments here are small numbers and buffers, the default for both


@functools.cache
def _runtime() -> range:
    """The addresses of Python's own static data, where the GIL is; empty when not found."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/maps", "rb") as maps:
        inside = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
        for line in maps:
            found = range(*(int(each, 16) for each in line.split()[0].split(b"-")))
            if inside in found:
                return found
    return range(0)


def warm_up() -> None:
    """Reads what has to be read once, so that the first sample does not lose the GIL by it."""
    numbers()
    _runtime()
    _libc(HELD)
    _libc(FREE)


@guarded("waiting")
def waiting_for(native_id: int) -> ThreadState | None:
    """What a thread of this process waits for now; its text is a printable line of bounded length.

    Args:
        native_id: the kernel's id of the thread (``threading.get_native_id``).

    Returns:
        Such as ``recv from 10.0.0.5:5432``, ``a lock``, ``running``; None where it cannot be known.
        A descriptor is found by its number: one that was closed and opened again under the waiting
        thread is named for what it is now.
    """
    if not numbers():
        return None
    for _ in range(STATE_ATTEMPTS):
        call = _task(native_id, b"syscall")
        if call is None:
            return _from_kernel(native_id)
        if call.startswith(b"running"):
            return ThreadState(StateKind.RUNNING)
        state = _of_call(native_id, call.split())
        # The same call with the same arguments before and after: what was found belongs to it.
        if _task(native_id, b"syscall") == call:
            return state
    return ThreadState(StateKind.RUNNING)


def cpu_clock(thread: int) -> int:
    """The id of a thread's CPU clock, by the system's id of the thread (Linux's own encoding).

    Not time.pthread_getcpuclockid, which may crash for a thread that has ended.
    """
    return ~thread << 3 | 6


def cpu_seconds(native_id: int) -> float | None:
    """The CPU time in seconds that a thread of this process has used; None when it is gone.

    ``pthread_getcpuclockid`` would read the memory of a thread that may have ended. So the id
    of the clock is made from the thread's own (``CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED``).
    """
    if sys.platform != "linux" or not 0 < native_id <= 2**22:  # the kernel's limit; no wrapping
        return None
    try:
        return time.clock_gettime(cpu_clock(native_id))
    except (OSError, OverflowError, TypeError):  # the last from Python 3.13 on
        return None


def run_queue_wait(native_id: int) -> float:
    """Seconds for which a thread of this process has waited for a CPU; 0 where it is not known."""
    fields = (_task(native_id, b"schedstat") or b"").split()
    return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0


def turns_on_cpu(native_id: int) -> int:
    """How often a thread of this process was given a CPU; 0 where it is not known."""
    fields = (_task(native_id, b"schedstat") or b"").split()
    return int(fields[2]) if len(fields) > 2 else 0


def _task(native_id: int, name: bytes) -> bytes | None:
    """A file of the thread's in /proc, its first KiB; None when it cannot be read."""
    libc = _libc(HELD)
    fd = libc.open(b"/proc/self/task/%d/%b" % (native_id, name), os.O_RDONLY | os.O_CLOEXEC)
    if fd < 0:
        return None
    buffer = ctypes.create_string_buffer(1024)
    size = libc.read(fd, buffer, 1024)
    libc.close(fd)
    return buffer.raw[:size] if size > 0 else None


def _from_kernel(native_id: int) -> ThreadState | None:
    if _state(native_id) == "R":
        return ThreadState(StateKind.RUNNING)
    name = _short(_task(native_id, b"wchan") or b"0")
    if name == "0":
        return None
    found = next((kind for part, kind in KERNEL_FUNCTIONS if part in name), None)
    return ThreadState(StateKind.KERNEL_FUNCTION, name) if found is None else ThreadState(found)


def _state(native_id: int) -> str:
    """The kernel's character for the thread's state; empty when the thread is gone."""
    fields = (_task(native_id, b"stat") or b"").rpartition(b")")[2].split()
    return fields[0].decode() if fields else ""


def _of_call(native_id: int, call: list[bytes]) -> ThreadState:
    """What the fields of ``syscall`` mean: a number, six arguments, two registers."""
    number = int(call[0])
    if number < 0:  # not in a system call, and not running either
        waits_for_disk = _state(native_id) == "D"
        return ThreadState(StateKind.PAGE_FAULT if waits_for_disk else StateKind.STOPPED)
    if number not in numbers():
        return ThreadState(StateKind.OTHER_CALL, str(number))
    kind, names = numbers()[number]
    args = [int(each, 16) for each in call[1:7]]
    if kind in (StateKind.POLL, StateKind.SELECT):
        return _of_several(kind, args)
    name = ""
    if kind is StateKind.CONNECT:
        name = _address(_memory(args[1], min(args[2], 128))) or "a socket"
    elif kind is StateKind.LOCK and args[0] in _runtime():
        kind = StateKind.GIL
    elif names == "fd":
        name = _file(args[0] & 0xFFFFFFFF, own=kind is StateKind.ACCEPT)
        kind = StateKind.READ_FILE if kind is StateKind.READ and name[0] == "/" else kind
    elif names:
        path = _memory(args[int(names)], SHOWN_NAME)
        name = _short(path.partition(b"\0")[0]) or "a file"
    return ThreadState(kind, name)


def _of_several(kind: StateKind, args: list[int]) -> ThreadState:
    """``poll`` or ``select``: how many descriptors, and the first of them."""
    if kind is StateKind.POLL:
        # An array of struct pollfd: descriptor, wanted events, events that have come.
        raw = _memory(args[0], min(args[1], 1024) * 8)
        numbers = memoryview(raw[: len(raw) // 8 * 8]).cast("i")[::2]
        wanted, given = [fd for fd in numbers if fd >= 0], args[1]
    else:
        size = (min(args[0], 1024) + 63) // 64 * 8
        sets = [int.from_bytes(_memory(each, size), "little") for each in args[1:4] if each]
        both = functools.reduce(int.__or__, sets, 0)
        wanted, given = [fd for fd in range(both.bit_length()) if both >> fd & 1], args[0]
    if not wanted:
        return ThreadState(kind, "descriptors") if given else ThreadState(StateKind.SLEEP)
    many = f"{len(wanted)} descriptors, first " if len(wanted) > 1 else ""
    return ThreadState(kind, f"{many}{_file(wanted[0])}")


def _memory(address: int, size: int) -> bytes:
    """Bytes of this process; fewer or none when the memory is no longer there.

    The kernel copies: to read a pointer of another thread ourselves could end the process. By
    reading a file, and not by process_vm_readv: a filter of system calls may kill for that one.
    """
    libc = _libc(HELD)
    fd = libc.open(b"/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    if fd < 0:
        return b""
    try:
        return os.pread(fd, size, address)
    except (OSError, OverflowError):
        return b""
    finally:
        libc.close(fd)


def _file(fd: int, *, own: bool = False) -> str:
    """What the descriptor is open on: a path, ``pipe``, a socket's peer (or ``own`` address)."""
    buffer = ctypes.create_string_buffer(SHOWN_NAME)
    size = _libc(HELD).readlink(b"/proc/self/fd/%d" % fd, buffer, SHOWN_NAME)
    name = buffer.raw[: max(size, 0)]
    if not name:
        return "a closed descriptor"
    if name.startswith(b"socket:"):
        libc = _libc(FREE)
        ask = libc.getsockname if own else libc.getpeername
        raw, length = ctypes.create_string_buffer(128), ctypes.c_uint(128)
        if ask(fd, raw, ctypes.byref(length)) != 0:
            return "a socket that is not connected"
        return _address(raw.raw[: min(length.value, 128)]) or "a socket"
    if name[:1] != b"/":  # pipe:[123], anon_inode:[eventfd]
        name = name.removeprefix(b"anon_inode:").lstrip(b"[").partition(b":[")[0].rstrip(b"]")
    return _short(name)


def _address(raw: bytes) -> str:
    """A ``struct sockaddr`` as text; empty for one without a name."""
    family = int.from_bytes(raw[:2], sys.byteorder)
    if family == socket.AF_INET and len(raw) >= 8:
        return f"{socket.inet_ntop(family, raw[4:8])}:{int.from_bytes(raw[2:4])}"
    if family == socket.AF_INET6 and len(raw) >= 24:
        return f"[{socket.inet_ntop(family, raw[8:24])}]:{int.from_bytes(raw[2:4])}"
    if family != socket.AF_UNIX:
        return ""
    path = raw[2:]
    # An abstract name begins with a null byte, and is shown as ss(8) does.
    text = b"@" + path[1:] if path[:1] == b"\0" else path.partition(b"\0")[0]
    return _short(text) if len(path) > 1 else ""


def _short(name: bytes) -> str:
    shown = one_line(os.fsdecode(name))
    # The kernel was asked for so much of it: a longer one is cut.
    found = short_text(shown)
    return found if len(name) < SHOWN_NAME else without_rest(found)
