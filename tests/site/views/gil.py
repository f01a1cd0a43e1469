"""Views that hold the GIL in one call into C, or end their process in it."""

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

# Seconds of CPU of one step of a call; so many steps take 20, should the test never end it.
STEP, MOST_STEPS = 0.05, 400
# As many looks for the test's file, and nothing else, take as long.
MOST_LOOKS = 30_000_000


# Lets other threads run, and no other greenlet of this one: who held the GIL is who stands there.
_sleep = original("time", "sleep")


def begun(name: str) -> None:
    """Tells the test that from here on it may look, and at which process and thread."""
    draft = SCRATCH / f"{name}.draft"
    draft.write_text(f"{os.getpid()} {threading.get_native_id()}")
    draft.rename(SCRATCH / f"{name}.begun")
    until_the_hound_sleeps()


def until_the_hound_sleeps() -> None:
    """Who held the GIL is not told when the hound was at its chores.

    It may wait for a disk in them.
    """
    active = process.get()
    while active is not None and active.watch.starvation.holders.wanted is None:
        _sleep(0.001)


def until_the_hound_has_run() -> None:
    """Who held the GIL is known by then."""
    active = process.get()
    if active is not None:
        until_the_hound_sleeps()
        holders = active.watch.starvation.holders
        slept = holders.wanted
        while holders.wanted in (None, slept):
            _sleep(0.001)


@contextmanager
def unseen_by_the_hound() -> Iterator[None]:
    """The worker's own hound does not report this request, however long a machine takes here."""
    record = current()
    if record is None:
        yield
        return
    record.slow_after = float("inf")
    try:
        yield
    finally:
        record.slow_after = None


def forget_looks() -> None:
    """For a view that stands still from here on, and is stuck by all looks there are.

    What was seen before, where a machine takes long to get here, would make it slow.
    """
    record = current()
    if record is not None:
        until_the_hound_sleeps()
        record.samples = None


def _size(call: Callable[[int], object], small: int) -> int:
    """With which number `call` takes as long as a step; `small` takes some milliseconds."""
    begun = time.thread_time()
    call(small)
    return max(int(small * STEP / (time.thread_time() - begun)), 1)


def until_seen(name: str, steps: Iterable[object]) -> Iterator[bool]:
    """Makes the steps, and after each looks whether the test has made its file; True when it has.

    With steps in C, too, `any` of it runs no bytecode, and keeps the GIL until the test ends it.
    """
    access = ctypes.PyDLL(None).access
    path = os.fsencode(SCRATCH / f"{name}.seen")
    looks = zip(steps, map(access, repeat(path), repeat(0)), strict=False)
    return map(not_, map(itemgetter(1), looks))


def _pairs(count: int) -> list[tuple[tuple[int, ...], int]]:
    """Sorted slowly: two neighbours are equal up to the last number, and not the same object."""
    equal = [tuple([0] * 20_000) for _ in range(2)]
    return [(equal[number % 2], number) for number in range(count)]


@unseen_by_the_hound()
def sort(_request: HttpRequest, name: str) -> HttpResponse:
    pairs = _pairs(_size(lambda count: sorted(_pairs(count)), 50))
    steps = until_seen(name, map(sorted, repeat(pairs, MOST_STEPS)))
    begun(name)
    any(steps)  # mark: sort
    return HttpResponse("sorted")


@unseen_by_the_hound()
def regex(_request: HttpRequest, name: str) -> HttpResponse:
    """Catastrophic: each of the words is tried in all the ways to part it."""
    tried = re.compile(r"(a+)+$")
    word = "a" * 12 + "b"
    text = word * _size(lambda words: tried.search(word * words), 5)
    steps = until_seen(name, map(tried.search, repeat(text, MOST_STEPS)))
    begun(name)
    any(steps)  # mark: regex
    return HttpResponse("no match")


