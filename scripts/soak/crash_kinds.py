"""Bytecode that runs for a second inside one C call, without releasing the GIL.

A generator that C resumes, and a generator function that C calls, pass none of the places where
CPython 3.11 to 3.13 checks whether another thread wants the GIL. So a thread that has held the GIL
for a second is not always in C code: a signal handler that read its frames crashed the process
(SIGSEGV) in some 3 of 100 cases. Exports to CSV are such work.
"""

from __future__ import annotations

import csv
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from kinds import Kind

# Each level makes the list shorter for the same time, so that it does not take a gigabyte.
LEVELS = 8


def flatten(n: int) -> Iterator[int]:
    yield from range(n)


def two(n: int) -> Iterator[int]:
    yield from flatten(n)


def three(n: int) -> Iterator[int]:
    yield from two(n)


def nested(depth: int, n: int) -> Iterator[int]:
    yield from nested(depth - 1, n) if depth else itertools.repeat(7, n)


def rows(data: Iterable[Any]) -> Iterator[Any]:
    yield from data


def pairs(n: int) -> Iterator[tuple[int, int]]:
    yield from itertools.repeat((1, 2), n)


def same(n: int) -> Iterator[int]:
    yield from itertools.repeat(7, n)


def one(value: int) -> Iterator[int]:
    yield value


def with_keywords(x: int, y: int = 1, *, z: int = 2) -> Iterator[Callable[[], int]]:
    yield lambda: x  # so that its frame has a cell


def _csv(n: int) -> int:
    # Writing to a file would release the GIL.
    csv.writer(SimpleNamespace(write=len)).writerows(rows([("a", 1, 2.5)] * n))
    return n


def _map(function: Callable[[int], object], n: int) -> int:
    deque(map(function, range(n)), maxlen=0)
    return n


def _sum(n: int) -> int:
    return n * (n - 1) // 2


def _same(n: int) -> int:
    return n


def _kind(name: str, work: Callable[[int], object], answer: Callable[[int], object]) -> Kind:
    return Kind(name, work, answer, passes=200_000, seconds=(1.15, 1.4), crash=True)


KINDS = (
    _kind("sum", lambda n: sum(flatten(n)), _sum),
    _kind("three", lambda n: sum(three(n)), _sum),
    _kind("mapgen", lambda n: _map(one, n), _same),
    _kind("list", lambda n: len(list(nested(LEVELS, n))), _same),
    _kind("csv", _csv, _same),
    _kind("dict", lambda n: len(dict(pairs(n))), lambda n: 1),
    _kind("set", lambda n: len(set(same(n))), lambda n: 1),
    _kind("kw", lambda n: _map(with_keywords, n), _same),
)
