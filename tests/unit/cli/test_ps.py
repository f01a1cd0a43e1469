"""`slowhound ps` over boxes of all kinds: hostile, damaged, and of an ended process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from slowhound.blackbox.box import Box
from slowhound.blackbox.layout import FIRST_SLOT, SLOT
from slowhound.cli import requests_table
from slowhound.cli.location import Location
from slowhound.cli.reap import FolderReaper
from slowhound.config.config import load
from slowhound.core.box_payloads import stack_payload, who_payload
from slowhound.core.record import Record
from slowhound.peers.reaper import PARENT_PATIENCE
from slowhound.peers.workers import InFlight, in_flight
from slowhound.recorder.own_box import settings_payload
from slowhound.runtime.clocks import clock
from tests.harness.cli import ps, slowhound, worker

HOSTILE = "/[red]\x1b[2J\x1b[9;9H\r\n\x9b1m\u202e[/red][link=x]{0}%s:smile:\\"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box of this process, which is running."""
    found = Box(str(tmp_path), 3)
    found.settings.write(settings_payload(load({}), "test"))
    yield found
    found.close()


def claim(box: Box, method: str, path: str, view: str, sql: str) -> None:
    record = Record(method, path, 1.0)
    slot = box.claim(record.number, who_payload(record), 7)
    assert slot is not None
    slot.view_known(view)
    slot.query_begins(sql, 2.0)
    slot.write_stack(record.number, stack_payload(record, (), 3.0))


def listed(folder: Path) -> list[InFlight]:
    return in_flight(Location(str(folder), os.geteuid()).workers())


