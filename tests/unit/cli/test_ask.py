"""`slowhound ask`: answers as tables and JSON, for people and programs."""

from __future__ import annotations

import argparse
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slowhound.cli.time_args import parse_time
from slowhound.runtime.clocks import clock
from slowhound.store.questions import QUESTIONS
from tests.harness.cli import environment
from tests.harness.command import slowhound
from tests.harness.launch import ROOT
from tests.harness.process import started
from tests.store.events import EVENTS, START, request, segment

HOSTILE = "/[red]\x1b[2J\x1b[9;9H\r\n\x9b1m\u202e[/red]{0}%s:smile:\\"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("ask")
    segment(found, EVENTS)
    return found


def test_without_a_question_it_lists_them(folder: Path) -> None:
    """Each with its title; with --json with all its attributes."""
    done = slowhound("ask", folder)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*QUESTIONS, "sql"]
    assert QUESTIONS["views"].title in done.stdout
    listed = json.loads(slowhound("ask", folder, "--json").stdout)
    assert [each["name"] for each in listed] == list(QUESTIONS)
    assert listed[0]["columns"] == ["view", "n", "p50", "p95", "p99", "errors"]


def test_json_is_a_list_of_objects(folder: Path) -> None:
    """Seconds are floats, and missing values are null."""
    done = slowhound("ask", folder, "views", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found[0] == {
        "view": "cart",
        "n": 3,
        "p50": 3.0,
        "p95": pytest.approx(27.3),
        "p99": pytest.approx(29.46),
        "errors": 1,
    }
    statuses = json.loads(slowhound("ask", folder, "statuses", "--json").stdout)
    assert statuses[-1]["status"] is None


def test_table_has_the_columns_and_readable_values(folder: Path) -> None:
    """Times in local time, seconds with three decimals, a dash for a missing value."""
    done = slowhound("ask", folder, "slowest", "--limit", "2")
    head, _, first, second = done.stdout.splitlines()
    assert head.split() == list(QUESTIONS["slowest"].columns)
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(START + 150))
    assert first.split()[:6] == [*shown.split(), "30.000", "cart", "POST", "/cart/10/"]
    assert second.split()[-2:] == ["stuck", "r6"]


def test_time_limit_and_parameters(folder: Path) -> None:
    """In their different forms."""
    since = ("--since", str(START + 100))
    rows = json.loads(slowhound("ask", folder, "views", "--json", *since).stdout)
    assert [row["n"] for row in rows] == [1, 3]
    nothing = slowhound("ask", folder, "views", "--json", "--since", "1m")
    assert (nothing.returncode, nothing.stdout) == (1, "[]\n")
    one = json.loads(slowhound("ask", folder, "traffic", "step=600", "--json").stdout)
    assert sum(row["n"] for row in one) == 10
    life = json.loads(slowhound("ask", folder, "request", "r6", "--json").stdout)
    assert [row["event"] for row in life] == ["slow", "request"]
    until = json.loads(
        slowhound("ask", folder, "views", "--until", str(START + 15), "--json").stdout
    )
    assert [row["n"] for row in until] == [2]


