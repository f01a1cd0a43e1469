"""Exports a profile as collapsed stacks, the format of Brendan Gregg's ``flamegraph.pl``.

One line for each stack, ``outermost;...;innermost N``, where N is a whole number, here of
microseconds. A stack of unsampled time ends in a frame for that.
"""

from __future__ import annotations

import re
from collections import Counter

from slowhound.flames.profile import Profile
from slowhound.flames.render.names import functions, micros, summed, with_marks

_NUMBER = re.compile(r"\s+(\d+(?:\.\d*)?)\Z")


def render(profile: Profile) -> str:
    """The profile as text; stacks of less than a microsecond are left out, as N may not be 0."""
    frames, marks = with_marks(profile)
    found = functions(frames)
    titles = [_title(each.title) for each in found.all]
    sums: Counter[str] = Counter()
    for (stack, state), seconds in summed(profile).items():
        path = [titles[found.of[frame]] for frame in profile.stacks[stack]]
        if state in marks:
            path.append(titles[found.of[marks[state]]])
        sums[";".join(path) or "(no stack)"] += micros(seconds)
    return "".join([f"{path} {weight}\n" for path, weight in sums.items() if weight])


def _title(title: str) -> str:
    title = title.replace(";", ":")
    # A statement that ends in "LIMIT 5" would be read as a stack with two numbers.
    return _NUMBER.sub(r"_\1", title)
