"""What was read from outside takes the place of what was seen in the process, where it can.

Python 3.14 reads a stack only as far out as the last call from C into Python (a middleware's
``__call__``, an iterator's ``__next__``); 3.15 reads all of it. So each stack is put on to one that
was seen in the process at about that time, at the frame with which it begins. One that fits none is
torn, for memory is read while it changes, or cannot be placed: it is dropped, and counted.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from slowhound.flames.profile import State
from slowhound.flames.sampling.attribution import Entry, Samples
from slowhound.flames.sampling.external import Read
from slowhound.flames.sampling.stack_keys import Item, Key, of_stack
from slowhound.frames.frames import Frame, Stack
from slowhound.runtime.code_objects import Code, file_of, qualname_of
from slowhound.system.wait_states import ThreadState

# Seconds. The time between two looks is given half to each, for the reader waits for nobody; when
# it had no CPU for longer, that time is not its own to give.
LONGEST_HALF = 0.025
WHOLE_STACKS = sys.version_info >= (3, 15)
WAY = "remote"

Name = tuple[str, str]


def splice(samples: Samples, looks: Sequence[Read]) -> None:
    """Puts the looks from outside into ``samples``, which have ended."""
    inside = samples.entries
    begun = samples.begun - samples.started
    ended = samples.last - samples.started
    looks = [each._replace(at=each.at - samples.started) for each in looks]
    looks = [each for each in looks if begun < each.at < ended]
    if not inside or not looks:
        return
    places = _Places(inside, looks)
    found: list[Entry] = []
    longest = 0.0
    for number, look in enumerate(looks):
        key = places.key(look)
        if key is None:
            samples.unplaced += 1
            continue
        samples.read += 1
        start, end = _span(looks, number)
        if end <= start:
            continue  # a look alone, or two at one time: there is no time to put down to it
        longest = max(longest, end - start)
        state, waiting = places.state(look, key)
        found.append(Entry(end, end - start, key, state, waiting))
    rest = list(_outside_of(found, inside, begun))
    longest = max([longest, *(each.weight for each in rest)])
    samples.longest_gap = min(samples.longest_gap, longest)
    samples.entries = sorted(_joined(found) + rest, key=lambda each: each.at)
    samples.squares = _squares(found, samples, rest)


def _span(looks: Sequence[Read], number: int) -> tuple[float, float]:
    at = looks[number].at
    before = (at - looks[number - 1].at) / 2 if number else 0.0
    after = (looks[number + 1].at - at) / 2 if number + 1 < len(looks) else 0.0
    return at - min(before, LONGEST_HALF), at + min(after, LONGEST_HALF)


class _Places:
    """Where in the stacks seen in the process a stack from outside belongs."""

    def __init__(self, inside: Sequence[Entry], looks: Sequence[Read]) -> None:
        self._inside = inside
        self._ends = [entry.at for entry in inside]
        self._looks = looks
        self._times = [look.at for look in looks]
        self._names: dict[Key, list[Name]] = {}
        self._found: dict[tuple[Stack, Key], tuple[int, int] | None] = {}

    def _number(self, at: float) -> int:
        return min(bisect_left(self._ends, at), len(self._ends) - 1)

    def key(self, look: Read) -> Key | None:
        """The look's whole stack; None when it fits none."""
        number = self._number(look.at)
        best: tuple[int, int] | None = None
        around: Key = ()
        # The one at that time first: of two that fit equally well, it wins.
        for each in (number, number - 1, number + 1):
            if 0 <= each < len(self._inside):
                key = self._inside[each].key
                fits = self._fits(look.stack, key)
                if fits is not None and (best is None or fits[0] > best[0]):
                    best, around = fits, key
        if best is not None:
            return around[: best[1]] + of_stack(look.stack)
        entry = self._inside[number]
        if not WHOLE_STACKS and entry.key and (entry.late or self._stays(number)):
            # C called it meanwhile. These frames were there all the time, so it was from them.
            return entry.key + of_stack(look.stack)
        return None

    def _fits(self, stack: Stack, key: Key) -> tuple[int, int] | None:
        """How many frames agree, at best, and how many of the key's come before these."""
        if (stack, key) not in self._found:
            names = self._names_of(key)
            mine = [(frame.filename, frame.function) for frame in stack]
            # A whole stack begins where the thread's does.
            begins = 1 if WHOLE_STACKS else len(names)
            fits = [(count, i) for i, count in enumerate(_alike(names, mine)[:begins]) if count]
            self._found[stack, key] = max(fits, default=None)
        return self._found[stack, key]

    def _stays(self, number: int) -> bool:
        """True when the frames of an entry are in the one before and in the next as well."""
        names = self._names_of(self._inside[number].key)
        around = self._inside[max(number - 1, 0) : number + 2]
        return all(self._names_of(each.key)[: len(names)] == names for each in around)

    def _names_of(self, key: Key) -> list[Name]:
        if key not in self._names:
            self._names[key] = [_name(item) for item in key]
        return self._names[key]

    def state(self, look: Read, key: Key) -> tuple[State, ThreadState | None]:
        """Whether its thread ran then, and for what it waited."""
        entry = self._inside[self._number(look.at)]
        if entry.state == "blind":
            return ("running" if self._ran(entry) else "starved"), None
        if entry.state == "running" or not entry.key or _name(entry.key[-1]) != _name(key[-1]):
            return "running", None
        return entry.state, entry.waiting

    def _ran(self, entry: Entry) -> bool:
        """True when the thread had a CPU for most of the time of an entry."""
        last = len(self._looks) - 1
        first = min(bisect_left(self._times, entry.at - entry.weight), last)
        final = min(bisect_left(self._times, entry.at), last)
        begin, end = self._looks[max(first - 1, 0)], self._looks[final]
        return end.cpu - begin.cpu >= (end.at - begin.at) / 2


