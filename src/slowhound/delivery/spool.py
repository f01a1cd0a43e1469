"""The spool: what is to be sent waits in ``DIR/delivery/``, where a restart does not lose it.

All workers of one DIR share it. Its files are 0600 and appear whole, by a rename:

- ``<ns since 1970>-<pid>-<random>.new``: a report of a process that sends nothing itself, as
  Gunicorn's arbiter; a worker judges it.
- ``….due``: a report to be sent. The first line is the item; then a line for each sink that has
  it, the sink's name as JSON. Whoever sends it holds its lock (``filelocks``), which the
  kernel drops when he dies; then the next one goes on. The file is removed when all sinks have it.
- ``….events``: events of a process that died before its sinks had them, a line each.
- ``<fingerprint>.held``: the newest report of a group that was held back.
- ``groups.json``: the groups, see ``rate_limit``; ``groups.lock`` is locked while it changes.

Nothing here is synced: what was written survives the process, not a loss of power.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec

from slowhound.core.report import Report
from slowhound.delivery.rate_limit import RateLimiter
from slowhound.event.formats import clean, encodable, json_line, shortened
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import NOT_JSON
from slowhound.system.file_locks import locked, opened_and_locked
from slowhound.system.files import NotOwnFileError, opened, write_whole
from slowhound.system.losses import lost
from slowhound.system.private_dir import keep_within, subfolder

FOLDER = "delivery"
MAX_BYTES = 64 * 1024**2
# A report with many local variables has 300 KiB.
ITEM_MAX_BYTES = 2 * 1024**2
# Seconds after which what nobody would take is given up; each was tried until then.
MAX_AGE = 24 * 3600.0
# For the lock of the groups, which is held for milliseconds: unless its holder is stopped.
LOCK_TRIES = 100

WAITING = re.compile(r"\d{19}-\d+-[0-9a-f]{8}\.(?:new|due|events)")
HELD = re.compile(r"[0-9a-f]{12}\.held")
OURS = re.compile(rf"(?:{WAITING.pattern}|{HELD.pattern})(?:\.lock)?|\d+-[0-9a-f]{{8}}\.part")
_ADDING = os.O_RDWR | os.O_APPEND


class DeliveryItem(msgspec.Struct):
    """One thing to send: a report, or what follows a report that was sent."""

    report: Report
    follow_up: bool = False


class ClaimedItem:
    """An item that this process alone may send now.

    ``done`` has the names of the sinks that have it, ``fd`` is its file; -1: it is in memory only.
    """

    def __init__(self, item: DeliveryItem, done: set[str], fd: int) -> None:
        self.item = item
        self.done = done
        self._fd = fd

    def note(self, sink: str) -> None:
        """This sink has it; raises OSError when that cannot be written."""
        self.done.add(sink)
        if self._fd >= 0:
            # A line that was cut short before must not spoil this one.
            os.write(self._fd, b"\n" + msgspec.json.encode(sink))


class Spool:
    """The folder ``delivery`` below ``directory``; who writes gets an OSError when that fails.

    Args:
        directory: ``DIR``.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._next_look = 0.0
        self._unsaved: RateLimiter | None = None

    @property
    def folder(self) -> str:
        return os.path.join(self.directory, FOLDER)

    def put(self, item: DeliveryItem, kind: str = "due") -> str:
        """Writes an item, ``due`` or ``new``; returns its name."""
        name = f"{clock.time_ns():019}-{os.getpid()}-{os.urandom(4).hex()}.{kind}"
        self._write(name, encode(item))
        self._keep_within()
        return name

    def put_events(self, events: list[dict[str, Any]]) -> None:
        """Leaves events for the sinks of another process."""
        name = f"{clock.time_ns():019}-{os.getpid()}-{os.urandom(4).hex()}.events"
        self._write(name, b"".join(map(json_line, events)))
        self._keep_within()

    def take_events(self, name: str) -> list[dict[str, Any]]:
        """What was left under this name, which goes with it; empty when another takes it."""
        with opened_and_locked(os.path.join(self.folder, name), _ADDING) as fd:
            if fd is None:
                return []
            lines = _read_whole(fd).splitlines()
            self.remove(name)
        found = []
        for line in lines:
            with contextlib.suppress(*NOT_JSON):
                found.append(_EVENTS.decode(line))
        return found

    def put_held(self, report: Report) -> None:
        """Keeps the newest report of its group that was held back."""
        self._write(f"{report.fingerprint}.held", encode(DeliveryItem(report)))

    def drop_held(self, fingerprint: str) -> None:
        """What was held back has been told with another report."""
        self.remove(f"{fingerprint}.held")

    def remove(self, name: str) -> None:
        """Removes a file, which may be gone already."""
        try:
            os.unlink(os.path.join(self.folder, name))
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as exc:
            lost("the spool of reports", exc, 0)

    def names(self) -> list[str]:
        """What waits, the oldest first, then what is held back; empty without a folder."""
        try:
            found = os.listdir(self.folder)
        except OSError:
            return []
        return sorted(filter(WAITING.fullmatch, found)) + sorted(filter(HELD.fullmatch, found))

    @contextmanager
    def claim(self, name: str) -> Iterator[ClaimedItem | None]:
        """The item of this name; None when another process has it, or it cannot be read.

        What is no item is counted and removed; another user's files are left alone.
        """
        with opened_and_locked(os.path.join(self.folder, name), _ADDING) as fd:
            yield None if fd is None else self._read(name, fd)

    def _read(self, name: str, fd: int) -> ClaimedItem | None:
        data = _read_whole(fd)
        first, _, notes = data.partition(b"\n")
        try:
            item = _ITEMS.decode(first)
        except NOT_JSON as exc:
            lost("reports for sinks", f"{name} is no report: {clean(str(exc))}")
            self.remove(name)
            return None
        done = set()
        for line in notes.split(b"\n"):
            with contextlib.suppress(*NOT_JSON):
                done.add(_NAMES.decode(line))
        return ClaimedItem(item, done, fd)

    @contextmanager
    def limiter(self) -> Iterator[RateLimiter]:
        """The groups, for this process alone; what was changed is kept after the block.

        In memory, when the disk does not take them: else a full one would let a flood through.
        """
        with contextlib.ExitStack() as block:
            locked = False
            try:
                folder = subfolder(self.directory, FOLDER)
                _lock_limiter(os.path.join(folder, "groups.lock"), block)
                locked = True
                self._unsaved = self._unsaved or _load(os.path.join(folder, "groups.json"))
            except OSError as exc:
                lost("the groups of reports", exc, 0)
                self._unsaved = self._unsaved or RateLimiter()
            yield self._unsaved
            try:
                if locked:
                    self._write("groups.json", msgspec.json.encode(self._unsaved))
                    self._unsaved = None
            except OSError as exc:
                lost("the groups of reports", exc, 0)

    def _write(self, name: str, data: bytes) -> None:
        folder = subfolder(self.directory, FOLDER)
        part = os.path.join(folder, f"{os.getpid()}-{os.urandom(4).hex()}.part")
        write_whole(os.path.join(folder, name), data, part)

    def _keep_within(self) -> None:
        now = clock.monotonic()
        if now >= self._next_look:
            self._next_look = now + 1.0
            removed = keep_within(self.folder, MAX_BYTES, OURS)
            if removed:
                lost("reports for sinks", "the spool is full", removed)


