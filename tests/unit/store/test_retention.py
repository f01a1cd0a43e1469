"""A worker keeps the store within its age, and others compact while it writes."""

from __future__ import annotations

import os
import time
from typing import Any

from django.test import Client

from slowhound.store.duckdb import LocalFiles
from tests.store.events import request, segment


def test_old_files_are_removed_when_a_worker_starts(configure: Any, client: Client) -> None:
    """`STORE_MAX_AGE` applies to files of ended workers, and to Parquet files."""
    directory = configure(STORE_MAX_AGE=3600)
    old = segment(directory, [request(1, 0, "shop", 1)], "1600000000000-1-0")
    young = segment(directory, [request(2, 0, "shop", 1)], "1600000000001-1-0")
    parquet = old.with_suffix(".parquet")
    parquet.touch()
    for path, age in ((old, 4000), (parquet, 4000), (young, 3000)):
        os.utime(path, (time.time() - age, time.time() - age))
    client.get("/")
    assert [path.exists() for path in (old, parquet, young)] == [False, False, True]


def test_segment_of_a_running_worker_is_not_compacted(configure: Any, client: Client) -> None:
    """Its events are found at once; a reader compacts only closed segments."""
    directory = configure()
    closed = segment(directory, [request(2, 0, "shop", 1)], "1600000000001-1-0")
    client.get("/")
    source = LocalFiles(str(directory))
    assert source.compact() == 1
    assert not closed.exists()
    client.get("/")
    assert source.health().events == 3
