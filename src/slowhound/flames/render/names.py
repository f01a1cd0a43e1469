"""Names as all drawings and exports show them, and the marks of unsampled and starved time."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, NamedTuple

from slowhound.event.formats import clean
from slowhound.flames.profile import UNSAMPLED, Kind, Profile, ProfileFrame, State

# The frame in which a stack ends when its time must not be attributed to its innermost function.
# Stacks that waited end in a frame for what they waited for.
MARKS = {
    UNSAMPLED: ProfileFrame("(unsampled)", kind="note"),
    "starved": ProfileFrame("(starved: wanted to run)", kind="note"),
}


def shown(text: Any) -> str:
    r"""``text`` without characters that move a cursor, change its direction or are not Unicode.

    A function, a path or a statement can hold any character; what is not printable is shown as
    its escape, ``\u202e``.
    """
    found = clean(text)
    if found.isprintable():
        return found
    return "".join([each if each.isprintable() else json.dumps(each)[1:-1] for each in found])


class Function(NamedTuple):
    """A frame without its line: a graph has one box for all lines of a function."""

    name: str
    file: str
    kind: Kind

    @property
    def title(self) -> str:
        """Its name, and its file where it has one."""
        return f"{self.name} ({self.file})" if self.file else self.name


def function(frame: ProfileFrame) -> Function:
    """The function that is shown for ``frame``."""
    return Function(shown(frame.name) or "(no name)", shown(frame.file), frame.kind)


class Functions(NamedTuple):
    """The functions of a profile: ``of`` has one index into ``all`` for each frame."""

    all: list[Function]
    of: list[int]


def functions(frames: list[ProfileFrame]) -> Functions:
    """The functions that ``frames`` belong to."""
    numbers: dict[Function, int] = {}
    of = [numbers.setdefault(function(frame), len(numbers)) for frame in frames]
    return Functions(list(numbers), of)


def with_marks(profile: Profile) -> tuple[list[ProfileFrame], dict[State, int]]:
    """The profile's frames, with the marks at the end; and the index of each state's mark."""
    frames = list(profile.frames)
    places: dict[State, int] = {}
    for state in sorted({sample.state for sample in profile.samples} & MARKS.keys()):
        places[state] = len(frames)
        frames.append(MARKS[state])
    return frames, places


def micros(seconds: float) -> int:
    """Seconds as whole microseconds; never below 0."""
    return max(0, round(seconds * 1e6))


def summed(profile: Profile) -> dict[tuple[int, State], float]:
    """Seconds for each stack and state, in the order of their first samples."""
    sums: dict[tuple[int, State], float] = defaultdict(float)
    for sample in profile.samples:
        sums[sample.stack, sample.state] += sample.weight
    return sums
