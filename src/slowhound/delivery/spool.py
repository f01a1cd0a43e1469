"""Keeps what is to be sent in ``DIR/delivery/``, where a restart does not lose it.

All workers of one ``DIR`` share the folder. Its files are 0600 and appear whole, by a rename:

- ``<ns since 1970>-<pid>-<random>.new``: a report from a process that sends nothing itself, such
  as Gunicorn's arbiter; a worker decides whether it is sent.
- ``….due``: a report to be sent. The first line is the ``DeliveryItem``; then a line for each sink
  that has it, the sink's name as JSON. The process that sends it holds the file's lock, which the
  kernel drops when that process ends; then another process continues. The file is removed when all
  sinks have it.
- ``….events``: events of a process that ended before its sinks had them, a line each.
- ``<fingerprint>.held``: the newest report of a group that was held back.
- ``groups.json``: what ``rate_limit`` knows of the groups; ``groups.lock`` is locked while it
  changes.

Files are not synced: they survive the process, not a loss of power.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from slowhound.core.report import Report
from slowhound.delivery.item import ITEM_MAX_BYTES, ClaimedItem, DeliveryItem, decode, encode
from slowhound.delivery.rate_limit import RateLimiter
from slowhound.event.formats import clean, json_line
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import NOT_JSON
from slowhound.system.file_locks import locked, opened_and_locked
from slowhound.system.files import NotOwnFileError, opened, write_whole
from slowhound.system.losses import lost
from slowhound.system.private_dir import keep_within, subfolder

SPOOL_FOLDER = "delivery"
SPOOL_MAX_BYTES = 64 * 1024**2
FILE_MAX_BYTES = 8 * ITEM_MAX_BYTES  # of one file, when it is read
# The limiter's lock is held for milliseconds, unless its holder is stopped.
LIMITER_LOCK_TRIES = 100

WAITING_NAMES = re.compile(r"\d{19}-\d+-[0-9a-f]{8}\.(?:new|due|events)")
HELD_NAMES = re.compile(r"[0-9a-f]{12}\.held")
SPOOL_NAMES = re.compile(
    rf"(?:{WAITING_NAMES.pattern}|{HELD_NAMES.pattern})(?:\.lock)?|\d+-[0-9a-f]{{8}}\.part"
)
_ADDING = os.O_RDWR | os.O_APPEND


def new_name(kind: str) -> str:
    """A new file name; names sort by age."""
    return f"{clock.time_ns():019}-{os.getpid()}-{os.urandom(4).hex()}.{kind}"


class Spool:
    """The folder ``delivery`` below ``directory``; writing raises OSError when it fails.

    Args:
        directory: ``DIR``.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._next_size_check = 0.0
        self._unsaved_limiter: RateLimiter | None = None

    @property
    def folder(self) -> str:
        return os.path.join(self.directory, SPOOL_FOLDER)

    def put(self, item: DeliveryItem, kind: str = "due") -> str:
        """Writes an item, ``due`` or ``new``; returns its name."""
        name = new_name(kind)
        self._write(name, encode(item))
        self._keep_within()
        return name

    def put_events(self, events: list[dict[str, Any]]) -> None:
        """Leaves events for the sinks of another process."""
        self._write(new_name("events"), b"".join(map(json_line, events)))
        self._keep_within()

    def take_events(self, name: str) -> list[dict[str, Any]]:
        """Removes this file and returns its events; none when another process has it."""
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
        """Removes what was held back of a group: a report that was sent counts it."""
        self.remove(f"{fingerprint}.held")

    def remove(self, name: str) -> None:
        """Removes a file, which may be gone already."""
        try:
            os.unlink(os.path.join(self.folder, name))
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as exc:
            lost("the spool of reports", exc, 0)

    def names(self, kind: str = "") -> list[str]:
        """What waits, the oldest first, then what is held back; empty without a folder."""
        try:
            found = [name for name in os.listdir(self.folder) if name.endswith(kind)]
        except OSError:
            return []
        return sorted(filter(WAITING_NAMES.fullmatch, found)) + sorted(
            filter(HELD_NAMES.fullmatch, found)
        )

    @contextmanager
    def claim(self, name: str) -> Iterator[ClaimedItem | None]:
        """The item of this name; None when another process has it, or it cannot be read.

        A file that holds no item is counted and removed; another user's files are left alone.
        """
        with opened_and_locked(os.path.join(self.folder, name), _ADDING) as fd:
            yield self._read(name, fd) if fd is not None else None

    def _read(self, name: str, fd: int) -> ClaimedItem | None:
        try:
            return ClaimedItem(*decode(_read_whole(fd)), fd)
        except NOT_JSON as exc:
            lost("reports for sinks", f"{name} is no report: {clean(str(exc))}")
            self.remove(name)
            return None

    @contextmanager
    def limiter(self) -> Iterator[RateLimiter]:
        """The groups' counts, for this process alone; changes are saved after the block.

        They stay in memory while the disk does not take them: a full one must not let a flood of
        reports through.
        """
        with contextlib.ExitStack() as block:
            is_locked = False
            try:
                folder = subfolder(self.directory, SPOOL_FOLDER)
                _lock_limiter(os.path.join(folder, "groups.lock"), block)
                is_locked = True
                self._unsaved_limiter = self._unsaved_limiter or _load_limiter(
                    os.path.join(folder, "groups.json")
                )
            except OSError as exc:
                lost("the groups of reports", exc, 0)
                self._unsaved_limiter = self._unsaved_limiter or RateLimiter()
            yield self._unsaved_limiter
            try:
                if is_locked:
                    self._write("groups.json", msgspec.json.encode(self._unsaved_limiter))
                    self._unsaved_limiter = None
            except OSError as exc:
                lost("the groups of reports", exc, 0)

    def _write(self, name: str, data: bytes) -> None:
        folder = subfolder(self.directory, SPOOL_FOLDER)
        part = os.path.join(folder, f"{os.getpid()}-{os.urandom(4).hex()}.part")
        write_whole(os.path.join(folder, name), data, part)

    def _keep_within(self) -> None:
        now = clock.monotonic()
        if now >= self._next_size_check:
            self._next_size_check = now + 1.0
            removed = keep_within(self.folder, SPOOL_MAX_BYTES, SPOOL_NAMES)
            if removed:
                lost("reports for sinks", "the spool is full", removed)


