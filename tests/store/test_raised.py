"""Errors while reading a file are handled alike, whatever their class, but for slowhound's own."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from slowhound.store import adhoc, broken, ship, tail
from slowhound.store import duckdb as of_duckdb
from slowhound.store.answer import StoreError
from slowhound.store.broken import UnreadableError
from slowhound.store.connections import DatabaseLostError
from slowhound.store.duckdb import LocalFiles
from slowhound.store.event_files import list_event_files
from slowhound.store.ship import Shipper
from slowhound.store.tail import last_events
from tests.store.broken import BROKEN, GOOD, IDS, counting, seven
from tests.store.events import EVENTS, segment


class OddError(Exception):
    """A class that no one expects, as a future version of DuckDB may raise."""


ODD = (duckdb.Error, RuntimeError, UnicodeError, MemoryError, OSError, OddError)


@pytest.mark.slow  # half a second each
@pytest.mark.parametrize("error", ODD)
def test_class_of_an_error_of_duckdb_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """The file is left out and named by all readers, and the message stays."""
    segment(tmp_path, EVENTS, BROKEN)
    source = LocalFiles(str(tmp_path))
    source.compact()
    (path,) = (tmp_path / "events").iterdir()
    segment(tmp_path, [seven()], GOOD)
    execute = duckdb.DuckDBPyConnection.execute

    class Odd:
        """A connection that reads all files but this one."""

        def __init__(self, connection: Any) -> None:
            self.connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self.connection, name)

        def execute(self, query: str, *rest: Any) -> Any:
            if str(path) in query:
                raise error("odd\nand more")
            return execute(self.connection, query, *rest)

        def cursor(self) -> Any:
            return Odd(self.connection.cursor())

    connect = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda *each, **more: Odd(connect(*each, **more)))
    problems = (f"{path.name}: odd",)
    # Not ad-hoc SQL: the odd connection is not in its process.
    source = LocalFiles(str(tmp_path))
    assert source.sql(IDS) == (("req_id",), [("r7",)], (f"left out: {problems[0]}",))
    assert source.health().problems == problems
    found, left_out = last_events(str(tmp_path / "events"), 9, lambda event: True)
    assert ([event["req_id"] for event in found], left_out) == (["r7"], problems)
    shipper = Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db")
    monkeypatch.setattr(shipper, "_insert", lambda rows: None)
    assert shipper.ship_all().left_out == problems
    shipper.close()
    assert source.compact() == 1


@pytest.mark.parametrize("compacted", [False, True], ids=["segment", "Parquet"])
def test_file_that_is_removed_while_it_is_read_is_not_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compacted: bool
) -> None:
    """By retention, between listing and reading: no answer names it."""
    gone = segment(tmp_path, EVENTS, BROKEN)
    if compacted:
        LocalFiles(str(tmp_path)).compact()
        gone = gone.with_suffix(".parquet")
    data = gone.read_bytes()
    segment(tmp_path, [seven()], GOOD)

    def listed(folder: str) -> Any:
        found = list_event_files(folder)
        gone.unlink(missing_ok=True)
        return found

    for module in (of_duckdb, tail, ship):
        monkeypatch.setattr(module, "list_event_files", listed)
    for ask in (LocalFiles.sql, LocalFiles.adhoc):
        gone.write_bytes(data)
        assert ask(LocalFiles(str(tmp_path)), IDS) == (("req_id",), [("r7",)], ())
    gone.write_bytes(data)
    found, left_out = last_events(str(tmp_path / "events"), 9, lambda event: True)
    assert ([event["req_id"] for event in found], left_out) == (["r7"], ())
    gone.write_bytes(data)
    sent: list[Any] = []
    shipper = Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db")
    monkeypatch.setattr(shipper, "_insert", sent.extend)
    assert shipper.ship_all().left_out == ()
    assert [row["req_id"] for row in sent] == ["r7"]
    shipper.close()


def test_store_error_keeps_its_class() -> None:
    """Its message is for people already."""
    for ours in (StoreError("no"), UnreadableError("no"), DatabaseLostError("no")):
        with pytest.raises(StoreError) as raised, broken.as_unreadable():
            raise ours
        assert raised.value is ours


@pytest.mark.parametrize("cause", [KeyboardInterrupt(), SystemExit(1), OddError("limit")])
def test_exception_of_a_signal_handler_passes(cause: BaseException) -> None:
    """A server that stops, or a time limit: no error of DuckDB, and no broken file."""
    with pytest.raises(type(cause)) as raised, broken.as_unreadable():
        raise RuntimeError("Query interrupted") from cause
    assert raised.value is cause


@pytest.mark.parametrize("default", [True, False])
def test_unnamed_signal_is_ctrl_c_if_that_has_its_default_handler(
    monkeypatch: pytest.MonkeyPatch, default: bool
) -> None:
    """As in 2.0.1; a server has its own handler, and must not be stopped by a guess."""
    handler = signal.default_int_handler if default else signal.SIG_IGN
    monkeypatch.setattr(signal, "getsignal", lambda number: handler)
    wanted: type[BaseException] = KeyboardInterrupt if default else StoreError
    with pytest.raises(wanted) as raised, broken.as_unreadable():
        raise RuntimeError("Query interrupted")
    assert not isinstance(raised.value, UnreadableError)


@pytest.mark.parametrize(
    ("text", "message", "counts"),
    [
        ("SELECT nothing FROM events", "nothing", (2, 0)),
        ("SELECT req_id::INT FROM events", "r7", (3, 1)),
    ],
    ids=["slip", "value"],
)
def test_error_in_the_sql_is_attributed_to_no_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    message: str,
    counts: tuple[int, int],
) -> None:
    """It fails without files, too; else it is run again after each file was read."""
    segment(tmp_path, [seven()], GOOD)
    source = LocalFiles(str(tmp_path))
    tried = counting(monkeypatch, adhoc, "run")
    checked = counting(monkeypatch, source, "_reads")
    with pytest.raises(StoreError, match=message):
        source.adhoc(text)
    assert (len(tried), len(checked)) == counts
    assert source.sql(IDS).remarks == ()


@pytest.mark.parametrize(
    "errors",
    [[DatabaseLostError] * 2, [ValueError], [OddError]],
    ids=["database broken by others", "text that is no UTF-8", "any other"],
)
def test_error_that_does_not_come_again_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: list[type[Exception]]
) -> None:
    """The next attempt answers, and each file is read at most once for that."""
    segment(tmp_path, [seven()], GOOD)
    source = LocalFiles(str(tmp_path))
    left, viewing = [*errors], source._viewing

    def failing(files: Any) -> Any:
        if left:
            raise left.pop()("no")
        return viewing(files)

    monkeypatch.setattr(source, "_viewing", failing)
    checked = counting(monkeypatch, source, "_reads")
    assert source.sql(IDS) == (("req_id",), [("r7",)], ())
    assert len(checked) == 1