def test_sql_is_answered_and_bounded(folder: Path, tmp_path: Path) -> None:
    """One SELECT; anything else is refused."""
    done = slowhound("ask", folder, "sql", "SELECT count(*) AS n FROM events", "--json")
    assert json.loads(done.stdout) == [{"n": len(EVENTS)}]
    refused = slowhound("ask", folder, "sql", "SELECT * FROM read_text('/etc/passwd')")
    assert refused.returncode == 1
    assert "root:" not in refused.stdout + refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("viewz",), "no question 'viewz'"),
        (("views", "step=1"), "views takes nothing"),
        (("traffic", "speed=1"), "traffic takes step"),
        (("request",), "request needs id"),
        (("sql",), "sql takes one statement"),
        (("views", "--since", "yesterday"), "is not like 15m"),
        (("views", "--limit", "0"), "--limit is between"),
        (("views", "--from", "http://x"), "--from takes clickhouse://"),
    ],
)
def test_wrong_use_is_refused(folder: Path, given: tuple[str, ...], text: str) -> None:
    """Exit code 2, and a text that says what is right."""
    done = slowhound("ask", folder, *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr


def test_wrong_value_of_a_parameter_is_a_refusal(folder: Path) -> None:
    """In one line, without a traceback."""
    done = slowhound("ask", folder, "traffic", "step=fast")
    assert done.returncode == 1
    assert done.stderr.startswith("slowhound: step cannot be 'fast'")


def test_first_ask_compacts(tmp_path: Path) -> None:
    """Closed segments are one Parquet file afterwards, and the answer is the same."""
    segment(tmp_path, EVENTS)
    first = slowhound("ask", tmp_path, "views", "--json")
    assert [path.suffix for path in (tmp_path / "events").iterdir()] == [".parquet"]
    assert slowhound("ask", tmp_path, "views", "--json").stdout == first.stdout
    assert first.stderr == ""


def test_compaction_shows_a_bar_in_a_terminal(tmp_path: Path) -> None:
    """On standard error; the answer stays clean."""
    segment(tmp_path, EVENTS)
    ours, theirs = pty.openpty()
    with started(
        [sys.executable, "-m", "slowhound", "ask", "--dir", str(tmp_path), "views", "--json"],
        cwd=ROOT,
        env=environment(TERM="xterm"),
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        assert len(json.loads(process.stdout.read())) == 2
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert b"compacting" in shown


def test_nothing_in_an_event_is_obeyed_by_the_terminal(tmp_path: Path) -> None:
    """No escape, line end, direction mark or markup gets through."""
    hostile = request(1, 0, HOSTILE, 1.0, req_path=HOSTILE, exc_type=HOSTILE, exc_msg=HOSTILE)
    segment(tmp_path, [hostile])
    for question in ("views", "slowest", "errors"):
        done = slowhound("ask", tmp_path, question)
        assert done.returncode == 0, done.stderr
        assert all(line.isprintable() for line in done.stdout.split("\n"))
        assert "[red]" in done.stdout
    sql = slowhound("ask", tmp_path, "sql", 'SELECT 1 AS "a\x1b[2J"')
    assert "\x1b" not in sql.stdout + sql.stderr


def test_empty_store_is_reported(tmp_path: Path) -> None:
    """Exit code 1, also for a missing folder."""
    tmp_path.chmod(0o700)
    done = slowhound("ask", tmp_path, "views")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing was found" in done.stderr
    assert slowhound("ask", tmp_path / "none", "views").returncode == 1


@pytest.mark.parametrize(
    ("missing", "extra", "given"),
    [
        ("duckdb", "slowhound[store]", ["views"]),
        ("rich.console", "slowhound[cli]", ["views"]),
        ("clickhouse_connect", "slowhound[clickhouse]", ["views", "--from", "clickhouse://x"]),
    ],
)
def test_missing_library_is_named(folder: Path, missing: str, extra: str, given: list[str]) -> None:
    """With how to get it."""
    script = (
        f"import sys; sys.modules[{missing!r}] = None; from slowhound.cli import main;"
        f"sys.exit(main(['ask', '--dir', {str(folder)!r}, *{given!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"pip install '{extra}'" in done.stderr
    assert "Traceback" not in done.stderr


def test_times_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time ago, a date, or seconds since 1970."""
    monkeypatch.setattr(clock, "time", lambda: 1_000_000_000.0)
    assert parse_time("90s") == 1_000_000_000 - 90
    assert parse_time("1.5h") == 1_000_000_000 - 5400
    assert parse_time("1w") == 1_000_000_000 - 7 * 86400
    assert parse_time("2026-11-21T18:00:00+00:00") == 1795284000
    assert parse_time("1795284000.5") == 1795284000.5
    for wrong in ("", "yesterday", "5", "-5m", "1y", "99999999999999", "\u0661s", "1m\n"):
        with pytest.raises(argparse.ArgumentTypeError):
            parse_time(wrong)