# Made at import, see ``item``.
_LIMITER = msgspec.json.Decoder(RateLimiter)
_EVENTS = msgspec.json.Decoder(dict[str, Any])


def spool_new(directory: str, report: Report) -> None:
    """For a process that sends nothing itself: leaves a report for a worker to send."""
    try:
        Spool(directory).put(DeliveryItem(report), "new")
    except OSError as exc:
        lost("reports for sinks", exc)


def spool_unsent(directory: str, events: list[dict[str, Any]]) -> None:
    """Leaves the events that the sinks of an ended process did not get."""
    if events:
        try:
            Spool(directory).put_events(events)
        except OSError as exc:
            lost("events for sinks", exc, len(events))


def _load_limiter(path: str) -> RateLimiter:
    try:
        with opened(path) as fd:
            return _LIMITER.decode(_read_whole(fd))
    except (FileNotFoundError, NotOwnFileError):
        return RateLimiter()
    except NOT_JSON as exc:
        lost("the groups of reports", exc, 0)  # all are counted from zero again
        return RateLimiter()


def _read_whole(fd: int) -> bytes:
    parts = []
    at = 0
    while part := os.pread(fd, 1024**2, at):
        parts.append(part)
        at += len(part)
        if at > FILE_MAX_BYTES:
            break
    return b"".join(parts)


def _lock_limiter(path: str, block: contextlib.ExitStack) -> None:
    fd = block.enter_context(opened(path, _ADDING | os.O_CREAT))
    if not block.enter_context(locked(fd, tries=LIMITER_LOCK_TRIES, pause=0.01)):
        raise BlockingIOError("another process holds the groups of reports")