def test_nothing_in_a_request_is_obeyed_by_the_terminal(box: Box, tmp_path: Path) -> None:
    """No escape, line end, direction mark or markup gets through, in any field."""
    claim(box, "G\x1b[1mT", HOSTILE, f"v{HOSTILE}", f"SELECT \x1b[2J {HOSTILE}")
    done = slowhound("ps", tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    assert r"G\x1b[1mT /[red]\x1b[2J\x1b[9;9H\r\n\x9b1m\u202e[/red][link=x]{0}%s:smile:" in (
        done.stdout
    )
    (found,) = ps(tmp_path)
    assert found["path"] == HOSTILE


@pytest.mark.parametrize("width", [40, 60, 80, 119, 120, 200])
def test_rows_are_cropped_to_the_width(box: Box, tmp_path: Path, width: int) -> None:
    """One line for each request, also with characters that are two cells wide."""
    for path in ("/\u6f22" * 200, "/x" * 300, "/e\u0301" * 100):
        claim(box, "GET", path, "v" * 500, "SELECT " + "x" * 900)
    console = requests_table.console()
    with console.capture() as captured:
        console.print(requests_table.requests_table(listed(tmp_path), width), width=width)
    lines = captured.get().rstrip("\n").split("\n")
    assert all(cell_len(line) <= width for line in lines)
    assert len([line for line in lines if line.strip(" ─")]) <= 4


@pytest.mark.slow
@settings(max_examples=200)
@given(st.data())
def test_damaged_box_gives_a_part_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any bytes give a table and JSON, never an exception."""
    folder = tmp_path_factory.mktemp("box")
    box = Box(str(folder), 2)
    claim(box, "GET", "/", "v", "SELECT 1")
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(8, FIRST_SLOT + SLOT))
        noise = data.draw(st.binary(min_size=1, max_size=40))
        with open(box.path, "r+b") as file:
            file.seek(at)
            file.write(noise)
    found = listed(folder)
    json.dumps([each._asdict() for each in found], allow_nan=False)
    console = requests_table.console()
    with console.capture():
        console.print(requests_table.requests_table(found, 150))
    box.free.clear()
    box.close(remove=False)


@pytest.mark.parametrize(
    ("loc", "cause", "shown"),
    [
        ("shop/views.py:1:view", "shop/models.py:2:save", "shop/models.py:2:save"),
        ("shop/views.py:1:view", "django/db/models/query.py:9:get", "shop/views.py:1:view"),
        ("shop/views.py:1:view", "socket.py:9:recv", "shop/views.py:1:view"),
        ("threading.py:1:run", "socket.py:9:recv", "socket.py:9:recv"),
        ("<string>:1:<module>", "socket.py:9:recv", "socket.py:9:recv"),
        ("shop/views.py:1:view", None, "shop/views.py:1:view"),
        (None, None, None),
        (7, [], None),
    ],
)
def test_line_of_the_application_goes_before_one_of_a_library(
    box: Box, tmp_path: Path, loc: Any, cause: Any, shown: str | None
) -> None:
    """The cause in a stack payload may be a library's frame."""
    slot = box.claim(1, b"{}", 7)
    assert slot is not None
    slot.write_stack(1, json.dumps({"loc": loc, "cause": cause, "taken": 1.0}).encode())
    assert listed(tmp_path)[0].doing == shown


@pytest.mark.parametrize(
    "note",
    [
        {"started": -(10**400)},
        {"started": 10**400},
        {"started": -1e308},
        {"started": "1"},
        {"started": True},
        {"id": 5, "method": [], "path": {}},
    ],
)
def test_payloads_of_wrong_types_are_left_out(
    box: Box, tmp_path: Path, note: dict[str, Any]
) -> None:
    """Impossible values are shown as unknown."""
    assert box.claim(1, json.dumps(note).encode(), 7) is not None
    (found,) = listed(tmp_path)
    assert (found.age, found.req_id, found.method, found.path) == (None, None, None, None)


def test_files_that_are_no_boxes_are_not_listed(box: Box, tmp_path: Path) -> None:
    """Links, pipes, folders and empty files are skipped at once."""
    folder = Path(box.path).parent
    (folder / "link.box").symlink_to(box.path)
    (folder / "folder.box").mkdir()
    (folder / "noise.box").write_bytes(b"x" * 9000)
    os.mkfifo(folder / "pipe.box")
    assert [each.box for each in Location(str(tmp_path), os.geteuid()).workers()] == [box.path]


def test_requests_without_a_slot_are_counted(box: Box, tmp_path: Path) -> None:
    """They are in flight like the others."""
    for number in range(5):
        box.claim(number + 1, b"{}", 7)
    box.cells[5] = 5
    assert "2 more are in flight, without a slot" in slowhound("ps", tmp_path).stderr


def test_one_idle_worker_is_a_worker(box: Box, tmp_path: Path) -> None:
    """The remark about it is in the singular."""
    done = slowhound("ps", tmp_path)
    assert "slowhound: nothing is in flight in 1 worker\n" in done.stderr
    assert done.returncode == 1


def test_reader_that_goes_away_is_no_error(box: Box, tmp_path: Path) -> None:
    """`slowhound ps | true` prints nothing."""
    claim(box, "GET", "/", "v", "SELECT 1")
    command = [sys.executable, "-m", "slowhound", "ps", "--dir", str(tmp_path), "--json"]
    done = subprocess.run(
        ["sh", "-c", '"$@" | true', "sh", *command], capture_output=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize(("more", "code"), [("", 1), ("'--json'", 0)])
def test_without_rich_there_is_still_json(box: Box, tmp_path: Path, more: str, code: int) -> None:
    """And the refusal to draw a table says how to install it."""
    claim(box, "GET", "/", "v", "SELECT 1")
    script = (
        "import sys; sys.modules['rich.console'] = None; from slowhound.cli import main;"
        f"sys.exit(main(['ps', '--dir', {str(tmp_path)!r}, {more}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code
    assert ("pip install 'slowhound[cli]'" in done.stderr) == bool(code)


def test_terminal_without_utf8_gets_escapes(box: Box, tmp_path: Path) -> None:
    """Not an exception."""
    claim(box, "GET", "/\u6f22", "v", "SELECT 1")
    done = slowhound("ps", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"GET /\u6f22" in done.stdout


def test_events_of_those_without_a_store_are_left_to_their_stream(tmp_path: Path) -> None:
    """The command does not have their stream, so it leaves the box to a sibling."""
    with worker(tmp_path / "d", STORE=False) as pid:
        os.kill(pid, signal.SIGKILL)
    done = slowhound("ps", tmp_path / "d")
    assert "wrote" not in done.stderr
    assert len(list((tmp_path / "d" / "boxes").glob("*.box"))) == 1
    assert not (tmp_path / "d" / "events").exists()


def test_parent_of_an_ended_worker_gets_some_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first visit writes nothing, later ones write once, by one of two."""
    with worker(tmp_path / "d", path="/dead/") as pid:
        os.kill(pid, signal.SIGKILL)
    place = Location(str(tmp_path / "d"), os.geteuid())
    first, second = FolderReaper(place), FolderReaper(place)
    assert first.visit()
    assert second.visit()
    assert (first.events, second.events) == (0, 0)
    later = time.monotonic() + PARENT_PATIENCE
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    assert first.visit()
    assert not second.visit()
    assert (first.events, first.pids, second.events) == (1, {pid}, 0)
    first.close()
    written = "".join(path.read_text() for path in (tmp_path / "d" / "events").iterdir())
    assert [json.loads(line)["req_path"] for line in written.splitlines()] == ["/dead/"]
