"""`slowhound ship`: what the command prints, and how it waits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from slowhound.cli.ship import LONGEST_RETRY_PAUSE, described, pause
from slowhound.store.ship import Lag
from tests.harness.cli import environment
from tests.harness.clickhouse import clickhouse
from tests.harness.command import slowhound
from tests.harness.launch import ROOT
from tests.harness.process import started
from tests.harness.waiting import eventually
from tests.store.events import EVENTS, request, segment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as address:
        yield address


def closed_address() -> str:
    """An address on which no server listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        return f"clickhouse://user:geheim@127.0.0.1:{listening.getsockname()[1]}/default"


def test_ships_and_answers_from_there(server: str, tmp_path: Path) -> None:
    """`ask --from` and `reports --from` answer as they do over the files."""
    segment(tmp_path, EVENTS)
    url = f"{server}/default?table=shipped"
    done = slowhound("ship", tmp_path, "--to", url)
    assert done.returncode == 0, done.stderr
    assert f"sent {len(EVENTS)} events, all is sent" in done.stderr
    for command, given in (("ask", ["views", "--json"]), ("reports", ["--json"])):
        there = slowhound(command, tmp_path, *given, "--from", url)
        here = slowhound(command, tmp_path, *given)
        for one, other in zip(json.loads(there.stdout), json.loads(here.stdout), strict=True):
            assert one == pytest.approx(other), there.stderr


def test_ships_into_an_engine_in_this_process(server: str, tmp_path: Path) -> None:
    """`chdb://` needs no server; a broken file is left out; an old library is reported."""
    segment(tmp_path, EVENTS)
    (tmp_path / "events" / "1770000000000-9-0.parquet").write_bytes(b"broken")
    done = slowhound("ship", tmp_path, "--to", f"chdb://{tmp_path}/engine")
    errors = done.stderr.splitlines()[-1]
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    if find_spec("clickhouse_connect.driver._chdbclient") is None:  # it came with 1.6
        assert "Unrecognized" in errors
    else:
        assert (
            f"sent {len(EVENTS)} events, all else is sent, left out: 1770000000000-9-0.p" in errors
        )


@pytest.mark.slow
def test_follows_until_it_is_stopped(server: str, tmp_path: Path) -> None:
    """Later events are sent too; SIGTERM ends it with exit code 0."""
    segment(tmp_path, EVENTS)
    url = f"{server}/default?table=followed"
    argv = [sys.executable, "-m", "slowhound", "ship", "--dir", str(tmp_path), "--to", url]
    with started(
        [*argv, "--follow"], cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:

        def count(number: int) -> bool:
            sql = ["sql", "SELECT count(*) AS n FROM events", "--json", "--from", url]
            done = slowhound("ask", tmp_path, *sql)
            return done.returncode == 0 and json.loads(done.stdout) == [{"n": number}]

        eventually(lambda: count(len(EVENTS)), "the first events")
        segment(tmp_path, [request(99, 99, "shop", 1)], "1770000000001-12-0")
        eventually(lambda: count(len(EVENTS) + 1), "the one that came later")
        other = slowhound("ship", tmp_path, "--to", url)
        assert other.returncode == 1
        assert "another process ships" in other.stderr
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors.endswith(f"sent {len(EVENTS) + 1} events, all is sent\n")


@pytest.mark.slow
def test_waits_for_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """The message has no password; without --follow it gives up in the end."""
    segment(tmp_path, EVENTS)
    done = slowhound("ship", tmp_path, "--to", closed_address())
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [("again in" in line) for line in lines] == [True, True, True, False]
    assert "bytes (" in lines[0]
    assert "geheim" not in done.stderr


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    """Exit code 2."""
    for given in ([], ["--to", "http://x"], ["--to", "clickhouse://x", "--keep-days", "0"]):
        assert slowhound("ship", tmp_path, *given).returncode == 2
    done = slowhound("ship", tmp_path, "--to", "clickhouse://x/db?table=a;b")
    assert done.returncode == 1
    assert "table=NAME" in done.stderr


def test_pauses_grow_and_differ() -> None:
    """Hosts do not all try again at once."""
    assert [pause(number, lambda: 1.0) for number in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert [pause(number, lambda: 1.0) for number in (50, 5000)] == [LONGEST_RETRY_PAUSE] * 2
    assert pause(3, lambda: 0.0) == 2


def test_lag_in_words() -> None:
    """What is left to send, torn, lost, or cannot be read."""
    assert described(Lag(0, 0.0, 5, 0, 0)) == "sent 5 events, all is sent"
    assert described(Lag(100, 90.0, 5, 2, 1)) == (
        "sent 5 events, 100 bytes (1:30) behind, 2 torn lines left out,"
        " 1 files were removed or emptied before they were sent"
    )
    assert described(Lag(0, 0.0, 5, 0, 0, ("a: broken",))) == (
        "sent 5 events, all else is sent, left out: a: broken"
    )
