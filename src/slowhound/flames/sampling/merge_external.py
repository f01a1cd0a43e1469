"""Replaces samples taken in the process by samples taken from outside, where those fit.

Python 3.14 reads a stack only as far out as the last call from C into Python (a middleware's
``__call__``, an iterator's ``__next__``); 3.15 reads all of it. So each external stack is appended
to one that was sampled in the process at about that time, at the frame with which it begins. One
that fits none is torn, because memory is read while it changes, or cannot be placed: it is dropped,
and counted.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from slowhound.flames.profile import UNSAMPLED, State
from slowhound.flames.sampling.attribution import Entry, Samples
from slowhound.flames.sampling.external import ExternalSample
from slowhound.flames.sampling.stack_keys import Item, Key, key_of_stack
from slowhound.frames.frames import Frame, Stack
from slowhound.runtime.code_objects import Code, file_of, qualname_of
from slowhound.system.wait_states import ThreadState

# Seconds. Half of the time between two samples is attributed to each, as the external process is
# not delayed by the GIL. When it had no CPU for longer than this, the rest is not attributed to
# them.
LONGEST_HALF_GAP = 0.025
WHOLE_STACKS = sys.version_info >= (3, 15)
# The key in a profile's `ways`.
WAY = "remote"

Name = tuple[str, str]


def merge_into(samples: Samples, external: Sequence[ExternalSample]) -> None:
    """Merges the external samples into ``samples``, which have ended."""
    inside = samples.entries
    begun = samples.begun - samples.started
    ended = samples.last - samples.started
    external = [each._replace(at=each.at - samples.started) for each in external]
    external = [each for each in external if begun < each.at < ended]
    if not inside or not external:
        return
    matcher = _Matcher(inside, external)
    found: list[Entry] = []
    longest = 0.0
    for number, sample in enumerate(external):
        key = matcher.key(sample)
        if key is None:
            samples.external_dropped += 1
            continue
        samples.external_taken += 1
        start, end = _span(external, number)
        if end <= start:
            continue  # a single sample, or two at the same time: there is no time to attribute
        longest = max(longest, end - start)
        state, waiting = matcher.state(sample, key)
        found.append(Entry(end, end - start, key, state, waiting))
    rest = list(_not_covered(found, inside, begun))
    longest = max([longest, *(each.weight for each in rest)])
    samples.longest_gap = min(samples.longest_gap, longest)
    samples.entries = sorted(_joined(found) + rest, key=lambda each: each.at)
    samples.squared_error = _squared_error(found, samples, rest)


def _span(external: Sequence[ExternalSample], number: int) -> tuple[float, float]:
    at = external[number].at
    before = (at - external[number - 1].at) / 2 if number else 0.0
    after = (external[number + 1].at - at) / 2 if number + 1 < len(external) else 0.0
    return at - min(before, LONGEST_HALF_GAP), at + min(after, LONGEST_HALF_GAP)


class _Matcher:
    """Finds where external stacks belong in the stacks that were sampled in the process."""

    def __init__(self, inside: Sequence[Entry], external: Sequence[ExternalSample]) -> None:
        self._inside = inside
        self._ends = [entry.at for entry in inside]
        self._external = external
        self._times = [sample.at for sample in external]
        self._names: dict[Key, list[Name]] = {}
        self._found: dict[tuple[Stack, Key], tuple[int, int] | None] = {}

    def _number(self, at: float) -> int:
        return min(bisect_left(self._ends, at), len(self._ends) - 1)

    def key(self, sample: ExternalSample) -> Key | None:
        """The whole stack of the sample; None when it fits none."""
        number = self._number(sample.at)
        best: tuple[int, int] | None = None
        around: Key = ()
        # The entry at that time first: it is preferred when two fit equally well.
        for each in (number, number - 1, number + 1):
            if 0 <= each < len(self._inside):
                key = self._inside[each].key
                fits = self._fits(sample.stack, key)
                if fits is not None and (best is None or fits[0] > best[0]):
                    best, around = fits, key
        if best is not None:
            return around[: best[1]] + key_of_stack(sample.stack)
        entry = self._inside[number]
        if not WHOLE_STACKS and entry.key and (entry.late or self._stays(number)):
            # C called it meanwhile, from these frames: they were there all the time.
            return entry.key + key_of_stack(sample.stack)
        return None

    def _fits(self, stack: Stack, key: Key) -> tuple[int, int] | None:
        """The largest number of equal frames, and how many frames of the key come before them."""
        if (stack, key) not in self._found:
            names = self._names_of(key)
            external = [(frame.filename, frame.function) for frame in stack]
            # A whole stack begins with the thread's outermost frame.
            begins = 1 if WHOLE_STACKS else len(names)
            lengths = _match_lengths(names, external)[:begins]
            fits = [(count, at) for at, count in enumerate(lengths) if count]
            self._found[stack, key] = max(fits, default=None)
        return self._found[stack, key]

    def _stays(self, number: int) -> bool:
        """True when the frames of an entry are also in the entries before and after it."""
        names = self._names_of(self._inside[number].key)
        around = self._inside[max(number - 1, 0) : number + 2]
        return all(self._names_of(each.key)[: len(names)] == names for each in around)

    def _names_of(self, key: Key) -> list[Name]:
        if key not in self._names:
            self._names[key] = [_name(item) for item in key]
        return self._names[key]

    def state(self, sample: ExternalSample, key: Key) -> tuple[State, ThreadState | None]:
        """The state of its thread at that time, and what it waited for."""
        entry = self._inside[self._number(sample.at)]
        if entry.state == UNSAMPLED:
            return ("running" if self._ran(entry) else "starved"), None
        if entry.state == "running" or not entry.key or _name(entry.key[-1]) != _name(key[-1]):
            return "running", None
        return entry.state, entry.waiting

    def _ran(self, entry: Entry) -> bool:
        """True when the thread had a CPU for most of the time of an entry."""
        last = len(self._external) - 1
        first = min(bisect_left(self._times, entry.at - entry.weight), last)
        final = min(bisect_left(self._times, entry.at), last)
        begin, end = self._external[max(first - 1, 0)], self._external[final]
        return end.cpu - begin.cpu >= (end.at - begin.at) / 2


def _match_lengths(names: Sequence[Name], external: Sequence[Name]) -> list[int]:
    """For each place in ``names``, how many names from there on equal the first of ``external``.

    In a deep recursion all names are equal, so each is compared once (the Z algorithm).
    """
    line: list[Name | None] = [*external, None, *names]
    found = [0] * len(line)
    begin = end = 0  # of the match so far that reaches furthest
    for place in range(1, len(line)):
        count = min(found[place - begin], end - place) if place < end else 0
        while place + count < len(line) and line[count] == line[place + count]:
            count += 1
        found[place] = count
        if place + count > end:
            begin, end = place, place + count
    return found[len(external) + 1 :]


def _name(item: Item) -> Name:
    code = item[0]
    if isinstance(code, Code):
        return file_of(code.code), qualname_of(code.code)
    return code.filename, code.function


def _not_covered(found: Sequence[Entry], inside: Sequence[Entry], begun: float) -> Iterator[Entry]:
    """The parts of the entries from inside at times without external samples."""
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
    """The same entries; those that follow each other without a change are one."""
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


def _squared_error(found: Sequence[Entry], samples: Samples, rest: Sequence[Entry]) -> float:
    """As ``Samples.squared_error``; of samples in the process by the share of their time."""
    external = 0.0
    for one, other in pairwise(found):
        if one.key != other.key and _functions(one.key) != _functions(other.key):
            external += (one.weight / 2 + other.weight / 2) ** 2
    share = sum(each.weight for each in rest) / samples.duration
    return external + samples.squared_error * share


def _functions(key: Key) -> list[Name | Frame]:
    return [_name(item) for item in key]
