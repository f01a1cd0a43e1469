"""Makes one tree of boxes of a profile's stacks, with a limit on their number.

The tree grows from its heaviest box on, so that only boxes too small to be visible are left out: a
stack of 5 million frames costs no more than the boxes that are kept. Both the drawing in the file
and its script use this tree.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter, defaultdict
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

from slowhound.flames.profile import UNSAMPLED, Profile, ProfileFrame, State
from slowhound.flames.render.names import Function, Functions, functions, micros

# 50,000 boxes are 1 MB in the file, and a browser lays them out in some 30 ms.
MOST_BOXES = 50_000
STATES: tuple[State, ...] = ("running", "waiting", "starved", UNSAMPLED)
# As shown, and in the classes of the style.
STATE_NAMES = ("running", "waiting", "starved", "unsampled")
# The box of time whose stack is not known.
UNSAMPLED_FRAME = ProfileFrame("unsampled", kind="note")


class Tree(NamedTuple):
    """The boxes; a box's parent comes before it, and box 0 is everything.

    Times are whole microseconds. ``own`` is what was spent in a box itself, in the order of
    ``STATES``; ``total`` includes the boxes inside. ``before`` is the same of the normal profile,
    without states. ``line`` is the heaviest line of a box, ``lines`` the number of its lines.
    """

    functions: list[Function]  # function 0 is "everything"
    parent: list[int]
    function: list[int]
    depth: list[int]
    line: list[int]
    lines: list[int]
    own: list[list[int]]
    total: list[list[int]]
    before_own: list[int]
    before: list[int]
    box_of: list[int]  # of each stack of the profile
    left_out: int  # weight of the heaviest box that was left out; 0: there is none


def grow(profile: Profile, normal: Profile | None = None, most: int = MOST_BOXES) -> Tree:
    """The tree of ``profile``, and of the normal profile in the same boxes."""
    stacks = _Stacks(profile, normal)
    grower = _Grower(stacks)
    grower.run(most)
    boxes = len(grower.parent)
    own = [[0] * len(STATES) for _ in range(boxes)]
    for sample in profile.samples:
        own[grower.box_of[sample.stack]][STATES.index(sample.state)] += micros(sample.weight)
    before_own = [0] * boxes
    for sample in normal.samples if normal else ():
        before_own[grower.box_of[stacks.first_normal + sample.stack]] += micros(sample.weight)
    total = [list(each) for each in own]
    before = list(before_own)
    for box in range(boxes - 1, 0, -1):
        up = grower.parent[box]
        before[up] += before[box]
        total[up] = [a + b for a, b in zip(total[up], total[box], strict=True)]
    return Tree(
        [Function("everything", "", "note"), *stacks.functions.all],
        grower.parent,
        grower.function,
        grower.depth,
        grower.line,
        grower.lines,
        own,
        total,
        before_own,
        before,
        grower.box_of[: len(profile.stacks)],
        grower.left_out,
    )


class _Stacks:
    """The stacks of both profiles in one order, with their weights in each profile."""

    def __init__(self, profile: Profile, normal: Profile | None) -> None:
        frames = [*profile.frames, *(normal.frames if normal else ())]
        self.no_stack = len(frames)
        frames.append(UNSAMPLED_FRAME)
        self.lines = [frame.line for frame in frames]
        self.functions: Functions = functions(frames)
        self.first_normal = len(profile.stacks)
        shift = len(profile.frames)
        raw = [stack or [self.no_stack] for stack in profile.stacks]
        raw += [
            [frame + shift for frame in stack] or [self.no_stack]
            for stack in (normal.stacks if normal else ())
        ]
        of = self.functions.of
        paths = [[of[frame] for frame in stack] for stack in raw]
        # Sorted, so that stacks with the same outer frames are together: a box is a range of them.
        self.order = sorted(range(len(raw)), key=paths.__getitem__)
        self.raw = [raw[at] for at in self.order]
        self.paths = [paths[at] for at in self.order]
        now, before = [0] * len(raw), [0] * len(raw)
        for sample in profile.samples:
            now[sample.stack] += micros(sample.weight)
        for sample in normal.samples if normal else ():
            before[self.first_normal + sample.stack] += micros(sample.weight)
        # The weight of a box is its share of both profiles. Any range's is a difference of two
        # sums.
        scale = sum(now) / max(1, sum(before))
        weights = [now[at] + before[at] * scale for at in self.order]
        self.weights = weights
        self.sums = [0.0, *accumulate(weights)]
        seen = {(number, self.lines[frame]) for frame, number in enumerate(of)}
        counted = Counter(number for number, _ in seen)
        self.several_lines = {number for number, count in counted.items() if count > 1}


class _Grower:
    def __init__(self, stacks: _Stacks) -> None:
        self.stacks = stacks
        self.parent, self.function, self.depth = [0], [0], [0]
        self.line, self.lines = [0], [0]
        self.left_out = 0
        self.box_at = [0] * len(stacks.paths)  # of each stack in the sorted order

    def run(self, most: int) -> None:
        """Grows box after box, the heaviest first, up to ``most``."""
        waiting: list[tuple[float, int, int, int, int]] = []
        self._offer(waiting, 0, 0, len(self.stacks.paths))
        while waiting:
            weight, low, depth, high, parent = heapq.heappop(waiting)
            if len(self.parent) >= most:
                self.left_out = round(-weight)
                break
            self._offer(waiting, self._add(low, high, depth, parent), low, high)
        self.box_of = [0] * len(self.box_at)
        for box, at in zip(self.box_at, self.stacks.order, strict=True):
            self.box_of[at] = box

    def _offer(
        self, waiting: list[tuple[float, int, int, int, int]], parent: int, low: int, high: int
    ) -> None:
        """Pushes the boxes inside ``parent``, the stacks ``low`` to ``high``, on the heap."""
        paths, sums = self.stacks.paths, self.stacks.sums
        depth = self.depth[parent]
        while low < high and len(paths[low]) == depth:  # stacks that end in it are sorted first
            low += 1
        while low < high:
            number = paths[low][depth]
            if paths[high - 1][depth] == number:
                end = high
            else:
                end = bisect_right(paths, number, low, high, key=itemgetter(depth))
            weight = sums[end] - sums[low]
            if weight > 0:
                heapq.heappush(waiting, (-weight, low, depth, end, parent))
            low = end

    def _add(self, low: int, high: int, depth: int, parent: int) -> int:
        box = len(self.parent)
        number = self.stacks.paths[low][depth]
        line, lines = self._line(low, high, depth, number)
        self.parent.append(parent)
        self.function.append(number + 1)
        self.depth.append(depth + 1)
        self.line.append(line)
        self.lines.append(lines)
        self.box_at[low:high] = [box] * (high - low)
        return box

    def _line(self, low: int, high: int, depth: int, number: int) -> tuple[int, int]:
        raw, lines = self.stacks.raw, self.stacks.lines
        if number not in self.stacks.several_lines:
            return lines[raw[low][depth]], 1
        weights: dict[int, float] = defaultdict(float)
        for at in range(low, high):
            weights[lines[raw[at][depth]]] += self.stacks.weights[at]
        return max(weights, key=weights.__getitem__), len(weights)


# How much a box's share differs from its normal share, in steps that have a colour each: points of
# share (1 point: 1 % of all) from which the difference is small, medium and large.
SHARE_STEPS = (1.0, 5.0, 15.0)


def share_points(now: int, all_now: int, before: int, all_before: int) -> float:
    """The difference of two shares in points, -100 to 100."""
    return 100 * now / max(1, all_now) - 100 * before / max(1, all_before)


def share_step(difference: float) -> str:
    """The class of a box: ``same``, ``more1`` to ``more3``, ``less1`` to ``less3``."""
    height = sum(abs(difference) >= each for each in SHARE_STEPS)
    if not height:
        return "same"
    return f"{'more' if difference > 0 else 'less'}{height}"
