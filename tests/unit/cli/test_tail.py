"""`slowhound tail`: the last events, and new ones."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from slowhound.cli.filters import condition
from slowhound.store import tail
from slowhound.store.duckdb import LocalFiles
from slowhound.store.tail import Follower
from tests.harness.cli import environment
from tests.harness.command import slowhound
from tests.harness.launch import ROOT
from tests.harness.process import started
from tests.harness.waiting import eventually
from tests.store.events import EVENTS, request, segment

HOSTILE = "/[red]\x1b[2J\r\n\x9b1m\u202e[/red]"


def ids(folder: Path, *arguments: str) -> list[str]:
    done = slowhound("tail", folder, "--json", *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line)["req_id"] for line in done.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    events = [request(number, number, "shop", number / 10) for number in range(1, 31)]
    segment(tmp_path, events[::2], "1770000000000-11-0")
    segment(tmp_path, events[1::2], "1770000000001-12-0")
    return tmp_path


def test_last_events_come_in_the_order_of_their_time(folder: Path) -> None:
    """From all segments, twenty by default."""
    assert ids(folder) == [f"r{number}" for number in range(11, 31)]
    assert ids(folder, "-n", "3") == ["r28", "r29", "r30"]
    assert ids(folder, "--lines", "100") == [f"r{number}" for number in range(1, 31)]


def test_events_in_parquet_files_are_printed_too(folder: Path) -> None:
    """Each once, also during compaction."""
    LocalFiles(str(folder)).compact()
    segment(folder, [request(31, 31, "shop", 3.1)], "1770000000002-13-0")
    assert ids(folder, "-n", "3") == ["r29", "r30", "r31"]
    assert ids(folder, "time<=0.2") == ["r1", "r2"]


def test_added_column_may_be_of_any_type(folder: Path) -> None:
    """It is shown, and the other events are too."""
    values = (
        "DATE '2026-01-01'",
        "TIMESTAMP '2026-01-01 10:00:00'",
        "INTERVAL 1 DAY",
        "'ab'::BLOB",
    )
    columns = ", ".join(f"{value} AS app_{number}" for number, value in enumerate(values))
    event = "'request' AS event_type, 'r99' AS req_id, 1.0e9 AS ts, 'h' AS host, 7 AS pid"
    path = folder / "events" / "1770000000002-13-0.parquet"
    duckdb.sql(f"COPY (SELECT {event}, {columns}) TO '{path}' (FORMAT parquet)")
    assert ids(folder, "--lines", "100") == ["r99", *(f"r{number}" for number in range(1, 31))]
    done = slowhound("tail", folder, "--lines", "100")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 31), done.stderr
    assert "app_0=2026-01-01" in done.stdout


def test_broken_file_is_named_beside_the_events(folder: Path) -> None:
    """On standard error; the exit code does not change."""
    (folder / "events" / "1770000000002-13-0.parquet").write_bytes(b"broken")
    done = slowhound("tail", folder, "-n", "1")
    assert done.returncode == 0
    assert done.stderr.startswith("slowhound: left out: 1770000000002-13-0.parquet: ")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["view=shop", "time>1"], ["r9", "r11"]),
        (["type=slow"], ["r6"]),
        (["status>=500"], ["r4"]),
        (["path~cart/6"], ["r6", "r6"]),
        (["status!=200", "method=GET", "time<0.5"], ["r4"]),
        (["app_plan=gold"], ["r1"]),
        (["crash_cause=oom"], ["r11"]),
        (["error~Value"], ["r4"]),
        (["pid=21", "type=crash"], ["r11"]),
        (["view=none"], []),
    ],
)
def test_filters_must_all_hold(tmp_path: Path, given: list[str], found: list[str]) -> None:
    """Short names, field names, and fields of the application."""
    segment(tmp_path, EVENTS)
    assert ids(tmp_path, *given) == found


def test_comparisons() -> None:
    """For a field that an event does not have, only `!=` holds."""
    event: dict[str, Any] = {"resp_status": 200, "resp_view": "shop", "exc_handled": True}
    holds = [
        *("status=200", "status=200.0", "status>199", "status<=200", "view=shop", "view~ho"),
        *("view!=cart", "error!=x", "exc_handled=true", "path!="),
    ]
    fails = [
        *("status=2000", "status=x", "status>200", "view=Shop", "view~SH", "view>1", "error=x"),
        *("error~x", "time>0", "exc_handled=false", "path="),
    ]
    assert [each for each in holds if not condition(each)(event)] == []
    assert [each for each in fails if condition(each)(event)] == []
    for wrong in ("status", "=5", "status>", "status>x", "speed=1"):
        with pytest.raises(argparse.ArgumentTypeError):
            condition(wrong)


def test_lines_are_readable_and_obeyed_by_no_terminal(tmp_path: Path) -> None:
    """The useful fields of an event, on one line."""
    segment(tmp_path, [request(1, 0, HOSTILE, 1.25, req_path=HOSTILE, app_note=HOSTILE)])
    segment(tmp_path, EVENTS[5:6], "1770000000001-12-0")
    done = slowhound("tail", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.rstrip("\n").split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "took 1.250 s" in lines[0]
    assert "app_note=" in lines[0]
    assert "verdict stuck  at shop/cart.py:7:pay" in lines[1]


def test_no_matching_event_is_reported(folder: Path) -> None:
    """Exit code 1, and nothing on standard output."""
    done = slowhound("tail", folder, "view=none")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no event matches" in done.stderr
    assert slowhound("tail", folder, "speed=1").returncode == 2


@contextmanager
def following(folder: Path, *arguments: str) -> Iterator[list[str]]:
    """The lines of a `tail -f` as they come; Ctrl-C ends it."""
    argv = [sys.executable, "-m", "slowhound", "tail", "--dir", str(folder), "-f", "--json"]
    with started(
        [*argv, *arguments], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        reader = threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
            reader.join()


def test_following_sees_old_and_new_segments(folder: Path) -> None:
    """A line only when it is complete; events that do not match are left out."""
    with following(folder, "-n", "1", "view=shop") as lines:
        eventually(lambda: len(lines) == 1, "the last event")
        segment(folder, [request(40, 40, "shop", 1)], "1770000000000-11-0")
        segment(folder, [request(41, 41, "cart", 1)], "1770000000000-11-0")
        segment(folder, [request(42, 42, "shop", 1)], "1770000000009-19-0")
        eventually(lambda: len(lines) == 3, "the new events", transcript=lambda: str(lines))
    assert [json.loads(line)["req_id"] for line in lines] == ["r30", "r40", "r42"]


def test_half_a_line_is_waited_for(tmp_path: Path) -> None:
    """The follower returns it once, when its end has been written."""
    path = segment(tmp_path, [request(1, 0, "shop", 1)])
    follower = Follower(str(path.parent))
    text = json.dumps(request(2, 1, "shop", 1)).encode() + b"\n"
    with open(path, "ab", buffering=0) as file:
        file.write(text[:50])
        assert follower.read() == []
        file.write(text[50:] + b"torn\n")
        assert [event["req_id"] for event in follower.read()] == ["r2"]
    assert follower.read() == []
    os.unlink(path)
    assert follower.read() == []


def test_segment_that_is_emptied_is_read_from_its_beginning(folder: Path) -> None:
    """Its process goes on writing, as after ``> segment.jsonl``."""
    follower = Follower(str(folder / "events"))
    path = folder / "events" / "1770000000001-12-0.jsonl"
    os.truncate(path, 0)
    segment(folder, [request(31, 31, "shop", 3.1)], "1770000000001-12-0")
    assert [event["req_id"] for event in follower.read()] == ["r31"]


def test_file_that_cannot_be_opened_for_a_moment_is_not_read_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when there are no descriptors left; the next read returns what was written meanwhile."""
    follower = Follower(str(folder / "events"))
    segment(folder, [request(31, 31, "shop", 3.1)], "1770000000001-12-0")
    with monkeypatch.context() as patch:
        patch.setattr(tail, "open", no_descriptor, raising=False)
        assert follower.read() == []
    assert [event["req_id"] for event in follower.read()] == ["r31"]


def no_descriptor(*arguments: Any) -> Any:
    raise OSError(24, "Too many open files")
