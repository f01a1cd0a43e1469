"""Views that hold the GIL in one call into C, or end their process in one."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import repeat
from operator import call, itemgetter, not_

from django.http import HttpRequest, HttpResponse

from slowhound.core.in_flight import current, snapshot_in_flight
from slowhound.core.record import Record
from slowhound.recorder import process
from slowhound.runtime.unpatched import original
from tests.site.gates import wait_at
from tests.site.options import SCRATCH

# Seconds of CPU of one step of a call; the most steps take 20 s, if the test never ends the call.
STEP, MOST_STEPS = 0.05, 400
# This many checks for the test's file alone take as long.
MOST_CHECKS = 30_000_000


# Lets other threads run, but no other greenlet of this thread, so that this one can be identified.
_sleep = original("time", "sleep")


def begun(name: str) -> None:
    """Makes a file that names the process and the thread that hold the GIL from now on."""
    draft = SCRATCH / f"{name}.draft"
    draft.write_text(f"{os.getpid()} {threading.get_native_id()}")
    draft.rename(SCRATCH / f"{name}.begun")
    until_the_hound_sleeps()


def until_the_hound_sleeps() -> None:
    """Waits until the hound sleeps between two runs.

    A hold that begins while it does its tasks is attributed to no thread: it may wait for a disk.
    """
    active = process.get()
    while active is not None and active.watch.starvation.holders.wanted is None:
        _sleep(0.001)


def until_the_hound_has_run() -> None:
    """Waits until the hound has run once, and so knows which thread held the GIL."""
    active = process.get()
    if active is not None:
        until_the_hound_sleeps()
        holders = active.watch.starvation.holders
        slept = holders.wanted
        while holders.wanted in (None, slept):
            _sleep(0.001)


@contextmanager
def not_reported_by_own_hound() -> Iterator[None]:
    """The worker's own hound does not report this request, however slow the machine is."""
    record = current()
    if record is None:
        yield
        return
    record.slow_after = float("inf")
    try:
        yield
    finally:
        record.slow_after = None


def forget_samples() -> None:
    """Drops the samples so far, for a view that hangs from here on: its verdict is then "stuck".

    Samples of the time before, on a slow machine, would make it "slow".
    """
    record = current()
    if record is not None:
        until_the_hound_sleeps()
        record.samples = None


def _size(call: Callable[[int], object], small: int) -> int:
    """The number with which `call` takes as long as a step; `small` takes some milliseconds."""
    begun = time.thread_time()
    call(small)
    return max(int(small * STEP / (time.thread_time() - begun)), 1)


def until_seen(name: str, steps: Iterable[object]) -> Iterator[bool]:
    """Makes the steps, and after each yields whether the test has made its file.

    If the steps are in C, `any` of it runs no bytecode, and holds the GIL until the test ends it.
    """
    access = ctypes.PyDLL(None).access
    path = os.fsencode(SCRATCH / f"{name}.seen")
    checks = zip(steps, map(access, repeat(path), repeat(0)), strict=False)
    return map(not_, map(itemgetter(1), checks))


def _pairs(count: int) -> list[tuple[tuple[int, ...], int]]:
    """Slow to sort: two adjacent items are equal up to the last number, and not identical."""
    equal = [tuple([0] * 20_000) for _ in range(2)]
    return [(equal[number % 2], number) for number in range(count)]


@not_reported_by_own_hound()
def sort(_request: HttpRequest, name: str) -> HttpResponse:
    pairs = _pairs(_size(lambda count: sorted(_pairs(count)), 50))
    steps = until_seen(name, map(sorted, repeat(pairs, MOST_STEPS)))
    begun(name)
    any(steps)  # mark: sort
    return HttpResponse("sorted")


@not_reported_by_own_hound()
def regex(_request: HttpRequest, name: str) -> HttpResponse:
    """Backtracks catastrophically: each of the words can be split in very many ways."""
    tried = re.compile(r"(a+)+$")
    word = "a" * 12 + "b"
    text = word * _size(lambda words: tried.search(word * words), 5)
    steps = until_seen(name, map(tried.search, repeat(text, MOST_STEPS)))
    begun(name)
    any(steps)  # mark: regex
    return HttpResponse("no match")


def powers(name: str) -> Iterator[bool]:
    """Computes powers of large numbers, one after another, until the test has made its file."""
    modulus = (1 << 20_000) - 3
    exponent = (1 << _size(lambda bits: pow(3, (1 << bits) - 1, modulus), 30)) - 1
    raised = map(pow, repeat(3, MOST_STEPS), repeat(exponent), repeat(modulus))
    return until_seen(name, raised)


