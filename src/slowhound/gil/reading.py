"""Holds the stacks that were read of another process, and compares two readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import takewhile
from operator import eq
from typing import NamedTuple

from slowhound.frames.frames import Stack


class Reading(NamedTuple):
    """Stacks by the kernel's ids of their threads; ``by`` names the way.

    ``holder`` is the thread that holds the GIL, where that can be read.
    """

    stacks: dict[int, Stack]
    by: str
    holder: int | None = None


class NotRead(Exception):  # noqa: N818  it is a result
    """A process cannot be read in one way; the text is the reason."""


# Takes the pid of a process and the version of its Python, such as ``3.14.2``.
Reader = Callable[[int, str], Reading | None]


def stable(first: Mapping[int, Stack], second: Mapping[int, Stack]) -> dict[int, Stack]:
    """Of two readings of a process that was not stopped: the outer frames that both have.

    A reader that does not stop the process may meet a stack that is just being changed. A thread
    in one long call into C, which is what is searched for, has the same whole stack in both.
    """
    found = {}
    for thread in first.keys() & second.keys():
        pairs = zip(first[thread], second[thread], strict=False)
        both = tuple(one for one, _ in takewhile(lambda pair: eq(*pair), pairs))
        if both:
            found[thread] = both
    return found
