"""The kernel limits the process of ad-hoc SQL, whatever DuckDB does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import pytest

from slowhound.store import adhoc, adhoc_child, connections
from slowhound.store.answer import LONGEST_VALUE, StoreError
from slowhound.store.duckdb import LocalFiles
from slowhound.store.event_files import EventFiles
from tests.harness.launch import ROOT
from tests.harness.waiting import eventually
from tests.store.events import EVENTS, segment

GREEDY = {
    "lists": "SELECT range(400000) FROM range(500)",
    "texts": "SELECT repeat('x', 100000000) FROM range(1000)",
    "one list": "SELECT list(i) FROM range(1000000000) t(i)",
    "texts that double": "WITH RECURSIVE t(n, s) AS (SELECT 1, 'x' UNION ALL"
    " SELECT n + 1, s || s FROM t WHERE n < 60) SELECT max(length(s)) FROM t",
    "padding": "SELECT length(lpad('x', 1000000000, 'y'))",
    "a join": "SELECT a.*, b.* FROM events a, range(10000000) b ORDER BY a.ts + b.range",
    "a window": "SELECT row_number() OVER (ORDER BY hash(i)) FROM range(1000000000) t(i)",
    "groups": "SELECT i, count(*) FROM range(1000000000) t(i) GROUP BY i",
    "lists in a function": "SELECT list_transform(range(100000), lambda x: range(100000))",
    "JSON": "SELECT json_array(range(100000), range(100000)) FROM range(1000)",
    "wide": f"SELECT {', '.join(['range(10000)'] * 300)} FROM range(1000)",
}
ENDLESS = {
    "recursion": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t)"
    " SELECT count(*) FROM t",
    "a cross join": "SELECT count(*) FROM range(100000000) a, range(1000000) b",
    "two texts": "SELECT jaro_winkler_similarity(repeat('a', 999999), repeat('b', 999999))",
    # Hours within one step, during which an interruption is not noticed.
    "a step": "SELECT levenshtein(repeat('a', 99999), repeat('b', 99999 + i)) FROM range(999) t(i)",
}
KILLED = """
import sys
from slowhound.store import adhoc
from slowhound.store.event_files import EventFiles
run = adhoc.subprocess.Popen
def printing(*arguments, **more):
    child = run(*arguments, **more)
    print(child.pid, flush=True)
    return child
adhoc.subprocess.Popen = printing
adhoc.run(EventFiles((), ()), "SELECT count(*) FROM range(100000000) a, range(1000000) b", 60.0, 1)
"""
# The kernel reports the largest memory of the children of a process. Children of pytest itself
# start as copies of it, and so would count at least its memory.
GREEDY_ONE = """
import json, resource, sys
from slowhound.store.duckdb import LocalFiles
from slowhound.store.answer import StoreError
source = LocalFiles(sys.argv[1])
try:
    message = str(source.adhoc(sys.argv[2], seconds=30))
except StoreError as exc:
    message = str(exc)
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print(json.dumps([message, memory, source.adhoc("SELECT count(*) FROM events").rows]))
"""


@pytest.fixture
def source(tmp_path: Path) -> LocalFiles:
    segment(tmp_path, EVENTS)
    return LocalFiles(str(tmp_path))


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How each process has ended."""
    found: list[Any] = []

    class Waited(subprocess.Popen[bytes]):
        def _try_wait(self, flags: int) -> Any:
            pid, status = os.waitpid(self.pid, flags)
            if pid:
                found.append(os.waitstatus_to_exitcode(status))
            return pid, status

    monkeypatch.setattr(adhoc.subprocess, "Popen", Waited)
    return found


@pytest.mark.slow  # two seconds each
@pytest.mark.parametrize("kind", GREEDY)
def test_sql_that_takes_gigabytes_is_stopped(tmp_path: Path, kind: str) -> None:
    """Ad-hoc SQL once took 9.6 GB where 256 MB are allowed; the next query is answered."""
    segment(tmp_path, EVENTS)
    command = [sys.executable, "-c", GREEDY_ONE, str(tmp_path), GREEDY[kind]]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=90).stdout
    message, memory, after = json.loads(output)
    assert "more memory than the limit" in message
    assert memory < 320  # it is checked every 5 ms, and grows in between
    assert after == [[len(EVENTS)]]


def test_query_does_not_use_all_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a large machine each reading thread takes memory, and a count(*) ran out of it."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    with connections.private_database(duckdb) as connection:
        connections.restrict(connection, EventFiles((), ()))
        assert connection.execute("SELECT current_setting('threads')").fetchall() == [(2,)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENDLESS)