# Made here, for they compile the annotations of what they decode: not on the thread that sends.
_ITEMS = msgspec.json.Decoder(DeliveryItem)
_LIMITER = msgspec.json.Decoder(RateLimiter)
_NAMES = msgspec.json.Decoder(str)
_EVENTS = msgspec.json.Decoder(dict[str, Any])


def encode(item: DeliveryItem) -> bytes:
    """One line of JSON; where it is too long, the event is shortened, and then variables go."""
    line = _encode(item)
    if len(line) > ITEM_MAX_BYTES:
        item = DeliveryItem(
            replace(item.report, event=shortened(item.report.event)), item.follow_up
        )
        line = _encode(item)
    snapshot = item.report.snapshot
    if len(line) > ITEM_MAX_BYTES and snapshot is not None and snapshot.variables:
        without = replace(item.report, snapshot=replace(snapshot, variables=None))
        line = _encode(DeliveryItem(without, item.follow_up))
    return line


def _encode(item: DeliveryItem) -> bytes:
    """Values of an application's own types are text."""
    try:
        return msgspec.json.encode(item, enc_hook=clean)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # Invalid Unicode, huge numbers, what is too deep: made to fit as the line of an event is.
        report = replace(item.report, event=encodable(item.report.event))
        return json_line(msgspec.to_builtins(DeliveryItem(report, item.follow_up)))[:-1]


def spool_new(directory: str, report: Report) -> None:
    """For a process that sends nothing itself: a worker will, when there is one again."""
    try:
        Spool(directory).put(DeliveryItem(report), "new")
    except OSError as exc:
        lost("reports for sinks", exc)


def spool_unsent(directory: str, events: list[dict[str, Any]]) -> None:
    """The same for events that the sinks of a dead process did not get."""
    if events:
        try:
            Spool(directory).put_events(events)
        except OSError as exc:
            lost("events for sinks", exc, len(events))


def _load(path: str) -> RateLimiter:
    try:
        with opened(path) as fd:
            return _LIMITER.decode(_read_whole(fd))
    except (FileNotFoundError, NotOwnFileError):  # the latter: it is not ours
        return RateLimiter()
    except NOT_JSON as exc:
        lost("the groups of reports", exc, 0)  # they begin again
        return RateLimiter()


def _read_whole(fd: int) -> bytes:
    parts = []
    at = 0
    while part := os.pread(fd, 1024**2, at):
        parts.append(part)
        at += len(part)
        if at > 8 * ITEM_MAX_BYTES:
            break
    return b"".join(parts)


def _lock_limiter(path: str, block: contextlib.ExitStack) -> None:
    fd = block.enter_context(opened(path, _ADDING | os.O_CREAT))
    if not block.enter_context(locked(fd, tries=LOCK_TRIES, pause=0.01)):
        raise BlockingIOError("another process holds the groups of reports")