def _alike(names: Sequence[Name], mine: Sequence[Name]) -> list[int]:
    """For each place in ``names``, how many from there on are as those of ``mine``.

    Of a deep recursion all names are alike, so each is compared once (the Z algorithm).
    """
    line: list[Name | None] = [*mine, None, *names]
    found = [0] * len(line)
    begin = end = 0  # of the part so far that reaches furthest, and is as the beginning
    for place in range(1, len(line)):
        count = min(found[place - begin], end - place) if place < end else 0
        while place + count < len(line) and line[count] == line[place + count]:
            count += 1
        found[place] = count
        if place + count > end:
            begin, end = place, place + count
    return found[len(mine) + 1 :]


def _name(item: Item) -> Name:
    code = item[0]
    if isinstance(code, Code):
        return file_of(code.code), qualname_of(code.code)
    return code.filename, code.function


def _outside_of(found: Sequence[Entry], inside: Sequence[Entry], begun: float) -> Iterator[Entry]:
    """What was seen in the process while the reader saw nothing."""
    edges = [begun]
    for each in found:
        edges += [each.at - each.weight, each.at]
    edges.append(inside[-1].at)
    free = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1e-9]
    number = 0
    for start, end in free:
        while number < len(inside) and inside[number].at <= start:
            number += 1
        for entry in inside[number:]:
            begins, ends = max(entry.at - entry.weight, start), min(entry.at, end)
            if ends > begins:
                yield replace(entry, at=ends, weight=ends - begins)
            if entry.at >= end:
                break


def _joined(found: Sequence[Entry]) -> list[Entry]:
    """The same, where nothing changed from one to the next as one."""
    joined: list[Entry] = []
    for each in found:
        last = joined[-1] if joined else None
        if (
            last is not None
            and each.at - each.weight - last.at < 1e-9
            and (last.state, last.waiting, last.key) == (each.state, each.waiting, each.key)
        ):
            joined[-1] = replace(last, at=each.at, weight=last.weight + each.weight)
        else:
            joined.append(each)
    return joined


def _squares(found: Sequence[Entry], samples: Samples, rest: Sequence[Entry]) -> float:
    """As ``Samples.squares``: of the time between two looks that differ; the rest by its share."""
    mine = 0.0
    for one, other in pairwise(found):
        if one.key != other.key and _functions(one.key) != _functions(other.key):
            mine += (one.weight / 2 + other.weight / 2) ** 2
    share = sum(each.weight for each in rest) / samples.duration
    return mine + samples.squares * share


def _functions(key: Key) -> list[Name | Frame]:
    return [_name(item) for item in key]
