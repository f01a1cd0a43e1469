"""Connections stay open between answers, and every answer is of the current files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest

from slowhound.store import duckdb as of_duckdb
from slowhound.store.answer import StoreError
from slowhound.store.connections import Connections, DatabaseLostError
from slowhound.store.duckdb import LocalFiles
from tests.harness.launch import ROOT
from tests.harness.waiting import eventually
from tests.store.events import request, segment

COUNT = "SELECT count(*), count(DISTINCT req_id) FROM events"
# The signal comes while the query runs: after a tenth of a second of its CPU time. DuckDB 2.0 may
# notice it only when the query ends.
CTRL_C = """
import signal, sys
from slowhound.store import duckdb
signal.signal(signal.SIGPROF, signal.default_int_handler)
source = duckdb.LocalFiles(sys.argv[1])
source.sql("SELECT 1 AS one")
signal.setitimer(signal.ITIMER_PROF, 0.1)
try:
    source.sql("SELECT count(*) FROM range(100000000) a, range(30) b WHERE hash(a, b) = 1")
except KeyboardInterrupt:
    print("interrupted", source.sql("SELECT 1 AS one").rows, flush=True)
"""
FORK = """
import os, sys
from slowhound.store.duckdb import LocalFiles
source = LocalFiles(sys.argv[1])
print(source.sql("SELECT sum(seq) FROM events").rows, flush=True)
child = os.fork()
if child == 0:
    print(source.sql("SELECT sum(seq) FROM events").rows, flush=True)
    sys.exit(source._shared.pid != os.getpid())
assert os.waitpid(child, 0)[1] == 0
print(source.sql("SELECT sum(seq) FROM events").rows, flush=True)
"""


def plain(number: int) -> dict[str, Any]:
    return request(number, number, "shop", 0.1)


def name(number: int) -> str:
    return f"177000000000{number}-1{number}-0"


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_views_are_made_only_when_the_files_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take most of the CPU of a query over a small store."""
    made: list[int] = []
    make = of_duckdb.make_views

    def counted(*arguments: Any) -> None:
        made.append(1)
        make(*arguments)

    monkeypatch.setattr(of_duckdb, "make_views", counted)
    segment(tmp_path, [plain(1)], name(1))
    source = LocalFiles(str(tmp_path))
    for _ in range(3):
        source.ask("views")
        source.health()
    assert len(made) == 1
    segment(tmp_path, [plain(2)], name(2))
    for _ in range(3):
        assert source.sql(COUNT).rows == [(2, 2)]
    assert len(made) == 2


def test_each_answer_is_of_the_current_files(tmp_path: Path) -> None:
    """After lines were added, and files were added, compacted by another reader, or removed."""
    source, other = LocalFiles(str(tmp_path)), LocalFiles(str(tmp_path))
    assert source.sql(COUNT).rows == [(0, 0)]
    first = segment(tmp_path, [plain(1)], name(1))
    assert source.sql(COUNT).rows == [(1, 1)]
    segment(tmp_path, [plain(2)], name(1))
    assert source.sql(COUNT).rows == [(2, 2)]
    segment(tmp_path, [plain(3)], name(2))
    assert source.sql(COUNT).rows == [(3, 3)]
    assert other.compact() == 2
    assert source.sql(COUNT).rows == [(3, 3)]
    segment(tmp_path, [plain(4)], name(3))
    assert source.sql(COUNT).rows == [(4, 4)]
    first.with_suffix(".parquet").unlink()
    assert source.sql(COUNT).rows == [(1, 1)]
    assert source.health().events == 1


