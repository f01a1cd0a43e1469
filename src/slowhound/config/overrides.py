"""Reads and writes thresholds that an operator sets for a while: ``slowhound watch``.

``DIR/watch.json`` holds them. Each worker's hound checks it once a second, and parses it only when
it has changed. Each threshold ends by the wall clock, whether or not it is removed. Anything else
in the file is ignored: noise changes nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
from typing import NamedTuple

import msgspec

from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import NOT_JSON
from slowhound.system.files import opened, opened_folder, this_user, write_whole

OVERRIDES_FILE = "watch.json"
# None lasts longer than a day: a later end is a mistake, or the clock was set back.
LONGEST_OVERRIDE = 24 * 3600.0
CLOCK_SLACK = 60.0
MOST_OVERRIDES = 100
LARGEST_OVERRIDES_FILE = 64 * 1024


class Threshold(msgspec.Struct):
    """A threshold: the view it is for (None: all), seconds, and its end (seconds since 1970)."""

    view: str | None
    slow_after: float
    until: float


class _File(msgspec.Struct):
    thresholds: list[Threshold]


_decode = msgspec.json.Decoder(_File).decode
_encode = msgspec.json.Encoder().encode


class _Seen(NamedTuple):
    inode: int
    changed: int  # ns
    size: int


class Override:
    """The overrides in force in this process; the hound reads the file, every thread uses them."""

    __slots__ = ("_all", "_by_name", "_found", "_seen", "_shortest")

    def __init__(self) -> None:
        self._seen: _Seen | None = None
        self._found: tuple[Threshold, ...] = ()
        self._all: float | None = None
        self._by_name: dict[str, float] = {}
        self._shortest: float | None = None

    def read(self, directory: str) -> None:
        """Reads the file if it has changed, and drops what has ended; never raises."""
        path = os.path.join(directory, OVERRIDES_FILE)
        try:
            found = os.lstat(path)
        except (OSError, ValueError):
            self._seen, self._found = None, ()
        else:
            seen = _Seen(found.st_ino, found.st_ctime_ns, found.st_size)
            if seen != self._seen:
                self._seen = seen
                self._found = tuple(load(path, this_user()))
        if self._found or self._shortest is not None:
            self._take(in_force(self._found, clock.time()))

    def _take(self, thresholds: tuple[Threshold, ...]) -> None:
        named = {each.view: each.slow_after for each in thresholds}
        self._all = named.pop(None, None)
        self._by_name = {name: after for name, after in named.items() if name is not None}
        self._shortest = min((each.slow_after for each in thresholds), default=None)

    def threshold(self, names: tuple[str | None, ...]) -> float | None:
        """Seconds after which a request to a view of these names is slow; None: as configured."""
        if self._shortest is None:
            return None
        by_name = self._by_name
        if by_name:
            for name in names:
                if name is not None and name in by_name:
                    return by_name[name]
        return self._all

    def shortest(self) -> float | None:
        """The lowest threshold that is in force; None when none is."""
        return self._shortest


def in_force(thresholds: tuple[Threshold, ...], now: float) -> tuple[Threshold, ...]:
    """The thresholds that have not ended."""
    return tuple(
        each for each in thresholds if now < each.until <= now + LONGEST_OVERRIDE + CLOCK_SLACK
    )


def load(path: str, owner: int) -> list[Threshold]:
    """The usable thresholds in the file, ended or not."""
    try:
        with opened(path, owner=owner) as fd:
            found = os.fstat(fd)
            data = os.read(fd, LARGEST_OVERRIDES_FILE + 1)
    except (OSError, ValueError):
        return []
    if found.st_mode & 0o022:  # what others can write must not raise a threshold
        return []
    try:
        thresholds = _decode(data).thresholds[:MOST_OVERRIDES]
    except NOT_JSON:
        return []
    # Relative to the time of writing: an end in a month must not come into force a day before.
    latest = found.st_mtime + LONGEST_OVERRIDE + CLOCK_SLACK
    return [each for each in thresholds if each.until <= latest and _usable(each.slow_after)]


def _usable(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds >= 0


def store(directory: str, thresholds: list[Threshold]) -> None:
    """Replaces the file at once; without thresholds it is removed.

    The file belongs to the owner of ``directory``, also if root calls: the workers must read it.

    Raises:
        OSError: it cannot be written.
    """
    with opened_folder(directory) as folder:
        if thresholds:
            data = _encode(_File(thresholds[-MOST_OVERRIDES:]))
            write_whole(OVERRIDES_FILE, data, f"{OVERRIDES_FILE}.{os.getpid()}.new", folder)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(OVERRIDES_FILE, dir_fd=folder)
