"""Ships segments to ClickHouse at least once, and continues where it was after a kill.

The position is in ``DIR/ship/<target>.json``, which is written after ClickHouse has confirmed a
batch. After a kill in between the batch is sent again, and the table makes one row of two with the
same key, see ``clickhouse``. A segment that was compacted in the meantime is read from its Parquet
file, from the beginning if it was not finished before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from slowhound.runtime.clocks import clock
from slowhound.store import clickhouse_rows, clickhouse_schema, shipped
from slowhound.store.answer import StoreError
from slowhound.store.broken import EVERY_VALUE, BrokenFiles, UnreadableError, as_unreadable
from slowhound.store.clickhouse import Target, error_text
from slowhound.store.connections import private_database
from slowhound.store.duckdb import load_duckdb
from slowhound.store.event_files import list_event_files, name_of
from slowhound.store.parquet import parquet_info, read_parquet, text
from slowhound.store.shipped import SegmentProgress
from slowhound.system.file_locks import close, lock, renew
from slowhound.system.files import open_own
from slowhound.system.private_dir import subfolder

BATCH_BYTES = 8 * 1024**2  # of JSON: about 10,000 events
BATCH_ROWS = 10_000
INSERT_SETTINGS = {
    "max_partitions_per_insert_block": 1000,  # events of months ago are one insert, too
    "input_format_skip_unknown_fields": 1,
    # The server makes one part of the small batches of many hosts, and the shipper waits for it.
    "async_insert": 1,
    "wait_for_async_insert": 1,
}


class Lag(NamedTuple):
    """What was not sent yet."""

    bytes: int
    seconds: float  # age of the oldest unsent bytes, by the time of their file
    sent: int  # events, in this process
    torn: int  # lines that were cut short
    lost: int  # segments that were removed or emptied before they were sent
    # Files that cannot be read, and why; not counted in bytes and seconds.
    left_out: tuple[str, ...] = ()


class Shipper:
    """Ships one ``DIR`` to one table. Only one process at a time can ship to a target.

    Args:
        directory: ``DIR``.
        spec: the target, see ``open.open_source``.

    Raises:
        StoreError: another process ships to it, or the folder cannot be used.
    """

    def __init__(self, directory: str, spec: str) -> None:
        self.target = Target(spec)
        self.folder = os.path.join(os.path.abspath(directory), "events")
        self.sent = self.torn = self.lost = 0
        self._client: Any = None
        self.segments: dict[str, SegmentProgress] = {}
        self.parquet: set[str] = set()
        self._broken = BrokenFiles()
        self._has_lost_lock = False
        name = hashlib.sha256(self.target.name.encode()).hexdigest()[:16]
        try:
            self.path = os.path.join(subfolder(directory, "ship"), f"{name}.json")
            # Held until this process ends.
            self._lock = open_own(f"{self.path}.lock", os.O_RDWR | os.O_CREAT)
            try:
                lock(self._lock)
                self._load()
            except BaseException:
                close(self._lock)
                raise
        except BlockingIOError as exc:
            raise self._in_use() from exc
        except OSError as exc:
            raise StoreError(str(exc)) from exc

    def close(self) -> None:
        """Releases the lock, so that another process can ship."""
        close(self._lock)
        if self._client is not None:
            self._client.close()

    def _in_use(self) -> StoreError:
        return StoreError(f"another process ships to {self.target.name} already")

    def _renew_lock(self) -> None:
        try:
            if self._has_lost_lock:
                lock(self._lock)
                self._has_lost_lock = False
                self._load()
            renew(self._lock)
        except BlockingIOError as exc:
            self._has_lost_lock = True
            raise self._in_use() from exc
        except OSError as exc:
            raise StoreError(str(exc)) from exc

    def connect(self, keep_days: int = clickhouse_schema.KEEP_DAYS) -> list[str]:
        """Connects, and creates or migrates the table; returns the columns that were added.

        Raises:
            StoreError: the server does not answer, or the user lacks the rights.
        """
        self._renew_lock()
        client = self.target.connect()
        added = clickhouse_schema.migrate(client, self.target, keep_days)
        self._client = client
        return added

    def ship_all(self, progress: Callable[[Lag], None] | None = None) -> Lag:
        """Sends everything that was not sent yet.

        Args:
            progress: is called with the lag after each batch.

        Raises:
            StoreError: a batch could not be sent; those before it were.
        """
        self._renew_lock()
        self._broken.try_again()
        there = list_event_files(self.folder)
        files = there.without(self._broken)
        # The Parquet files first: so their segments are known to be sent before they are removed
        # from the list.
        for path in files.parquet:
            if os.path.basename(path) not in self.parquet:
                self._ship_parquet(path)
                if progress is not None:
                    progress(self.lag())
        for path in files.segments:
            while self._ship_batch(path):
                if progress is not None:
                    progress(self.lag())
        self._forget({name_of(path) for path in there.segments}, set(there.parquet))
        return self.lag()

    def lag(self) -> Lag:
        """What is in the folder and was not sent."""
        left, since = 0, clock.time()
        there = list_event_files(self.folder)
        files = there.without(self._broken)
        for path in files.segments:
            with suppress(OSError):
                found = os.stat(path)
                offset = self.segments.get(name_of(path), SegmentProgress()).offset
                if offset > found.st_size:
                    offset = 0  # it was truncated
                left += found.st_size - offset
                if found.st_size > offset:
                    since = min(since, found.st_mtime)
        for path in files.parquet:
            if os.path.basename(path) not in self.parquet:
                with suppress(OSError):
                    found = os.stat(path)
                    left += found.st_size
                    since = min(since, found.st_mtime)
        behind, left_out = max(clock.time() - since, 0.0), self._broken.messages(there.paths)
        return Lag(left, behind, self.sent, self.torn, self.lost, left_out)

    def _ship_batch(self, path: str) -> bool:
        """Sends the next batch of a segment; False when there is none."""
        name = name_of(path)
        done = self.segments.get(name, SegmentProgress())
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < done.offset:
                    # It was truncated while its process goes on writing. What was not sent before
                    # is unknown.
                    self.lost += 1
                    done = self.segments[name] = SegmentProgress()
                file.seek(done.offset)
                data = file.read(BATCH_BYTES)
                if data and b"\n" not in data:
                    data += file.readline()  # one line that is longer than a batch
        except OSError as exc:
            self._broken.add(path, exc)
            return False  # it may have been compacted or removed; the next call sees which
        # The last line may be incomplete: its end is still to be written, or never will be.
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:
            return False
        lines = [line for line in whole.split(b"\n") if line]
        made = [clickhouse_rows.from_line(line, name) for line in lines]
        found = [row for row in made if row is not None]
        self._insert(found)
        self.torn += len(made) - len(found)
        self.segments[name] = SegmentProgress(
            done.offset + len(whole), done.events + len(found), size
        )
        self._save()
        return True

    def _ship_parquet(self, path: str) -> None:
        """Sends the segments of a Parquet file that were not finished before."""
        duckdb = load_duckdb()
        try:
            with as_unreadable(), private_database(duckdb) as connection:
                segments, _torn, columns_there = parquet_info(connection, path)
                # In a file of another program a row may have no segment.
                source = (
                    f"(SELECT * REPLACE (coalesce(segment, {text(name_of(path))}) AS segment)"
                    f" FROM ({next(read_parquet({path: columns_there}))}))"
                )
                counts = dict(
                    connection.execute(
                        f"SELECT segment, count(*) FROM {source} GROUP BY segment"
                    ).fetchall()
                )
                rest = [
                    name
                    for name, count in counts.items()
                    if self.segments.get(name, SegmentProgress()).events < count
                ]
                if rest:  # reads all first: rows of a broken file would be sent with every attempt
                    connection.execute(f"SELECT {EVERY_VALUE} FROM {source}").fetchall()
                for name in sorted(rest):
                    done = connection.execute(f"SELECT * FROM {source} WHERE segment = ?", [name])
                    columns = [each[0] for each in done.description or ()]
                    while batch := done.fetchmany(BATCH_ROWS):
                        made = [_of_parquet(columns, row, name) for row in batch]
                        self._insert([row for row in made if row is not None])
        except UnreadableError as exc:
            self._broken.add(path, exc)
            return
        self.parquet.add(os.path.basename(path))
        for name in segments:
            self.segments.pop(name, None)
        self._save()

    def _insert(self, found: list[dict[str, Any]]) -> None:
        if not found:
            return
        self._renew_lock()
        try:
            self._client.raw_insert(
                self.target.table,
                insert_block=clickhouse_rows.encode(found),
                fmt="JSONEachRow",
                settings=INSERT_SETTINGS,
            )
        except Exception as exc:
            raise StoreError(f"{self.target.name}: {error_text(exc)}") from exc
        self.sent += len(found)

    def _forget(self, segments: set[str], parquet: set[str]) -> None:
        """Forgets files that were removed; counts those that were not sent before."""
        files = list_event_files(self.folder)
        for name in set(self.segments) - segments - {name_of(each) for each in files.segments}:
            if len(files.parquet) == len(parquet):  # else it may be in a new Parquet file
                done = self.segments.pop(name)
                self.lost += done.offset < done.size
        self.parquet &= {os.path.basename(path) for path in files.parquet}
        self._save()

    def _load(self) -> None:
        known = shipped.read(self.path)
        if known is not None:
            self.segments, self.parquet = known.segments, known.parquet

    def _save(self) -> None:
        shipped.write(self.path, self.target.name, self.segments, self.parquet)


def _of_parquet(columns: list[str], values: tuple[Any, ...], segment: str) -> dict[str, Any] | None:
    event = dict(zip(columns, values, strict=True))
    return clickhouse_rows.row_of(event, segment, event.get("app") or {})
