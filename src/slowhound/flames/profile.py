"""A profile: the weighted stacks of one request, or of several together, as plain data.

File format, version 1: gzip of one JSON object with the fields of ``Profile``. Stacks are lists
of indices into ``frames``, outermost first; samples point at stacks. A version that this code
does not know is refused with ``ValueError``.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any, Final, Literal

import msgspec

from slowhound.event.formats import encodable, utf8
from slowhound.runtime.library_names import MSGSPEC, Errors

PROFILE_VERSION = 1
TORN: Errors = (OSError, EOFError, zlib.error, RecursionError, *MSGSPEC)
SUFFIX = ".flame.json.gz"
# What a file may unpack to; ours stay far below, a forged one must not fill the memory.
MAX_BYTES = 256 * 1024**2

Kind = Literal["app", "library", "middleware", "sql", "template", "cache", "http", "wait", "note"]
State = Literal["running", "waiting", "starved", "blind"]
# Shown as "unsampled". The value in files stays: older versions would refuse a file with another.
UNSAMPLED: Final = "blind"


class ProfileFrame(msgspec.Struct, frozen=True, array_like=True):
    """One box of the graph.

    ``name`` is what is shown: a qualified function name, a statement's shape, a template's name.
    ``kind`` is the kind of these; without a file, ``file`` is empty and ``line`` is 0.
    """

    name: str
    file: str = ""
    line: int = 0
    kind: Kind = "app"


class ProfileSample(msgspec.Struct, frozen=True, array_like=True):
    """``weight`` seconds that ended ``at`` seconds after the request's start, spent in a stack.

    ``state``: its thread ran, waited for something outside, or wanted to run and could not
    (starved). Unsampled is time in which no sample could be taken; its stack may be empty.
    """

    at: float
    weight: float
    stack: int
    state: State = "running"


class Accuracy(msgspec.Struct, frozen=True):
    """How accurate a profile is, by its own account.

    Samples that were due and that were taken, the longest gap and all unsampled time in seconds,
    samples left out because of a limit, and an estimate of the largest error of a frame's share (0
    to 1; None: not known).
    """

    due: int = 0
    taken: int = 0
    longest_gap: float = 0.0
    unsampled: float = msgspec.field(default=0.0, name="blind")
    left_out: int = 0
    error: float | None = None
    ways: dict[str, int] = {}  # by what the samples were taken, and how many


class Profile(msgspec.Struct, frozen=True):
    """The data of a flame graph.

    ``event`` has the canonical fields of the request; of several, those that they share.
    """

    event: dict[str, Any]
    started: float  # seconds since 1970, of the request
    duration: float  # seconds that the samples cover
    interval: float  # seconds from one sample to the next, on average, as planned
    frames: list[ProfileFrame]
    stacks: list[list[int]]
    samples: list[ProfileSample]
    accuracy: Accuracy = Accuracy()
    requests: int = 1  # how many were merged
    v: int = PROFILE_VERSION


def dump(profile: Profile) -> bytes:
    """The profile as a file holds it; what UTF-8 cannot hold is escaped."""
    try:
        text = msgspec.json.encode(profile)
    except UnicodeEncodeError:  # a path of another encoding, as Python itself reads it
        frames = [
            ProfileFrame(utf8(each.name), utf8(each.file), each.line, each.kind)
            for each in profile.frames
        ]
        event = encodable(profile.event)
        text = msgspec.json.encode(msgspec.structs.replace(profile, frames=frames, event=event))
    return gzip.compress(text, compresslevel=5, mtime=0)


def load(data: bytes) -> Profile:
    """The profile in a file's bytes.

    Raises:
        ValueError: it is torn, too large, of another version, or no profile at all.
    """
    try:
        with gzip.open(io.BytesIO(data)) as unpacked:
            text = unpacked.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
        profile = msgspec.json.decode(text, type=Profile)
    except TORN as exc:
        raise ValueError(f"not a profile: {exc}") from exc
    if profile.v != PROFILE_VERSION:
        raise ValueError(
            f"a profile of version {profile.v}; this slowhound reads {PROFILE_VERSION}"
        )
    if not _consistent(profile):
        raise ValueError("a profile that points outside itself")
    return profile


def _consistent(profile: Profile) -> bool:
    frames, stacks = len(profile.frames), len(profile.stacks)
    return all(0 <= each < frames for stack in profile.stacks for each in stack) and all(
        0 <= sample.stack < stacks for sample in profile.samples
    )
