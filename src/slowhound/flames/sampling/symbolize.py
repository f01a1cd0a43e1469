"""Makes a profile of a request's samples: names, lines and kinds of frames, and annotations."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from types import CodeType
from typing import Any

from slowhound.core.record import Record
from slowhound.flames.profile import UNSAMPLED, Accuracy, Profile, ProfileFrame, ProfileSample
from slowhound.flames.sampling import merge_external
from slowhound.flames.sampling.annotate import Annotator
from slowhound.flames.sampling.attribution import Entry, Samples
from slowhound.flames.sampling.stack_keys import Item, Key
from slowhound.frames.frames import Frame
from slowhound.redaction import masking
from slowhound.runtime.app_files import is_app, short_path
from slowhound.runtime.code_objects import Code, file_of, name_of_code, qualname_of

# A lambda in a lambda in a lambda has a longer one.
LONGEST_NAME = 300


def profile_of(
    record: Record, samples: Samples, interval: float, event: dict[str, Any], started: float
) -> Profile:
    """The profile of a request that has ended.

    Args:
        record: the request; its timeline gives the annotations.
        samples: its samples.
        interval: seconds from one sample to the next, on average, as planned.
        event: its canonical fields.
        started: seconds since 1970.
    """
    entries = [entry for entry in samples.entries if entry.weight > 0]
    symbols = _Symbols(entries)
    annotator = Annotator(record.moments(), concurrent=record.task is not None)
    frames: dict[ProfileFrame, int] = {}
    stacks: dict[tuple[int, ...], int] = {}
    found = []
    for entry in entries:
        boxes = annotator.annotate(symbols.of(entry.key), entry.at, entry.waiting)
        stack = tuple([frames.setdefault(box, len(frames)) for box in boxes])
        number = stacks.setdefault(stack, len(stacks))
        found.append(ProfileSample(entry.at, entry.weight, number, entry.state))
    return Profile(
        event=event,
        started=started,
        duration=samples.duration,
        interval=interval,
        frames=list(frames),
        stacks=[list(stack) for stack in stacks],
        samples=found,
        accuracy=_accuracy(samples, entries, interval),
    )


def _accuracy(samples: Samples, entries: Sequence[Entry], interval: float) -> Accuracy:
    duration = samples.duration
    ways = {"hound": samples.taken}
    if samples.external_taken:
        ways[merge_external.WAY] = samples.external_taken
    if samples.external_dropped:
        ways["dropped"] = samples.external_dropped
    # A stack changed into another one at any time between two samples. The errors of many such
    # changes add up by their squares; twice that is rarely exceeded.
    error = min(samples.squared_error**0.5 / duration, 1.0) if duration > 0 else None
    due = max(samples.taken + samples.left_out, round(duration / interval))
    return Accuracy(
        due=due + samples.external_taken,
        taken=samples.taken + samples.external_taken,
        longest_gap=samples.longest_gap,
        unsampled=sum(entry.weight for entry in entries if entry.state == UNSAMPLED),
        left_out=samples.left_out,
        error=error,
        ways=ways,
    )


class _Symbols:
    """The frames of keys; each item is resolved once."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._keys: dict[Key, list[ProfileFrame]] = {}
        self._items: dict[Item, ProfileFrame] = {}
        self._lines: dict[Code, tuple[list[int], list[int]]] = {}
        codes = {code for entry in entries for code, _ in entry.key if isinstance(code, Code)}
        # A frame that another process read has only the bare name of its function, see `_of_frame`.
        self._codes: dict[tuple[str, str], list[CodeType]] = {}
        for code in (each.code for each in codes):
            self._codes.setdefault((file_of(code), name_of_code(code)), []).append(code)

    def of(self, key: Key) -> list[ProfileFrame]:
        """The frames of a key, outermost first."""
        found = self._keys.get(key)
        if found is None:
            found = self._keys[key] = [self._of_item(item) for item in key]
        return found

    def _of_item(self, item: Item) -> ProfileFrame:
        found = self._items.get(item)
        if found is None:
            code, offset = item
            if isinstance(code, Code):
                line = self._line(code, offset)
                found = _frame(qualname_of(code.code), file_of(code.code), line)
            else:
                found = self._of_frame(code)
            self._items[item] = found
        return found

    def _line(self, code: Code, offset: int) -> int:
        if code not in self._lines:
            known = [(begin, line) for begin, _, line in code.code.co_lines() if line is not None]
            self._lines[code] = [begin for begin, _ in known], [line for _, line in known]
        begins, lines = self._lines[code]
        place = bisect_right(begins, offset) - 1
        return lines[place] if place >= 0 else code.code.co_firstlineno

    def _of_frame(self, frame: Frame) -> ProfileFrame:
        name = frame.function
        same = self._codes.get((frame.filename, name), [])
        # Of several methods of that name, the line tells which.
        before = [each for each in same if each.co_firstlineno <= frame.line]
        if before:
            name = qualname_of(max(before, key=lambda each: each.co_firstlineno))
        return _frame(name, frame.filename, frame.line)


def _frame(name: str, filename: str, line: int) -> ProfileFrame:
    name = masking.name(name)[:LONGEST_NAME]
    if filename.startswith("<"):
        # A note of `asyncio_tasks`, or code without a file.
        note = filename in ("<asyncio>", "<asgiref>", "<executor>")
        file = "" if note else masking.name(filename)
        return ProfileFrame(name, file, line, "note" if note else "library")
    file = masking.name(short_path(filename))
    return ProfileFrame(name, file, line, "app" if is_app(filename) else "library")
