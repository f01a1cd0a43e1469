"""Views that hold the GIL in one call into C, or end their process in it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import threading
import time
from collections.abc import Callable
from itertools import repeat
from operator import not_

from django.http import HttpRequest, HttpResponse

from tests.site.gates import wait_at
from tests.site.options import SCRATCH

# Seconds of CPU of a call that nothing can end before its time.
HOLD = 5.0
# As many looks for the test's file take 20 seconds of CPU, should the test never make it.
MOST_LOOKS = 30_000_000


def _begun(name: str) -> None:
    """Tells the test that from here on it may look."""
    (SCRATCH / f"{name}.begun").touch()


def _size(call: Callable[[int], object], small: int, *, seconds: float = HOLD) -> int:
    """With which number `call` takes this long here; `small` takes some milliseconds."""
    begun = time.thread_time()
    call(small)
    return int(small * seconds / (time.thread_time() - begun))


def _pairs(count: int) -> list[tuple[tuple[int, ...], int]]:
    """Sorted slowly: two neighbours are equal up to the last number, and not the same object."""
    equal = [tuple([0] * 20_000) for _ in range(2)]
    return [(equal[number % 2], number) for number in range(count)]


def sort(_request: HttpRequest, name: str) -> HttpResponse:
    pairs = _pairs(_size(lambda count: _pairs(count).sort(), 500))
    _begun(name)
    pairs.sort()  # mark: sort
    return HttpResponse("sorted")


def regex(_request: HttpRequest, name: str) -> HttpResponse:
    """Catastrophic: each of the words is tried in all the ways to part it."""
    tried = re.compile(r"(a+)+$")
    word = "a" * 12 + "b"
    text = word * _size(lambda words: tried.search(word * words), 20)
    _begun(name)
    tried.search(text)  # mark: regex
    return HttpResponse("no match")


def power(_request: HttpRequest, name: str) -> HttpResponse:
    modulus = (1 << 20_000) - 3
    exponent = (1 << _size(lambda bits: pow(3, (1 << bits) - 1, modulus), 300)) - 1
    _begun(name)
    pow(3, exponent, modulus)  # mark: power
    return HttpResponse("raised")


def _native_until(path: bytes) -> None:
    """Calls of C code without an end: no bytecode is run between them, and the GIL is kept."""
    access = ctypes.PyDLL(None).access
    any(map(not_, map(access, repeat(path, MOST_LOOKS), repeat(0))))  # mark: native


def native(_request: HttpRequest, name: str) -> HttpResponse:
    """Burns CPU until the test makes a file."""
    _begun(name)
    _native_until(os.fsencode(SCRATCH / f"{name}.seen"))
    return HttpResponse("let go")


def native_later(_request: HttpRequest, name: str) -> HttpResponse:
    """The same, but at first it sleeps for long enough to be seen."""
    time.sleep(0.7)
    return native(_request, name)


def lock(_request: HttpRequest, name: str) -> HttpResponse:
    """Waits with the GIL for a lock of the test's."""
    with (SCRATCH / f"{name}.lock").open() as locked:
        _begun(name)
        ctypes.PyDLL(None).flock(locked.fileno(), fcntl.LOCK_EX)  # mark: lock
    return HttpResponse("locked")


def slow_then_lock(_request: HttpRequest, name: str, seconds: str) -> HttpResponse:
    """Slow already when it comes to the lock."""
    time.sleep(float(seconds))
    with (SCRATCH / f"{name}.lock").open() as locked:
        _begun(name)
        ctypes.PyDLL(None).flock(locked.fileno(), fcntl.LOCK_EX)
    return HttpResponse("locked")


def in_background(_request: HttpRequest, name: str) -> HttpResponse:
    """A thread that is no request's holds the GIL as soon as the test wishes."""

    def hold() -> None:
        (SCRATCH / f"{name}.thread").write_text(f"{threading.get_native_id()}\n")
        wait_at(name)
        _native_until(os.fsencode(SCRATCH / f"{name}.seen"))

    threading.Thread(target=hold, name="nightly-import", daemon=True).start()
    return HttpResponse("started")


def sleeps(_request: HttpRequest, name: str) -> HttpResponse:
    """Waits for the test in one system call without the GIL, for which it does not ask."""
    with (SCRATCH / f"{name}.lock").open() as locked:
        _begun(name)
        fcntl.flock(locked.fileno(), fcntl.LOCK_EX)
    return HttpResponse("awake")


def segfault(_request: HttpRequest) -> HttpResponse:
    ctypes.string_at(0)  # mark: segfault
    return HttpResponse("still there?")


def leaves(_request: HttpRequest, code: int) -> HttpResponse:
    os._exit(code)


def allocate(_request: HttpRequest) -> HttpResponse:
    """More memory than the test's cgroup may have; ends by itself where there is no limit."""
    kept = [bytearray(b"x" * 1_000_000) for _ in range(600)]
    return HttpResponse(str(len(kept)))
