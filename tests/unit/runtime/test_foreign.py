"""Whose exception it is: raised by the real thing, into code that does something else."""

from __future__ import annotations

import ast
import ctypes
import functools
import json
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest
from psycopg import pq

import slowhound
from slowhound.runtime.foreign import is_foreign

SOURCE = Path(slowhound.__file__).parent
TIMES = 30


class TooLong(Exception):
    """Of an application."""


def busy() -> None:
    """Calls, loops and functions, where CPython checks for signals and other threads."""
    count = 0
    while True:
        count += len(str(count))
        time.monotonic()
        list(range(3))


def ring(*_: object) -> None:
    raise TooLong


def ring_with_text(signum: int, frame: object) -> None:
    raise TimeoutError("of the application")


def ring_below(signum: int, frame: object) -> None:
    ring()


class Handler:
    """One that is no function."""

    def __call__(self, signum: int, frame: object) -> None:
        raise TooLong

    def method(self, signum: int, frame: object) -> None:
        raise ValueError("of the application")


HANDLERS = (
    ring,
    ring_with_text,
    ring_below,
    Handler(),
    Handler().method,
    functools.partial(lambda kept, signum, frame: ring(kept), "kept"),
    functools.wraps(ring)(lambda *args: ring(args[1], *args)),
)


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGALRM is as it was afterwards."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def raised_by(call: Callable[[], object]) -> Exception:
    """What comes out of a call, as a guard catches it."""
    try:
        call()
    except Exception as exc:
        return exc
    raise AssertionError("nothing was raised")


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("number", range(len(HANDLERS)))
def test_what_a_signal_handler_raises_is_the_applications(number: int) -> None:
    """Wherever it strikes, and whatever the handler is."""

    def limited() -> None:
        signal.signal(signal.SIGALRM, HANDLERS[number])
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        busy()

    assert all(is_foreign(raised_by(limited)) for _ in range(TIMES))


def over() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    raise TooLong("over")


def once(signum: int, frame: object) -> None:
    over()


def once_without_cycle(signum: int, frame: object) -> None:
    del frame
    over()


def once_without_anything(signum: int, frame: object) -> None:
    del signum, frame
    over()


def once_with_nothing(signum: int, frame: object) -> None:
    frame = None  # noqa: F841
    over()


def once_outwards(signum: int, frame: FrameType | None) -> None:
    while frame is not None:
        frame = frame.f_back
    over()


def once_of_any(*given: object) -> None:
    del given
    over()


def given_the_number(handler: Callable[[int], None]) -> Callable[[int, object], None]:
    """Decorator that passes only the number on."""

    def wrapper(signum: int, frame: object) -> None:
        del frame
        handler(signum)

    return wrapper


@given_the_number
def once_by_number(signum: int) -> None:
    over()


class Once:
    def __call__(self, signum: int, frame: object) -> None:
        def later() -> object:
            return frame  # noqa: F821  it is a variable of both

        del frame
        over()


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize(
    "handler",
    [
        once,
        once_without_cycle,
        once_without_anything,
        once_with_nothing,
        once_outwards,
        once_of_any,
        once_by_number,
        Once(),
        functools.partial(lambda kept, *given: once_of_any(*given), "kept"),
    ],
)
def test_handler_that_was_taken_away_meanwhile_is_known(
    handler: Callable[[int, FrameType | None], None],
) -> None:
    """As where a time limit restores the one before it raises; with what it was given, or not."""

    def limited() -> None:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        busy()

    assert all(is_foreign(raised_by(limited)) for _ in range(TIMES))


def traced(function: Callable[..., None]) -> Callable[..., None]:
    """Decorator: the code of what it makes is always the same."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)

    return wrapper


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("given", [(), ("a line",), (signal.SIGALRM, "a line")])
def test_what_shares_the_code_of_a_handler_is_none(given: tuple[Any, ...]) -> None:
    """A handler and a function that logs, say, which the same decorator has made."""
    signal.signal(signal.SIGALRM, traced(ring))
    log = traced(ring)
    assert not is_foreign(raised_by(lambda: log(*given)))
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    assert is_foreign(raised_by(busy))


class SaysSo(Exception):
    def __init__(self, value: str = "Timed out") -> None:
        super().__init__(value)


class SaysAll(Exception):
    def __init__(self, *args: Any, code: int = 1, **kwargs: Any) -> None:
        super().__init__("Task exceeded its time", code)


class SaysWhenMade(Exception):
    def __new__(cls) -> Self:
        return super().__new__(cls, "Timed out")


@pytest.mark.parametrize("kind", [TooLong, ValueError, TimeoutError, SaysSo, SaysAll, SaysWhenMade])
def test_asynchronous_exception_is_the_applications(kind: type[Exception]) -> None:
    """As pytest-timeout, gunicorn's threads and many a job queue end what runs for too long."""
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    for _ in range(TIMES):
        caught: list[Exception] = []
        begun = threading.Event()

        def work() -> None:
            begun.set()  # noqa: B023
            caught.append(raised_by(busy))  # noqa: B023

        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        while not caught:
            raise_in(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(kind))
            thread.join(0.01)
        thread.join()
        assert is_foreign(caught[0])


