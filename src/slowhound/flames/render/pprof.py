"""Exports a profile as pprof's gzipped protobuf, for ``go tool pprof`` and other readers of it.

Only the needed part of https://github.com/google/pprof/blob/main/proto/profile.proto, with the
field numbers of that file. A message is a list of its fields' bytes.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable

from slowhound.flames.profile import UNSAMPLED, Profile
from slowhound.flames.render.names import Function, function, summed, with_marks
from slowhound.flames.render.summary import title

_VARINT, _BYTES = 0, 2  # wire types


def render(profile: Profile) -> bytes:
    """The profile as a ``.pb.gz`` file; time in nanoseconds, the state of a sample as its label."""
    frames, marks = with_marks(profile)
    texts = _Texts()
    numbers: dict[Function, int] = {}
    lines: dict[tuple[int, int], int] = {}
    locations: list[int] = []  # one for each frame; a location is a line of a function
    for frame in frames:
        number = numbers.setdefault(function(frame), len(numbers) + 1)
        locations.append(lines.setdefault((number, max(0, frame.line)), len(lines) + 1))
    out = [_bytes(1, _number(1, texts("wall")) + _number(2, texts("nanoseconds")))]
    for (stack, state), seconds in summed(profile).items():
        weight = round(seconds * 1e9)
        if weight <= 0:
            continue
        path = [*profile.stacks[stack], marks[state]] if state in marks else profile.stacks[stack]
        shown_state = "unsampled" if state == UNSAMPLED else state
        label = _number(1, texts("state")) + _number(2, texts(shown_state))
        out.append(
            _bytes(
                2,
                _packed(1, [locations[frame] for frame in reversed(path)])  # innermost first
                + _packed(2, [weight])
                + _bytes(3, label),
            )
        )
    for (number, line), location in lines.items():
        at = _number(1, number) + _number(2, line)
        out.append(_bytes(4, _number(1, location) + _bytes(4, at)))
    for each, number in numbers.items():
        name = _number(2, texts(each.name)) + _number(3, texts(each.name))
        out.append(_bytes(5, _number(1, number) + name + _number(4, texts(each.file))))
    period = _number(1, texts("wall")) + _number(2, texts("nanoseconds"))
    comment = texts(title(profile))
    out += [_bytes(6, text.encode()) for text in texts.all]
    out += [
        _number(9, max(0, round(profile.started * 1e9))),
        _number(10, max(0, round(profile.duration * 1e9))),
        _bytes(11, period),
        _number(12, max(0, round(profile.interval * 1e9))),
        _packed(13, [comment]),
    ]
    return gzip.compress(b"".join(out), compresslevel=5, mtime=0)


class _Texts:
    """The string table: the first string is empty, and each is in it once."""

    def __init__(self) -> None:
        self.all: dict[str, int] = {"": 0}

    def __call__(self, text: str) -> int:
        return self.all.setdefault(text, len(self.all))


def _varint(value: int) -> bytes:
    # An int64; a forged file may hold more, which is cut.
    value = min(value, 2**63 - 1)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def _packed(field: int, values: Iterable[int]) -> bytes:
    return _bytes(field, b"".join([_varint(value) for value in values]))
