"""Events one by one, as they were written: the last ones, and those to come."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from slowhound.event.fields import NAMES
from slowhound.redaction.plain_data import plain
from slowhound.runtime.library_names import NOT_JSON
from slowhound.store.broken import Broken, UnreadableError, reading
from slowhound.store.columns import LATEST
from slowhound.store.connections import alone
from slowhound.store.duckdb import load_duckdb
from slowhound.store.event_files import Files, list_files
from slowhound.store.parquet import inside, read_parquet

_decode = msgspec.json.Decoder().decode
CHUNK = 1024**2
TRIES = 3
SAME = ("ts", "host", "pid", "seq", "event_type", "req_id")
Event = dict[str, Any]
Wanted = Callable[[Event], bool]


def event_of(line: bytes) -> Event | None:
    """The event of one line; None for a torn one."""
    try:
        event = _decode(line)
    except NOT_JSON:
        return None
    whole = isinstance(event, dict) and "event_type" in event and _dated(event)
    return event if whole else None


def _dated(event: Event) -> bool:
    ts = event.get("ts")
    return isinstance(ts, int | float) and not isinstance(ts, bool) and 0 <= ts < LATEST


def last_events(folder: str, number: int, wanted: Wanted) -> tuple[list[Event], tuple[str, ...]]:
    """The last events that are wanted, in the order of their time; the files left out, and why.

    Raises:
        StoreError: they are in Parquet files, and DuckDB is not installed.
    """
    broken = Broken()
    for _ in range(TRIES):
        files = list_files(folder)
        found = _last_of(files, number, wanted, broken)
        if all(os.path.lexists(path) for path in files.segments):
            break  # else one was compacted meanwhile, and its events are in a file not looked at
    return found, broken.said(files.paths)


def _last_of(files: Files, number: int, wanted: Wanted, broken: Broken) -> list[Event]:
    found: list[Event] = []
    for path in files.segments:
        found = _latest([*found, *_of_segment(path, number, wanted, broken)], number)
    for path in reversed(files.parquet):
        # A Parquet file can only help while it has events younger than the oldest of ours.
        found = _latest([*found, *_of_parquet(path, number, wanted, broken)], number)
        if len(found) == number and _modified(path) < found[0]["ts"]:
            break
    return found


def _latest(events: list[Event], number: int) -> list[Event]:
    # A segment that is being compacted is there twice.
    unique = {tuple(_comparable(each.get(name)) for name in SAME): each for each in events}
    return heapq.nlargest(number, unique.values(), key=lambda each: each["ts"])[::-1]


def _comparable(value: Any) -> Any:
    # Whoever wrote the line may have written a list there, which has no hash.
    return value if value is None or isinstance(value, str | int | float) else type(value)


def _first(events: Iterator[Event], number: int, wanted: Wanted) -> list[Event]:
    found: list[Event] = []
    for event in events:
        if len(found) == number:
            break
        if wanted(event):
            found.append(event)
    return found


def _modified(path: str) -> float:
    try:
        return os.path.getmtime(path)
    except OSError:
        return 0.0


def _of_segment(path: str, number: int, wanted: Wanted, broken: Broken) -> list[Event]:
    try:
        return _first(_backwards(path), number, wanted)
    except OSError as exc:
        broken.add(path, exc)
        return []


def _backwards(path: str) -> Iterator[Event]:
    """The events of a segment, the last one first."""
    with open(path, "rb") as file:
        at, rest = file.seek(0, os.SEEK_END), b""
        while at > 0:
            size = min(CHUNK, at)
            at -= size
            file.seek(at)
            lines = (file.read(size) + rest).split(b"\n")
            rest = lines[0]  # its beginning is further up
            for line in reversed(lines[1:]):
                event = event_of(line)
                if event is not None:
                    yield event
        event = event_of(rest)
        if event is not None:
            yield event


def _of_parquet(path: str, number: int, wanted: Wanted, broken: Broken) -> list[Event]:
    duckdb = load_duckdb()
    try:
        with reading(), alone(duckdb) as connection:
            source = next(read_parquet({path: inside(connection, path).columns}))
            done = connection.execute(f"SELECT * FROM ({source}) ORDER BY ts DESC")
            columns = [each[0] for each in done.description or ()]

            def events() -> Iterator[Event]:
                while batch := done.fetchmany(1000):
                    for row in batch:
                        yield _as_written(dict(zip(columns, row, strict=True)))

            return _first(filter(_dated, events()), number, wanted)
    except UnreadableError as exc:
        broken.add(path, exc)
        return []


def _as_written(row: dict[str, Any]) -> Event:
    """A row of a Parquet file as the event it was; values of the application's are text.

    A column that somebody has added may hold dates, intervals or bytes, which JSON does not have.
    """
    own = row.pop("app", None) or {}
    row.pop("segment", None)
    return {
        name: value if name in NAMES else plain(value)
        for name, value in row.items()
        if value is not None
    } | own


class Follower:
    """Gives the events that are written from now on, in all segments, also in new ones."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._offsets = {path: _size(path) for path in self._segments()}

    def _segments(self) -> tuple[str, ...]:
        files: Files = list_files(self.folder)
        return files.segments

    def read(self) -> list[Event]:
        """The new events since the last call, in the order of their time."""
        found = []
        known, self._offsets = self._offsets, {}
        for path in self._segments():
            offset = known.get(path, 0)
            try:
                with open(path, "rb") as file:
                    if os.fstat(file.fileno()).st_size < offset:
                        offset = 0  # somebody has emptied it, and its process goes on
                    file.seek(offset)
                    data = file.read()
            except OSError:
                self._offsets[path] = offset  # it may be for want of descriptors
                continue
            whole = data[: data.rfind(b"\n") + 1]
            self._offsets[path] = offset + len(whole)
            found += [event for line in whole.split(b"\n") if (event := event_of(line))]
        return sorted(found, key=lambda each: float(each["ts"]))


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
