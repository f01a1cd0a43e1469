"""The ways to a stack of another process while its GIL is held, in the order they are tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from slowhound.gil import py_spy, remote_unwinder
from slowhound.gil.reading import NotRead, Reader, Reading


class _Way(NamedTuple):
    """``read`` and ``ask`` do the same, but ``ask`` says why it cannot."""

    name: str
    read: Reader
    ask: Callable[[int, str], Reading]


_PYTHONS_OWN = _Way("Python's own reader", remote_unwinder.read, remote_unwinder.ask)
_PY_SPY = _Way("py-spy", py_spy.read, py_spy.ask)

# A worker starts no process to read another one.
IN_A_WORKER: tuple[Reader, ...] = (_PYTHONS_OWN.read,)
ELSEWHERE: tuple[Reader, ...] = (_PYTHONS_OWN.read, _PY_SPY.read)


def telling(reasons: list[str]) -> tuple[Reader, ...]:
    """The ways of ``ELSEWHERE``; each that fails adds to ``reasons`` why, on a line."""

    def reader(way: _Way) -> Reader:
        def read(pid: int, python: str) -> Reading | None:
            try:
                return way.ask(pid, python)
            except NotRead as why:
                reasons.append(f"{way.name}: {why}")
                return None

        return read

    return reader(_PYTHONS_OWN), reader(_PY_SPY)
