"""A second engine for regular expressions, which works like ``re`` and counts its steps.

Time is noisy; steps are not. It backtracks as ``re`` does, on the same tree: it finds what ``re``
finds, which the tests compare, and what takes it n² steps takes ``re`` n² as well. (``re`` searches
for a literal at the beginning of a pattern in a faster way, which changes no power of n.)
"""

from __future__ import annotations

from typing import Any

from tests.harness import regex_nodes, regex_program
from tests.harness.regex_nodes import Set
from tests.harness.regex_program import Code

# Steps that are counted together.
COUNTED_AT_ONCE = 1000
# Kinds of steps that have a method instead of a place in the loop.
KINDS = ("success", "fail", "split", "jump", "at", "begin", "end", "mark", "moved", "has", "alone")
KINDS += ("lookaround", "backreference")


class TooManyStepsError(Exception):
    """The pattern took more steps than were allowed."""


class Counted:
    """A pattern that counts its steps.

    Args:
        text: the pattern; one of bytes is decoded as latin-1.
        flags: the flags of the compiled pattern.
        allowed: the number of steps after which it gives up.
    """

    def __init__(self, text: str, flags: int, allowed: int = 10_000_000) -> None:
        self.tree = regex_nodes.parsed(text, flags)
        self.steps = 0
        self.allowed = allowed
        self._code = regex_program.program(self.tree)
        self._first = regex_program.only(self.tree.nodes, self.tree.flags)

    def spans(self, text: str, way: str = "search") -> list[tuple[int, int]]:
        """The spans that ``finditer`` finds; at most one for ``match`` and ``fullmatch``."""
        self.steps = 0
        run = _Run(self, text)
        if way != "search":
            end = run.match(self._code, 0, whole=way == "fullmatch")
            return [] if end is None else [(0, end)]
        found, at, empty, first = [], 0, True, self._first
        while at <= len(text):
            self.count(1)
            if first is None or (at < len(text) and first[text[at]]):
                end = run.match(self._code, at, empty=empty)
            else:
                end = None
            if end is None:
                at, empty = at + 1, True
                continue
            found.append((at, end))
            # After an empty match, only a longer one counts at the same place.
            at, empty = end, at != end
        return found

    def count(self, steps: int) -> None:
        self.steps += steps
        if self.steps > self.allowed:
            raise TooManyStepsError


class _Run:
    """The search of one pattern in one text."""

    def __init__(self, counted: Counted, text: str) -> None:
        self._counted = counted
        self._text = text
        self._ends: dict[int, list[int]] = {}
        self._do = {kind: getattr(self, f"_{kind}") for kind in KINDS}
        self._groups: dict[Any, Any] = {}
        # The alternatives that are still open, and what must be undone before one is taken.
        self._open: list[tuple[Any, ...]] = []

    def match(self, code: Code, at: int, *, whole: bool = False, empty: bool = True) -> int | None:
        """The end of a match that begins at ``at``."""
        self._groups.clear()
        self._open.clear()
        return self._go(code, at, whole=whole, empty=empty)

    def _go(self, code: Code, start: int, *, whole: bool = False, empty: bool = True) -> int | None:
        text, floor, size = self._text, len(self._open), len(self._text)
        here, at, steps = 0, start, 0
        while True:
            step, steps = code[here], steps + 1
            kind = step[0]
            if kind == "set":
                fine = at < size and step[1][text[at]]
                here, at = here + 1, at + 1
            elif kind == "run":
                before = at
                at, fine = self._run(step, here, at)
                here, steps = here + 1, steps + at - before
            elif kind == "success" and (at == size or not whole) and (empty or at != start):
                self._counted.count(steps)
                return self._leave(floor, at)
            else:
                here, at, fine = self._do[kind](step, here, at)
            if fine:
                continue
            if steps > COUNTED_AT_ONCE:
                self._counted.count(steps)
                steps = 0
            found = self._back(floor)
            if found is None:
                self._counted.count(steps)
                return None
            here, at = found

    def _run(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, bool]:
        """A repeat of one set, which gives back one character at a time, as in ``re``."""
        _, found, least, most, kind = step
        end = self._end_of_run(found, at)
        end = end if most is None else min(end, at + most)
        low = at + least
        if end < low:
            return end, False
        if kind == "MIN_REPEAT":
            if end > low:
                self._open.append((here + 1, end, low + 1, 1))
            return low, True
        if kind == "MAX_REPEAT" and end > low:
            self._open.append((here + 1, low, end - 1, -1))
        return end, True

    def _end_of_run(self, found: Set, at: int) -> int:
        """Where a run of the set's characters ends; each run is read once."""
        text, ends = self._text, self._ends.get(id(found))
        if ends is None:
            ends = self._ends[id(found)] = [-1] * (len(text) + 1)
        if ends[at] < 0:
            end = at
            while end < len(text) and found[text[end]]:
                end += 1
            ends[at : end + 1] = [end] * (end + 1 - at)
        return ends[at]

    def _back(self, floor: int) -> tuple[int, int] | None:
        """Takes the last open alternative; None where there is none."""
        ways = self._open
        while len(ways) > floor:
            way = ways.pop()
            if len(way) == 3:
                self._groups[way[0]] = way[1]
                continue
            if len(way) == 2:
                return way
            here, end, at, by = way
            if at != end:
                ways.append((here, end, at + by, by))
            return here, at
        return None

    def _leave(self, floor: int, at: int) -> int:
        """Closes the alternatives of a part that has matched; its groups stay until undone."""
        self._open[floor:] = [way for way in self._open[floor:] if len(way) == 3]
        return at

    def _keep(self, key: Any, value: Any) -> None:
        self._open.append((key, self._groups.get(key), None))
        self._groups[key] = value

    # The other kinds of steps: each returns the next step, the position in the text, and whether it
    # has matched.

    def _success(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        return here, at, False  # the whole text, or a part of it, had to match

    def _fail(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        return here, at, False

    def _split(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        _, one, other, first = step
        if first is not None and (at >= len(self._text) or not first[self._text[at]]):
            return other, at, True
        self._open.append((other, at))
        return one, at, True

    def _jump(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        return step[1], at, True

    def _at(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        return here + 1, at, step[1](self._text, at)

    def _begin(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        self._keep(("begin", step[1]), at)
        return here + 1, at, True

    def _end(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        self._keep(step[1], (self._groups["begin", step[1]], at))
        return here + 1, at, True

    def _mark(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        self._keep(("mark", step[1]), at)
        return here + 1, at, True

    def _moved(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        return (here + 1 if self._groups["mark", step[1]] != at else step[2]), at, True

    def _has(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        return (here + 1 if self._groups.get(step[1]) else step[2]), at, True

    def _alone(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        end = self._go(step[1], at)
        return here + 1, at if end is None else end, end is not None

    def _lookaround(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        _, code, behind, wanted = step
        found = None if at < behind else self._go(code, at - behind)
        return here + 1, at, (found is not None) is wanted

    def _backreference(self, step: tuple[Any, ...], here: int, at: int) -> tuple[int, int, bool]:
        _, group, folded = step
        span = self._groups.get(group)
        if span is None:
            return here, at, False
        wanted, found = self._text[slice(*span)], self._text[at : at + span[1] - span[0]]
        self._counted.count(len(found))
        fine = wanted == found or (folded and wanted.lower() == found.lower())
        return here + 1, at + len(wanted), fine
