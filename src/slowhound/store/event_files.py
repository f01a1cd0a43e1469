"""Lists the files of events, and reads segments with SQL."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from typing import NamedTuple

from slowhound.event.fields import FIELDS
from slowhound.store.answer import StoreError
from slowhound.store.columns import json_structure
from slowhound.store.parquet import NO_HIVE_COLUMNS, names, quoted
from slowhound.store.segments import PARQUET, SEGMENT

# Those that have a column of their own.
FIELD_NAMES = [field.name for field in FIELDS]


class EventFiles(NamedTuple):
    """Paths, sorted by age."""

    segments: tuple[str, ...]
    parquet: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.segments, *self.parquet)

    def without(self, paths: Container[str]) -> EventFiles:
        """The same without some."""
        return EventFiles(*(tuple(each for each in part if each not in paths) for part in self))

    def all_exist(self) -> bool:
        """True when none was removed since they were listed."""
        return all(os.path.lexists(path) for path in self.paths)


def list_event_files(folder: str) -> EventFiles:
    """The files in the folder, listed until two lists agree: one can miss a compacted segment.

    Raises:
        StoreError: the folder cannot be read.
    """
    before, now = None, _scan(folder)
    while before != now:
        before, now = now, _scan(folder)
    return now


def _scan(folder: str) -> EventFiles:
    segments, parquet = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if SEGMENT.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    segments.append(entry.path)
                elif PARQUET.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    parquet.append(entry.path)
    except FileNotFoundError:
        pass  # no events were written yet
    except OSError as exc:
        raise StoreError(f"the events cannot be read: {exc}") from exc
    return EventFiles(tuple(sorted(segments)), tuple(sorted(parquet)))


def name_of(path: str) -> str:
    """The name of a segment: its file name without the extension."""
    return os.path.basename(path).partition(".")[0]


def file_size(path: str) -> int:
    """Bytes; 0 for a file that was removed."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def read_segments(paths: Sequence[str]) -> str:
    """SQL that reads these segments; a torn line is a row that is not ``IS_EVENT``."""
    texts = (
        f"list_filter(json_keys(json), lambda each: NOT list_contains({quoted(FIELD_NAMES)}, each))"
    )
    app = f"map_from_entries([(each, json->>each) for each in list_distinct({texts})])"
    return (
        f"SELECT event.*, segment, app FROM (SELECT"
        f" json_transform(json, '{json_structure()}') AS event,"
        f" parse_filename(filename, true) AS segment, {app} AS app"
        f" FROM read_ndjson_objects({names(paths)}, ignore_errors = true, filename = true,"
        f" {NO_HIVE_COLUMNS}))"
    )