def test_sql_that_ignores_an_interruption_is_stopped(
    source: LocalFiles, ended: list[Any], kind: str
) -> None:
    """Ad-hoc SQL once took 43 s where 10 are allowed: now its process ends."""
    with pytest.raises(StoreError, match=r"longer than 0\.5 s"):
        source.adhoc(ENDLESS[kind], seconds=0.5)
    # By itself: otherwise its parent would kill it later.
    assert ended[0] in (0, adhoc_child.EXIT_TIME)


def test_lists_and_texts_of_an_answer_are_cut(source: LocalFiles) -> None:
    """So that an answer remains small."""
    text = f"""SELECT range(1000) AS a, repeat('x', {LONGEST_VALUE + 1}) AS b, [[[[[1]]]]] AS c,
        170141183460469231731687303715884105727 AS d, 'nan'::DOUBLE AS e, 1.50::DECIMAL(4, 2) AS f,
        TIMESTAMP '2026-01-02 03:04:05' AS g, MAP {{1: 'x'}} AS h, '\\xAA'::BLOB AS i, true AS j"""
    ((a, b, c, *others),) = source.adhoc(text).rows
    assert (len(a), a[-2:], len(b), c) == (201, [199, "..."], LONGEST_VALUE, [[[["..."]]]])
    assert others == [
        "170141183460469231731687303715884105727",
        *(None, "1.50", "2026-01-02 03:04:05", {"1": "x"}, b"\xaa", True),
    ]


def test_answer_is_cut_at_a_size(source: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide rows of long texts can be gigabytes, even if there are only a thousand."""
    columns = ", ".join(f"repeat('x', 9000) AS c{number}" for number in range(10))
    found = source.adhoc(f"SELECT {columns} FROM range(1000)")
    shown = adhoc_child.LARGEST_ANSWER // (10 * 9000)
    assert abs(len(found.rows) - shown) < 2
    assert found.remarks == (
        f"only the first {len(found.rows)} rows are shown: all are more than 8 MB",
    )


def test_each_value_of_an_answer_counts(source: LocalFiles) -> None:
    """A number is one byte in the answer and eight here: this process may be a worker."""
    text = (
        "SELECT list_transform(range(200), lambda x: list_transform(range(200), lambda y: 1))"
        " FROM range(400)"
    )
    tracemalloc.start()
    try:
        found = source.adhoc(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * 1024**2
    assert len(found.rows) == 12


def test_number_of_columns_is_limited(source: LocalFiles) -> None:
    """Each costs as much as a value of a row, even without rows."""
    with pytest.raises(StoreError, match="an answer has 2,000 columns at most"):
        source.adhoc(f"SELECT {', '.join('1' * 2001)}")


def test_process_ends_with_its_parent(tmp_path: Path) -> None:
    """Also when that is killed, because nothing else would end it."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as asks:
        assert asks.stdout is not None
        child = int(asks.stdout.readline())
        os.kill(child, 0)
        asks.kill()

    def gone() -> bool:
        try:
            with open(f"/proc/{child}/stat") as stat:
                return stat.read().rpartition(") ")[2][0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    eventually(gone, "the end of the process that ran the SQL")


def test_ctrl_c_ends_the_process(source: LocalFiles, ended: list[Any], monkeypatch: Any) -> None:
    """Ctrl-C only reaches the parent."""
    popen: Any = adhoc.subprocess.Popen

    class Interrupted(popen):  # type: ignore[misc]
        def communicate(self, *arguments: Any) -> Any:
            if arguments:
                raise KeyboardInterrupt
            return super().communicate()

    monkeypatch.setattr(adhoc.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        source.adhoc("SELECT 1")
    assert ended == [-signal.SIGKILL]


def test_process_inherits_nothing_of_the_application(
    source: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its environment nor its descriptors."""
    seen: list[Any] = []
    popen = subprocess.Popen

    def recording(*arguments: Any, **more: Any) -> Any:
        seen.append(more)
        return popen(*arguments, **more)

    monkeypatch.setenv("DATABASE_PASSWORD", "planted")
    monkeypatch.setattr(adhoc.subprocess, "Popen", recording)
    assert source.adhoc("SELECT 1 AS one").rows == [(1,)]
    assert set(seen[0]["env"]) <= {"LD_LIBRARY_PATH", "TZ"}
    assert len(seen[0]["pass_fds"]) == 1


@pytest.mark.parametrize("executable", ["/usr/sbin/uwsgi", "", None])
def test_python_is_found_within_another_program(
    source: LocalFiles, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    """There ``sys.executable`` is that program, or empty."""
    monkeypatch.setattr(sys, "executable", executable)
    assert source.adhoc("SELECT 1 AS one").rows == [(1,)]


def test_without_a_python_sql_is_refused(
    source: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not run without limits."""
    for name in ("executable", "exec_prefix", "base_exec_prefix"):
        monkeypatch.setattr(sys, name, "/nowhere")
    with pytest.raises(StoreError, match=r"no process could be started for the SQL: .*no Python"):
        source.adhoc("SELECT 1 AS one")
