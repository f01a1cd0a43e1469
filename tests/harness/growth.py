"""How much more work n, 2n, 4n characters are."""

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

# Work goes with n to this power. Twice as much for twice as many is 1; a search that begins anew at
# each of n places is 2. From n = 64 to 256 what is bounded by 100 looks like 1.7, from there 1.1.
STEEP = 1.5
SMALL, UNITS = 64, 8
# Steps at 4n that are too many, whatever the slope; and texts that are as bad as any more of them.
MOST, ENOUGH = 300_000, 3
# Steps a character, half of what it takes to read on to the end from each of 4 * UNITS units.
FLAT = UNITS


class Work(NamedTuple):
    """What one text took at n, 2n and 4n characters, or at n, 4n and 16n: steps, or seconds."""

    attack: Attack
    sizes: list[int]
    took: list[float]
    since: int = 0

    @property
    def slope(self) -> float:
        """The power of n that the work goes with, from the size ``since`` to the largest."""
        many, few = self.sizes[-1], self.sizes[self.since]
        return log(self.took[-1] / self.took[self.since]) / log(many / few)

    def __str__(self) -> str:
        pairs = zip(self.sizes, self.took, strict=True)
        took = ", ".join(f"{size:,}: {each:,.4g}" for size, each in pairs)
        return f"n^{self.slope:.1f} for {self.attack} ({took})"


class Judged(NamedTuple):
    """What became of the texts for one pattern: those that take long, and those that take n²."""

    busy: list[Work]
    steep: list[Work]


def judged(pattern: Pattern, given: list[Attack]) -> Judged:
    """Counts the steps of each text; a few that are too steep are enough."""
    counted, busy, steep = Counted(pattern.text, pattern.flags), [], []
    for attack in given:
        found = steps_of(pattern, counted, attack)
        if found is not None:
            (steep if found.slope >= STEEP or found.took[1] > MOST else busy).append(found)
        if len(steep) == ENOUGH:
            break
    return Judged(sorted(busy, key=lambda each: -each.took[-1] / each.sizes[-1]), steep)


def steps_of(pattern: Pattern, counted: Counted, attack: Attack) -> Work | None:
    """The steps at n and 4n; where that is steep, at 16n as well: bounds may lie above n.

    None for a text that takes so few that there is nothing to compare.
    """
    size = max(SMALL, len(attack.unit + attack.then) * UNITS) + len(attack.head + attack.tail)
    texts = [attack.text(each) for each in (size, 4 * size, 16 * size)]
    counted.allowed = MOST
    most = _steps(counted, texts[1], pattern.way)
    if most <= FLAT * len(texts[1]):
        return None
    few = _steps(counted, texts[0], pattern.way)
    found = Work(attack, [*map(len, texts[:2])], [few, most])
    if found.slope < STEEP or most > MOST:
        return found
    # Where it takes more than this it is as steep as it was.
    counted.allowed = int(most * (len(texts[2]) / len(texts[1])) ** STEEP) + 1
    more = _steps(counted, texts[2], pattern.way)
    if more > counted.allowed:
        return found
    return Work(attack, [*map(len, texts)], [few, most, more], 1)


def _steps(counted: Counted, text: str, way: str) -> int:
    with suppress(TooManyStepsError):
        counted.spans(text, way)
    return counted.steps


# For time, which other programs on the machine lengthen still. What is below the first is not
# steep; what is above it is measured with longer texts, where n² outweighs what is linear.
PERHAPS, STEEP_IN_TIME = 1.3, 1.6
LEAST = 2e-4  # seconds; in less, what happens once for each text is much of it
LARGEST = 16_000
TIMES, TRIES = 5, 4
LONG, ENDLESS = 0.02, 0.3  # what takes longer is not done as often, or only once


def seconds(function: Callable[[Any], object], given: Any, times: int = 1) -> float:
    """The shortest of so many times; of this thread's own, however many others there are."""
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
    """The seconds at n and 4n. A slope that is not there again in one of four tries is noise."""
    while size < LARGEST and seconds(function, attack.text(size), 2) < LEAST:
        size *= 2
    found = _time_of(function, attack, size, PERHAPS)
    if found.slope < PERHAPS or size > LARGEST // 4:
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
