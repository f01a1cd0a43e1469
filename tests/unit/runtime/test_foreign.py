"""Whose exception it is: raised by the real thing, into code that does something else."""

from __future__ import annotations

import ast
import ctypes
import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from psycopg import pq

import slowhound
from slowhound.runtime.foreign import is_foreign
from tests.unit.runtime.strikes import TIMES, TooLong, busy, raised_by, ring, struck

SOURCE = Path(slowhound.__file__).parent


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

        def limited() -> None:
            begun.set()  # noqa: B023
            busy()

        def work() -> None:
            caught.append(struck(limited))  # noqa: B023

        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        raise_in(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(kind))
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
from tests.unit.runtime.strikes import TIMES, TooLong, busy, raised_by, ring, struck

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
