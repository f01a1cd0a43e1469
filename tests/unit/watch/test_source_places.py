"""The call or ``with`` that a frame is at, found by its code object."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from slowhound.watch.source_places import held, waited_for

seen: list[tuple[str | None, list[str]]] = []


def note() -> None:
    """Records where its caller is."""
    frame = sys._getframe(1)
    at = waited_for(frame)
    seen.append((at and at.text, [each.text for each in held(frame)]))


class Lock:
    """Records where the frame is that enters it or calls it."""

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner

    def acquire(self, timeout: float = 1.0) -> bool:
        self._note()
        return True

    wait = acquire

    def other(self) -> None:
        self._note()

    def _note(self) -> None:
        frame = sys._getframe(2)
        at = waited_for(frame)
        seen.append((at and at.text, [each.text for each in held(frame)]))

    def __enter__(self) -> Self:
        self._note()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


a, b, ähnlich = Lock(), Lock(Lock()), Lock()  # noqa: PLC2401  columns are counted in bytes
LOCKS = {"x": Lock()}


def one_after_the_other() -> None:
    with a:
        note()
    note()


def several_items() -> None:
    with a as first, b.inner as second:
        first.acquire(timeout=2)
        second.other()


def on_several_lines() -> None:
    with (
        a,
        b.inner,
    ):
        a.acquire(
            timeout=3,
        )


def within_others() -> None:
    for _ in range(1):
        try:
            with a:
                try:
                    with ähnlich:
                        raise KeyError
                except KeyError:
                    note()
        finally:
            note()


def by_a_call_and_an_item() -> None:
    with contextlib.nullcontext(a), LOCKS["x"]:
        LOCKS["x"].acquire()


def a_generator() -> None:
    def numbers() -> Iterator[int]:
        with a:
            note()
            yield 1

    list(numbers())


def a_comprehension_and_a_lambda() -> None:
    with b:
        _ = [a.wait() for _ in "x"]
        (lambda: ähnlich.wait())()  # noqa: PLC3002, PLW0108


def an_async_with() -> None:
    async def waits() -> None:
        async with a:
            with b:
                note()

    asyncio.run(waits())


CASES: list[tuple[Callable[[], None], list[tuple[str | None, list[str]]]]] = [
    (one_after_the_other, [("a", []), (None, ["a"]), (None, [])]),
    (
        several_items,
        [
            ("a", []),
            ("b.inner", ["a"]),
            ("first", ["b.inner", "a"]),
            (None, ["b.inner", "a"]),
        ],
    ),
    (on_several_lines, [("a", []), ("b.inner", ["a"]), ("a", ["b.inner", "a"])]),
    (within_others, [("a", []), ("ähnlich", ["a"]), (None, ["a"]), (None, [])]),
    (
        by_a_call_and_an_item,
        [
            ('LOCKS["x"]', ["contextlib.nullcontext(a)"]),
            ('LOCKS["x"]', ['LOCKS["x"]', "contextlib.nullcontext(a)"]),
        ],
    ),
    (a_generator, [("a", []), (None, ["a"])]),
]


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


@pytest.mark.parametrize(("case", "expected"), CASES, ids=[case.__name__ for case, _ in CASES])
def test_lock_that_is_waited_for_and_locks_that_are_held(
    case: Callable[[], None], expected: list[tuple[str | None, list[str]]]
) -> None:
    """In the order in which the statements run."""
    case()
    assert seen == expected


def test_comprehension_and_lambda() -> None:
    """The former is a frame of its own up to Python 3.11, the latter always."""
    a_comprehension_and_a_lambda()
    inline = sys.version_info >= (3, 12)
    assert seen == [("b", []), ("a", ["b"] if inline else []), ("ähnlich", [])]


def test_async_with_does_no_harm() -> None:
    """What it holds may be found or not; what a plain one holds is."""
    an_async_with()
    assert seen[0][0] == "b"
    assert seen[1][1][0] == "b"


def test_traced_code_is_understood() -> None:
    """A debugger or a measurement of coverage changes how the code runs, not what it is."""
    before = sys.gettrace()
    sys.settrace(lambda *_: sys.gettrace())
    try:
        several_items()
    finally:
        sys.settrace(before)
    assert seen == CASES[1][1]


def test_long_function_is_understood(tmp_path: Path) -> None:
    """Jumps and names beyond 255 take instructions of their own."""
    many = "".join(f"    name{number} = {number}.5\n" for number in range(400))
    source = tmp_path / "long.py"
    text = (
        f"def long(a, b):\n{many}    with a:\n        if True:\n"
        + "".join(f"            late{number} = {number}.5\n" for number in range(400))
        + "            b.acquire()\n"
    )
    source.write_text(text)
    names: dict[str, Any] = {}
    exec(compile(text, str(source), "exec"), names)
    names["long"](Lock(), Lock())
    assert seen == [("a", []), ("b", ["a"])]


@pytest.mark.parametrize(
    "text", [None, "", "def f(a):\n", "x" * 500, "\n" * 50, "def f(a):\n  ö\n"]
)
def test_source_that_is_not_what_runs_is_no_failure(tmp_path: Path, text: str | None) -> None:
    """It is gone, shorter, or another text: then there is no text, or a wrong one."""
    source = tmp_path / "f.py"
    if text is not None:
        source.write_text(text)
    names: dict[str, Any] = {}
    exec(compile("def f(a):\n    with a:\n        a.acquire()\n", str(source), "exec"), names)
    names["f"](Lock())
    assert len(seen) == 2