@not_reported_by_own_hound()
def power(_request: HttpRequest, name: str) -> HttpResponse:
    steps = powers(name)
    begun(name)
    any(steps)  # mark: power
    until_the_hound_has_run()  # while the request is in flight, the hold can be attributed to it
    return HttpResponse("raised")


def _native_until_seen(name: str) -> None:
    """Does nothing but check for the test's file."""
    any(until_seen(name, repeat(None, MOST_CHECKS)))  # mark: native


@not_reported_by_own_hound()
def native(_request: HttpRequest, name: str) -> HttpResponse:
    """Burns CPU until the test makes a file."""
    begun(name)
    _native_until_seen(name)
    until_the_hound_has_run()
    return HttpResponse("released")


def native_later(_request: HttpRequest, name: str) -> HttpResponse:
    """The same, but the hold begins when the test wants, and a file shows that it has begun."""
    go = os.fsencode(SCRATCH / f"{name}.go")
    held = partial(ctypes.PyDLL(None).creat, os.fsencode(SCRATCH / f"{name}.held"), 0o600)
    burn = partial(any, until_seen(name, repeat(None, MOST_CHECKS)))
    while not os.access(go, os.F_OK):
        time.sleep(0.01)
    list(map(call, (held, burn)))
    return HttpResponse("released")


@not_reported_by_own_hound()
def lock(_request: HttpRequest, name: str) -> HttpResponse:
    """Waits for a lock of the test, with the GIL."""
    with (SCRATCH / f"{name}.lock").open() as locked:
        begun(name)
        ctypes.PyDLL(None).flock(locked.fileno(), fcntl.LOCK_EX)  # mark: lock
    return HttpResponse("locked")


def wait_sampled(record: Record) -> None:
    """Waits until the worker's box has a stack of this view; the first sample may be older."""
    forget_samples()
    while len(record.samples or ()) < 3:
        time.sleep(0.01)


def lock_when(_request: HttpRequest, state: str, name: str) -> HttpResponse:
    """The same, once the hound has sampled this request, or reported it."""
    record = current()
    assert record is not None
    with (
        not_reported_by_own_hound() if state == "seen" else nullcontext(),
        (SCRATCH / f"{name}.lock").open() as locked,
    ):
        if state == "seen":
            wait_sampled(record)
        while state == "reported" and record.slow is None:
            time.sleep(0.01)
        begun(name)
        ctypes.PyDLL(None).flock(locked.fileno(), fcntl.LOCK_EX)
    return HttpResponse("locked")


def in_background(_request: HttpRequest, name: str) -> HttpResponse:
    """Starts a thread without a request, which holds the GIL when the test wants."""

    def hold() -> None:
        (SCRATCH / f"{name}.thread").write_text(f"{threading.get_native_id()}\n")
        wait_at(name)
        until_the_hound_sleeps()
        _native_until_seen(name)
        for record in snapshot_in_flight():
            record.slow_after = None
        wait_at(f"{name}-over")  # a thread that has ended is not named

    threading.Thread(target=hold, name="nightly-import", daemon=True).start()
    return HttpResponse("started")


def beside(_request: HttpRequest, name: str) -> HttpResponse:
    """Waits at a gate, and is not slow until the thread of `in_background` releases the GIL."""
    record = current()
    assert record is not None
    record.slow_after = float("inf")
    wait_at(name)
    return HttpResponse("waited")


def sleeps(_request: HttpRequest, name: str) -> HttpResponse:
    """Waits for the test in one system call that releases the GIL."""
    with (SCRATCH / f"{name}.lock").open() as locked:
        begun(name)
        forget_samples()
        fcntl.flock(locked.fileno(), fcntl.LOCK_EX)
    return HttpResponse("awake")


def segfault(_request: HttpRequest) -> HttpResponse:
    ctypes.string_at(0)  # mark: segfault
    return HttpResponse("still there?")


def leaves(_request: HttpRequest, code: int) -> HttpResponse:
    os._exit(code)


def allocate(_request: HttpRequest) -> HttpResponse:
    """Allocates more memory than the test's cgroup may have; returns where there is no limit."""
    kept = [bytearray(b"x" * 1_000_000) for _ in range(600)]
    return HttpResponse(str(len(kept)))
