"""The kinds of work that the site's view does, and how large each must be on this machine.

``work(n)`` runs in a worker; ``answer(n)`` is its right result, computed without the work.
"""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Kind:
    """One kind of work.

    ``sizes`` are the smallest and the largest size of a request. For a kind with ``passes`` they
    are computed at the start: that many passes are timed, to find how many take ``seconds`` of CPU.
    """

    name: str
    work: Callable[[int], object]
    answer: Callable[[int], object]
    sizes: tuple[int, int] = (1, 1)
    passes: int = 0
    seconds: tuple[float, float] = (0.3, 0.8)
    weight: int = 4  # how often, beside others that are not ``crash``
    crash: bool = False  # one C call that keeps the GIL and runs bytecode; crashed workers once
    native: bool = False  # the result is how often it got EINTR
    package: str = ""  # what must be installed


class Sized(NamedTuple):
    """A kind, and its smallest and largest size."""

    kind: Kind
    smallest: int
    largest: int

    def choose(self, chance: random.Random) -> int:
        """A size for one request."""
        return chance.randint(self.smallest, self.largest)


def every_kind() -> list[Kind]:
    """All kinds, whether their package is installed or not."""
    import crash_kinds
    import native_kinds
    import package_kinds
    import python_kinds

    return [
        *crash_kinds.KINDS,
        *python_kinds.KINDS,
        *native_kinds.KINDS,
        *package_kinds.KINDS,
    ]


def usable(kinds: Iterable[Kind]) -> dict[str, Kind]:
    """The kinds whose package can be imported here, by name."""
    return {kind.name: kind for kind in kinds if _has_package(kind)}


def _has_package(kind: Kind) -> bool:
    try:
        importlib.import_module(kind.package or "sys")
    except ImportError:
        return False
    return True


def calibrate(kind: Kind) -> Sized:
    """How many passes take ``kind.seconds`` here; the fastest of three tries counts."""
    if not kind.passes:
        return Sized(kind, *kind.sizes)
    took = min(_time(kind) for _ in range(3))
    low, high = (max(1, round(seconds * kind.passes / took)) for seconds in kind.seconds)
    return Sized(kind, low, high)


def _time(kind: Kind) -> float:
    start = time.thread_time()
    given = kind.work(kind.passes)
    took = time.thread_time() - start
    if given != kind.answer(kind.passes):
        raise RuntimeError(f"{kind.name}: {given!r} instead of {kind.answer(kind.passes)!r}")
    return max(took, 1e-6)