def test_file_that_is_removed_after_listing_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By retention, between listing and reading; the answer is of the others."""
    segment(tmp_path, [plain(1)], name(1))
    gone = segment(tmp_path, [plain(2)], name(2))
    source = LocalFiles(str(tmp_path))
    assert source.sql(COUNT).rows == [(2, 2)]
    listed = source._files

    def removed() -> Any:
        found = listed()
        gone.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(source, "_files", removed)
    assert source.sql(COUNT).rows == [(1, 1)]


@pytest.mark.slow
def test_threads_share_a_source_while_files_change(tmp_path: Path) -> None:
    """No answer has a file in part or twice, or less than the answer before it."""
    segment(tmp_path, [plain(0)], name(0))
    source, other = LocalFiles(str(tmp_path)), LocalFiles(str(tmp_path))
    ended = threading.Event()
    wrong: list[Any] = []

    def ask() -> None:
        seen = 0
        while not ended.is_set():
            try:
                ((events, ids),) = source.sql(COUNT).rows
            except Exception as exc:
                wrong.append(exc)
                return
            if events != ids or events < seen:
                wrong.append((events, ids, seen))
            seen = events

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for number in range(1, 6):
        segment(tmp_path, [plain(number)], name(number))
        other.compact()
        other.adhoc(COUNT)
    ended.set()
    for thread in asking:
        thread.join()
    assert wrong == []
    assert source.sql(COUNT).rows == [(6, 6)]


def test_failed_query_does_not_affect_the_next(tmp_path: Path) -> None:
    """Its connection is not used again; the others are."""
    segment(tmp_path, [plain(1)], name(1))
    source = LocalFiles(str(tmp_path))
    for _ in range(2):
        with pytest.raises(StoreError, match="nothing"):
            source.sql("SELECT nothing FROM events")
        assert source.sql(COUNT).rows == [(1, 1)]


def lose(connections: Connections, error: type[Exception]) -> None:
    """A query that makes the database unusable."""
    with connections.borrow() as pooled:
        pooled.database.close()
        raise error("database has been invalidated")


def database_of(connections: Connections) -> Any:
    """The database that answers now."""
    with connections.borrow() as pooled:
        assert pooled.connection.execute("SELECT 1").fetchall() == [(1,)]
        return pooled.database


@pytest.mark.parametrize("error", [duckdb.FatalException, RuntimeError])
def test_unusable_database_is_replaced(error: type[Exception]) -> None:
    """After any exception it is checked; one that answers stays."""
    connections = Connections(duckdb)
    before = database_of(connections)
    with pytest.raises(error), connections.borrow():
        raise error("no")
    assert database_of(connections) is before
    with pytest.raises(DatabaseLostError, match="invalidated"):
        lose(connections, error)
    assert database_of(connections) is not before
    connections.close()


def test_lost_database_is_replaced_only_once() -> None:
    """A thread that finds the old one lost keeps the new one of another thread."""
    connections = Connections(duckdb)
    late = connections.borrow()
    late.__enter__()
    with pytest.raises(DatabaseLostError):
        lose(connections, duckdb.FatalException)
    new = database_of(connections)
    with pytest.raises(DatabaseLostError):
        late.__exit__(RuntimeError, RuntimeError("no"), None)
    assert database_of(connections) is new
    connections.close()


def test_closing_does_not_end_running_queries(tmp_path: Path) -> None:
    """They are answered; then the database ends, and the next query opens another."""
    before = threads()
    segment(tmp_path, [plain(1)], name(1))
    source = LocalFiles(str(tmp_path))
    with source._viewing(source._files()) as connection:
        source.close()
        assert connection.execute(COUNT).fetchall() == [(1, 1)]
    eventually(lambda: threads() <= before, "the threads of the database to end")
    assert source.sql(COUNT).rows == [(1, 1)]
    source.close()


@pytest.mark.slow
def test_ctrl_c_ends_the_query_and_the_command(tmp_path: Path) -> None:
    """DuckDB makes an ordinary error of it, and 1.x then waits for the query without limit."""
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted [(1,)]\n", "")


def test_a_fork_has_a_database_of_its_own(tmp_path: Path) -> None:
    """It lacks the threads of its parent's; both answer, and both end."""
    segment(tmp_path, [plain(1), plain(2)], name(1))
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n") == ["[(3,)]"] * 3 + [""]
