"""Measures how the work of a pattern grows with n, 2n and 4n characters."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from math import log
from typing import Any, NamedTuple

from tests.harness.counted_regex import Counted, TooManyStepsError
from tests.harness.patterns import Pattern
from tests.harness.regex_attacks import Attack

# Work grows with n to this power: 1 is twice as much for twice as many characters; a search that
# begins again at each of n places is 2. A part that is bounded by 100 characters measures as 1.7
# from n = 64 to 256, and as 1.1 from there on.
STEEP = 1.5
SMALL, UNITS = 64, 8
# Steps at 4n that are too many, whatever the slope; and the number of bad texts that is enough.
MOST_STEPS, ENOUGH_TEXTS = 300_000, 3
# Steps a character: half of what it takes to read to the end from each of 4 * UNITS units.
FLAT = UNITS


class Work(NamedTuple):
    """The steps or seconds of one text at n, 2n and 4n characters, or at n, 4n and 16n."""

    attack: Attack
    sizes: list[int]
    took: list[float]
    since: int = 0

    @property
    def slope(self) -> float:
        """The power of n with which the work grows, from the size ``since`` to the largest."""
        many, few = self.sizes[-1], self.sizes[self.since]
        return log(self.took[-1] / self.took[self.since]) / log(many / few)

    def __str__(self) -> str:
        pairs = zip(self.sizes, self.took, strict=True)
        took = ", ".join(f"{size:,}: {each:,.4g}" for size, each in pairs)
        return f"n^{self.slope:.1f} for {self.attack} ({took})"


class Judged(NamedTuple):
    """The texts of one pattern that take many steps, and those that take n²."""

    busy: list[Work]
    steep: list[Work]


def judged(pattern: Pattern, given: list[Attack]) -> Judged:
    """Counts the steps of each text; stops after a few that are too steep."""
    counted, busy, steep = Counted(pattern.text, pattern.flags), [], []
    for attack in given:
        found = steps_of(pattern, counted, attack)
        if found is not None:
            (steep if found.slope >= STEEP or found.took[1] > MOST_STEPS else busy).append(found)
        if len(steep) == ENOUGH_TEXTS:
            break
    return Judged(sorted(busy, key=lambda each: -each.took[-1] / each.sizes[-1]), steep)


def steps_of(pattern: Pattern, counted: Counted, attack: Attack) -> Work | None:
    """The steps at n and 4n; where that is steep, also at 16n, for a bound may be above n.

    None for a text that takes too few steps to compare.
    """
    size = max(SMALL, len(attack.unit + attack.then) * UNITS) + len(attack.head + attack.tail)
    texts = [attack.text(each) for each in (size, 4 * size, 16 * size)]
    counted.allowed = MOST_STEPS
    most = _steps(counted, texts[1], pattern.way)
    if most <= FLAT * len(texts[1]):
        return None
    few = _steps(counted, texts[0], pattern.way)
    found = Work(attack, [*map(len, texts[:2])], [few, most])
    if found.slope < STEEP or most > MOST_STEPS:
        return found
    # More steps than this mean that the slope stays as it was.
    counted.allowed = int(most * (len(texts[2]) / len(texts[1])) ** STEEP) + 1
    more = _steps(counted, texts[2], pattern.way)
    if more > counted.allowed:
        return found
    return Work(attack, [*map(len, texts)], [few, most, more], 1)


def _steps(counted: Counted, text: str, way: str) -> int:
    with suppress(TooManyStepsError):
        counted.spans(text, way)
    return counted.steps


# For time, which other programs on the machine make longer. A slope below the first is not steep;
# one above it is measured again with longer texts, where n² outweighs the linear part.
PERHAPS, STEEP_IN_TIME = 1.3, 1.6
LEAST_SECONDS = 2e-4  # in less time, the constant work for each text is a large part
LARGEST_TEXT = 16_000
TIMES, TRIES = 5, 4
LONG, ENDLESS = 0.02, 0.3  # seconds; longer calls are repeated less often, or not at all


def seconds(function: Callable[[Any], object], given: Any, times: int = 1) -> float:
    """The shortest time of several calls: CPU time of this thread, whatever other threads do."""
    best, enabled = float("inf"), gc.isenabled()
    gc.disable()
    try:
        for _ in range(times):
            began = time.thread_time()
            function(given)
            best = min(best, time.thread_time() - began)
    finally:
        if enabled:
            gc.enable()
    return best


def time_of(function: Callable[[str], object], attack: Attack, size: int = 1000) -> Work:
    """The seconds at n and 4n. A slope that one of four more tries does not confirm is noise."""
    while size < LARGEST_TEXT and seconds(function, attack.text(size), 2) < LEAST_SECONDS:
        size *= 2
    found = _time_of(function, attack, size, PERHAPS)
    if found.slope < PERHAPS or size > LARGEST_TEXT // 4:
        return found
    return _time_of(function, attack, 4 * size, STEEP_IN_TIME)


def _time_of(function: Callable[[str], object], attack: Attack, size: int, is_steep: float) -> Work:
    texts, best = [attack.text(each) for each in (size, 2 * size, 4 * size)], []
    for text in texts:
        best.append(seconds(function, text))
        if best[-1] > ENDLESS and len(best) > 1:
            break
    found = Work(attack, [len(text) for text in texts[: len(best)]], best)
    for _ in range(TRIES):
        if found.slope < is_steep or best[-1] > ENDLESS:
            break
        for at, text in enumerate(texts[: len(best)]):
            best[at] = min(best[at], seconds(function, text, TIMES if best[at] < LONG else 1))
    return found