def throw_into_a_generator(exc: Exception) -> None:
    """As whoever runs a coroutine does."""

    def generator() -> Iterator[int]:
        yield 1

    going = generator()
    next(going)
    going.throw(exc)  # type: ignore[attr-defined]


OWN: tuple[Callable[[], object], ...] = (
    lambda: int("no number"),
    lambda: {}["key"],
    lambda: {}.pop("key"),
    lambda: next(iter(())),
    lambda: queue.SimpleQueue().get_nowait(),
    lambda: queue.Queue().get_nowait(),
    lambda: object().nothing,  # type: ignore[attr-defined]
    ring,
    lambda: open("/nonexistent/file"),  # noqa: SIM115
    lambda: throw_into_a_generator(ValueError("text")),
    lambda: 1 / 0,
    lambda: bytes(-1),
    lambda: json.loads("[1,"),
    b"\xff".decode,
)


def test_failure_of_code_in_cython_is_told_from_those() -> None:
    """Psycopg's, which has made up a frame that stands at the beginning of a function."""
    connection = pq.PGconn.connect(b"host=/nonexistent")
    assert not is_foreign(raised_by(lambda: connection.exec_(b"SELECT 1")))


@pytest.mark.parametrize("number", range(len(OWN)))
def test_failure_of_ones_own_is_told_from_those(number: int) -> None:
    """Raised by Python, with and without arguments, or by C."""
    assert not is_foreign(raised_by(OWN[number]))


def test_recursion_without_end_is_ones_own() -> None:
    """It is raised where a function begins."""

    def deeper() -> None:
        deeper()

    assert not is_foreign(raised_by(deeper))


def test_what_ends_a_process_or_a_task_is_never_ones_own() -> None:
    """``SystemExit``, ``CancelledError``, gevent's Timeout."""
    assert is_foreign(SystemExit())


GEVENT = """
import gevent, sys, time
from gevent import monkey
monkey.patch_all()
import threading
from slowhound.runtime.foreign import is_foreign

class Mine(Exception): pass

lock = threading.Lock()
lock.acquire()
for wait in (lambda: time.sleep(60), lock.acquire, lambda: gevent.event.Event().wait()):
    for exc in (Mine, Mine("text"), ValueError("text")):
        try:
            with gevent.Timeout(0.01, exc):
                wait()
        except Exception as caught:
            print(is_foreign(caught))
"""


def test_what_gevent_throws_is_the_applications() -> None:
    """``gevent.Timeout(seconds, exception)`` raises any exception in whatever waits."""
    done = subprocess.run(
        [sys.executable, "-c", GEVENT], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True"] * 9


# A guard of a module, or of an object.
ASKS = re.compile(r"\b(?:self\.)?_\w+\.failed\(")


def handlers_of_failures() -> Iterator[tuple[str, ast.ExceptHandler]]:
    """The except clauses of the source that ask a guard."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and ASKS.search(ast.unparse(node)):
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", node


def test_each_guard_that_is_written_out_raises_on_what_is_not_its_own() -> None:
    """Its first statement asks, and raises."""
    found = dict(handlers_of_failures())
    assert len(found) > 10
    for where, node in found.items():
        first = node.body[0]
        assert isinstance(first, ast.If), where
        assert ".failed(" in ast.unparse(first.test), where
        assert isinstance(first.body[-1], ast.Raise), where


def test_ten_failures_count_only_in_a_row() -> None:
    """Where a part can be off, whatever asks its guard also forgets, when it succeeds."""
    asked = []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        if "_guard.off" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and "_guard.failed(" in ast.unparse(node):
                asked.append(f"{path.name}:{node.name}")
                assert "_guard.streak = 0" in ast.unparse(node), asked[-1]
    assert "middleware.py:_before" in asked
