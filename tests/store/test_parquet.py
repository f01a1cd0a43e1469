"""Parquet files with other columns than ``events`` change no value of other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from slowhound.store import ship
from slowhound.store.duckdb import LocalFiles
from slowhound.store.ship import Shipper
from slowhound.store.tail import last_events
from tests.store.broken import BROKEN, GOOD, seven
from tests.store.events import segment

ASKED = "SELECT req_id, resp_status, resp_time, req_path FROM events WHERE host = 'web-1'"
OTHER = {
    "lists and structs": "[1] AS req_id, {'a': 1} AS req_path, [0.1] AS resp_time",
    "bytes and a date": "'r8'::BLOB AS req_id, date '2026-01-01' AS req_path",
    "a UUID, a truth and a word": "uuid() AS req_id, true AS resp_status, 'fast' AS resp_time",
    "numbers": "5 AS req_id, 1.5::DECIMAL(9, 2) AS resp_status, 1 AS resp_time",
    "texts": "'x' AS pid, '{' AS db_top, 'y' AS app",
    "no values": "NULL AS resp_status, NULL AS resp_time",
    "another case": "[1] AS REQ_ID, 'x' AS Resp_Time",
    "a name with a quote": """'a' AS "bad""name" """,
    "another time": "timestamp '2026-01-01' AS ts, 'r8' AS req_id",
}


def other(folder: Path, columns: str, name: str = BROKEN) -> None:
    """A file with these columns, and with those that make an event."""
    path = folder / "events" / f"{name}.parquet"
    rest = "" if " AS ts" in columns else ", 5.0 AS ts"
    duckdb.sql(
        f"COPY (SELECT {columns}{rest}, 'request' AS event_type, '{name}' AS segment)"
        f" TO '{path}' (FORMAT parquet)"
    )


@pytest.mark.parametrize("columns", OTHER.values(), ids=OTHER)
def test_column_of_another_type_neither_fails_nor_changes_an_answer(
    tmp_path: Path, columns: str
) -> None:
    """In named questions and ad-hoc SQL: each known column keeps its type."""
    segment(tmp_path, [seven()], GOOD)
    source = LocalFiles(str(tmp_path))
    before = source.sql(ASKED).rows
    assert len(before) == 1
    other(tmp_path, columns)
    for ask in (source.sql, source.adhoc):
        answer = ask(ASKED)
        assert [tuple(row) for row in answer.rows] == before
        assert [type(each) for each in answer.rows[0]] == [str, int, float, str]
        assert answer.remarks == ()
    assert source.health().problems == ()


def test_unknown_columns_that_differ_from_file_to_file_are_texts(tmp_path: Path) -> None:
    """One in a single file keeps its type: a newer version may have written it."""
    segment(tmp_path, [seven()], GOOD)
    other(tmp_path, "'a' AS req_id, [1] AS one, 7 AS two")
    other(tmp_path, "'b' AS req_id, {'x': 1} AS one", "1770000000002-11-0")
    found = LocalFiles(str(tmp_path)).sql("SELECT one, two FROM events ORDER BY req_id").rows
    assert found == [("[1]", 7), ("{'x': 1}", None), (None, None)]


def test_values_that_fit_are_tailed_and_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By ``tail`` and by ``ship``."""
    segment(tmp_path, [seven()], GOOD)
    other(tmp_path, "[1] AS req_id, 5.0::DECIMAL(9, 2) AS resp_time, 'x' AS pid")
    events, left_out = last_events(str(tmp_path / "events"), 9, lambda event: True)
    assert [(each["req_id"], each["resp_time"]) for each in events] == [("[1]", 5.0), ("r7", 0.1)]
    assert left_out == ()
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(ship.Shipper, "_insert", lambda self, found: sent.extend(found))
    shipper = Shipper(str(tmp_path), "clickhouse://localhost/db")
    shipper.ship_all()
    shipper.close()
    assert sorted((each["req_id"], each["resp_time"]) for each in sent) == [
        ("[1]", 5.0),
        ("r7", 0.1),
    ]
