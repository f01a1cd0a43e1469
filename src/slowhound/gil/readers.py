"""Lists the ways to read a stack of another process while its GIL is held."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from slowhound.gil import py_spy, remote_unwinder
from slowhound.gil.reading import NotRead, Reader, Reading


class _Way(NamedTuple):
    """``read_or_raise`` does the same as ``read``, and raises the reason why it cannot."""

    name: str
    read: Reader
    read_or_raise: Callable[[int, str], Reading]


_PYTHONS_OWN = _Way("Python's own reader", remote_unwinder.read, remote_unwinder.read_or_raise)
_PY_SPY = _Way("py-spy", py_spy.read, py_spy.read_or_raise)

# In the order in which they are tried. A worker starts no process to read another one.
IN_A_WORKER: tuple[Reader, ...] = (_PYTHONS_OWN.read,)
ELSEWHERE: tuple[Reader, ...] = (_PYTHONS_OWN.read, _PY_SPY.read)


def with_reasons(reasons: list[str]) -> tuple[Reader, ...]:
    """The ways of ``ELSEWHERE``; each that fails adds its reason to ``reasons``, on a line."""

    def reader(way: _Way) -> Reader:
        def read(pid: int, python: str) -> Reading | None:
            try:
                return way.read_or_raise(pid, python)
            except NotRead as why:
                reasons.append(f"{way.name}: {why}")
                return None

        return read

    return reader(_PYTHONS_OWN), reader(_PY_SPY)
