"""Reads single events in the order of their time: the last ones, and new ones as they come."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from slowhound.event.fields import NAMES
from slowhound.redaction.plain_data import plain
from slowhound.runtime.library_names import NOT_JSON
from slowhound.store.broken import BrokenFiles, UnreadableError, as_unreadable
from slowhound.store.columns import LATEST_TIME
from slowhound.store.connections import private_database
from slowhound.store.duckdb import load_duckdb
from slowhound.store.event_files import EventFiles, file_size, list_event_files
from slowhound.store.parquet import parquet_info, read_parquet

_decode = msgspec.json.Decoder().decode
CHUNK_BYTES = 1024**2
LIST_ATTEMPTS = 3
IDENTITY = ("ts", "host", "pid", "seq", "event_type", "req_id")
Event = dict[str, Any]
Predicate = Callable[[Event], bool]


def parse_event(line: bytes) -> Event | None:
    """The event of one line; None for a torn line."""
    try:
        event = _decode(line)
    except NOT_JSON:
        return None
    whole = isinstance(event, dict) and "event_type" in event and _dated(event)
    return event if whole else None


def _dated(event: Event) -> bool:
    ts = event.get("ts")
    return isinstance(ts, int | float) and not isinstance(ts, bool) and 0 <= ts < LATEST_TIME


def last_events(folder: str, number: int, wanted: Predicate) -> tuple[list[Event], tuple[str, ...]]:
    """The last events that match, in the order of their time; the files left out, and why.

    Raises:
        StoreError: they are in Parquet files, and DuckDB is not installed.
    """
    broken = BrokenFiles()
    for _ in range(LIST_ATTEMPTS):
        files = list_event_files(folder)
        found = _last_of(files, number, wanted, broken)
        if all(os.path.lexists(path) for path in files.segments):
            break  # else one was compacted meanwhile, into a file that was not read
    return found, broken.messages(files.paths)


def _last_of(files: EventFiles, number: int, wanted: Predicate, broken: BrokenFiles) -> list[Event]:
    found: list[Event] = []
    for path in files.segments:
        found = _latest([*found, *_of_segment(path, number, wanted, broken)], number)
    for path in reversed(files.parquet):
        # A Parquet file only matters if it has events younger than the oldest found.
        found = _latest([*found, *_of_parquet(path, number, wanted, broken)], number)
        if len(found) == number and _modified(path) < found[0]["ts"]:
            break
    return found


def _latest(events: list[Event], number: int) -> list[Event]:
    # A segment that is being compacted exists twice.
    unique = {tuple(_comparable(each.get(name)) for name in IDENTITY): each for each in events}
    return heapq.nlargest(number, unique.values(), key=lambda each: each["ts"])[::-1]


def _comparable(value: Any) -> Any:
    # A line of another program may have a list here, which is not hashable.
    return value if value is None or isinstance(value, str | int | float) else type(value)


def _first(events: Iterator[Event], number: int, wanted: Predicate) -> list[Event]:
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


def _of_segment(path: str, number: int, wanted: Predicate, broken: BrokenFiles) -> list[Event]:
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
            size = min(CHUNK_BYTES, at)
            at -= size
            file.seek(at)
            lines = (file.read(size) + rest).split(b"\n")
            rest = lines[0]  # its beginning is in the chunk before
            for line in reversed(lines[1:]):
                event = parse_event(line)
                if event is not None:
                    yield event
        event = parse_event(rest)
        if event is not None:
            yield event


def _of_parquet(path: str, number: int, wanted: Predicate, broken: BrokenFiles) -> list[Event]:
    duckdb = load_duckdb()
    try:
        with as_unreadable(), private_database(duckdb) as connection:
            source = next(read_parquet({path: parquet_info(connection, path).columns}))
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
    """A row of a Parquet file as an event; the application's own values are text.

    A column that another program added may hold dates, intervals or bytes, which JSON cannot.
    """
    own = row.pop("app", None) or {}
    row.pop("segment", None)
    return {
        name: value if name in NAMES else plain(value)
        for name, value in row.items()
        if value is not None
    } | own


class Follower:
    """Reads the events that are written from now on, in existing and new segments."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._offsets = {path: file_size(path) for path in self._segments()}

    def _segments(self) -> tuple[str, ...]:
        files: EventFiles = list_event_files(self.folder)
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
                        offset = 0  # it was truncated while its process goes on writing
                    file.seek(offset)
                    data = file.read()
            except OSError:
                self._offsets[path] = offset  # perhaps no file descriptors are left
                continue
            whole = data[: data.rfind(b"\n") + 1]
            self._offsets[path] = offset + len(whole)
            found += [event for line in whole.split(b"\n") if (event := parse_event(line))]
        return sorted(found, key=lambda each: float(each["ts"]))
