"""Which signals a process handles, as its kernel says."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator

import pytest

from slowhound.runtime.signal_handlers import caught_signals


@pytest.fixture
def _given_back() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR2, before)


@pytest.mark.usefixtures("_given_back")
def test_handler_in_python_or_in_c_is_seen_and_what_is_ignored_is_not() -> None:
    """Python itself does not know of the one that a library has set."""
    assert signal.SIGUSR2 not in (caught_signals() or ())
    signal.signal(signal.SIGUSR2, lambda *_: None)
    assert signal.SIGUSR2 in (caught_signals() or ())
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    assert signal.SIGUSR2 not in (caught_signals() or ())
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal(int(signal.SIGUSR2), ctypes.cast(libc.abs, ctypes.c_void_p))
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
    assert signal.SIGUSR2 in (caught_signals() or ())


def test_kernel_that_does_not_say_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there is no /proc."""

    def missing(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert caught_signals() is None
