"""What the application's signal handlers raise inside slowhound is not slowhound's failure."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from slowhound.runtime.foreign import is_foreign
from tests.unit.runtime.strikes import TIMES, TooLong, busy, raised_by, ring, struck


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGALRM is as it was afterwards."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


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


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("number", range(len(HANDLERS)))
def test_what_a_signal_handler_raises_is_the_applications(number: int) -> None:
    """Wherever it strikes, and whatever the handler is."""

    def limited() -> None:
        signal.signal(signal.SIGALRM, HANDLERS[number])
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        busy()

    assert all(is_foreign(struck(limited)) for _ in range(TIMES))


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

    assert all(is_foreign(struck(limited)) for _ in range(TIMES))


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

    def limited() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        busy()

    assert is_foreign(struck(limited))