def powers(name: str) -> Iterator[bool]:
    """Powers of large numbers, one after the other, until the test has made its file."""
    modulus = (1 << 20_000) - 3
    exponent = (1 << _size(lambda bits: pow(3, (1 << bits) - 1, modulus), 30)) - 1
    raised = map(pow, repeat(3, MOST_STEPS), repeat(exponent), repeat(modulus))
    return until_seen(name, raised)


@unseen_by_the_hound()
def power(_request: HttpRequest, name: str) -> HttpResponse:
    steps = powers(name)
    begun(name)
    any(steps)  # mark: power
    until_the_hound_has_run()  # whose hold it was can be told while the request is there
    return HttpResponse("raised")


def _native_until_seen(name: str) -> None:
    """Nothing but looks for the test's file."""
    any(until_seen(name, repeat(None, MOST_LOOKS)))  # mark: native


@unseen_by_the_hound()
def native(_request: HttpRequest, name: str) -> HttpResponse:
    """Burns CPU until the test makes a file."""
    begun(name)
    _native_until_seen(name)
    until_the_hound_has_run()
    return HttpResponse("let go")


def native_later(_request: HttpRequest, name: str) -> HttpResponse:
    """The same from a moment that the test chooses and learns of, and it is seen nowhere else."""
    go = os.fsencode(SCRATCH / f"{name}.go")
    held = partial(ctypes.PyDLL(None).creat, os.fsencode(SCRATCH / f"{name}.held"), 0o600)
    burn = partial(any, until_seen(name, repeat(None, MOST_LOOKS)))
    while not os.access(go, os.F_OK):
        time.sleep(0.01)
    list(map(call, (held, burn)))
    return HttpResponse("let go")


@unseen_by_the_hound()
def lock(_request: HttpRequest, name: str) -> HttpResponse:
    """Waits with the GIL for a lock of the test's."""
    with (SCRATCH / f"{name}.lock").open() as locked:
        begun(name)
        ctypes.PyDLL(None).flock(locked.fileno(), fcntl.LOCK_EX)  # mark: lock
    return HttpResponse("locked")


def wait_looked_at(record: Record) -> None:
    """Until the worker's box has a stack of this view; the first look may be of before it."""
    forget_looks()
    while len(record.samples or ()) < 3:
        time.sleep(0.01)


def lock_when(_request: HttpRequest, state: str, name: str) -> HttpResponse:
    """The same, once the hound has seen this request, or reported it."""
    record = current()
    assert record is not None
    with (
        unseen_by_the_hound() if state == "seen" else nullcontext(),
        (SCRATCH / f"{name}.lock").open() as locked,
    ):
        if state == "seen":
            wait_looked_at(record)
        while state == "reported" and record.slow is None:
            time.sleep(0.01)
        begun(name)
        ctypes.PyDLL(None).flock(locked.fileno(), fcntl.LOCK_EX)
    return HttpResponse("locked")


def in_background(_request: HttpRequest, name: str) -> HttpResponse:
    """A thread that is no request's holds the GIL as soon as the test wishes."""

    def hold() -> None:
        (SCRATCH / f"{name}.thread").write_text(f"{threading.get_native_id()}\n")
        wait_at(name)
        until_the_hound_sleeps()
        _native_until_seen(name)
        for record in snapshot_in_flight():
            record.slow_after = None
        wait_at(f"{name}-over")  # one that has ended is not named

    threading.Thread(target=hold, name="nightly-import", daemon=True).start()
    return HttpResponse("started")


def beside(_request: HttpRequest, name: str) -> HttpResponse:
    """Waits at a gate; the worker's own hound looks away until such a thread has let go."""
    record = current()
    assert record is not None
    record.slow_after = float("inf")
    wait_at(name)
    return HttpResponse("waited")


def sleeps(_request: HttpRequest, name: str) -> HttpResponse:
    """Waits for the test in one system call without the GIL, for which it does not ask."""
    with (SCRATCH / f"{name}.lock").open() as locked:
        begun(name)
        forget_looks()
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
