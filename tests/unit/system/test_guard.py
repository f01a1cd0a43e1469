"""The guard."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from slowhound.runtime.clocks import clock
from slowhound.system import guard as module
from slowhound.system.guard import MOST_FAILURES, Guard, guarded


@pytest.fixture(autouse=True)
def _quiet(_fresh: None) -> Iterator[None]:
    module.loud = False
    yield
    module.loud = True


def test_exception_is_caught_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The same failure twice is counted twice and logged once."""
    each = Guard("a part")
    with caplog.at_level(logging.WARNING, "slowhound"):
        for _ in range(2):
            with each:
                raise ValueError("bug")
    assert module.total == 2
    (said,) = caplog.messages
    assert said.startswith("slowhound: a part failed; requests are not affected\n  File ")


def test_log_shows_the_exception_with_what_it_came_of_and_without_secrets() -> None:
    """As a traceback does, and not by Python's: that parses source lines."""

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def fails() -> None:
        try:
            raise Unprintable
        except Unprintable as exc:
            raise ValueError(text) from exc

    text = "refused: password=hunter2\x1b"

    with pytest.raises(ValueError, match="refused") as caught:
        fails()
    said = module.shown(caught.value)
    assert __file__ in said
    assert "    raise ValueError(text) from exc\nValueError: refused: password=***" in said
    assert "hunter2" not in said
    assert "\x1b" not in said
    assert said.splitlines()[-1] == "Unprintable: (it has no text)"
    assert "Caused by:" in said


def test_deep_exception_is_shown_by_its_innermost_frames() -> None:
    """A recursion without end does not fill the log."""

    def deeper() -> None:
        deeper()

    with pytest.raises(RecursionError) as caught:
        deeper()
    said = module.shown(caught.value)
    assert said.count("in deeper") == module.MOST_LOGGED_FRAMES


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_exits_pass_through(kind: type[BaseException]) -> None:
    """What ends a worker is not slowhound's to catch."""
    with pytest.raises(kind), Guard("a part"):
        raise kind
    with pytest.raises(kind):
        guarded("another part")(lambda: (_ for _ in ()).throw(kind()))()


def test_part_that_keeps_failing_is_switched_off_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After MOST_FAILURES failures in a row the function is not called until the pause is over."""
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    calls = []

    @guarded("a part that fails")
    def fails() -> None:
        calls.append(1)
        raise ValueError

    for _ in range(MOST_FAILURES + 5):
        fails()
    assert len(calls) == MOST_FAILURES
    now[0] += module.OFF_FOR + 1
    fails()
    assert len(calls) == MOST_FAILURES + 1


def test_success_begins_the_count_again() -> None:
    """Failures that are not in a row switch nothing off."""
    outcome = iter(([1] * (MOST_FAILURES - 1) + [0]) * 3)

    @guarded("a part that sometimes fails")
    def sometimes() -> str:
        if next(outcome):
            raise ValueError
        return "fine"

    results = [sometimes() for _ in range(MOST_FAILURES * 3)]
    assert results.count("fine") == 3


def test_logging_handler_that_raises_is_survived() -> None:
    """An application whose log handler raises still gets its response."""

    class Raises(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("handler")

    logger = logging.getLogger("slowhound")
    handler = Raises()
    logger.addHandler(handler)
    try:
        with Guard("a part"):
            raise ValueError
    finally:
        logger.removeHandler(handler)
    assert module.total == 1


def test_loud_guard_raises() -> None:
    """In slowhound's own tests a bug is not hidden."""
    module.loud = True
    with pytest.raises(ValueError), Guard("a part"):
        raise ValueError
