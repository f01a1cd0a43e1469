"""`slowhound ps` from another shell, while workers are busy, stuck, dying or missing."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from slowhound.blackbox import reader
from slowhound.cli import main, reap
from slowhound.peers.reaper import PARENT_PATIENCE
from tests.harness.accounts import terminal_events
from tests.harness.cli import in_flight, ps, ps_of, slowhound
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.sources import line_of
from tests.harness.stopped import stopped
from tests.harness.waiting import eventually

WAITING = f"tests/site/gates.py:{line_of('gates.py', 'waiting')}:wait_at"


@pytest.fixture
def site(two_workers: Site) -> Site:
    return two_workers


def test_request_in_flight_is_listed(site: Site) -> None:
    """With its id, worker, age, and the current line of the application."""
    gate = site.gate("listed")
    answer = site.start("/gate/listed/")
    gate.wait_entered()
    found = ps_of(site.dir, "/gate/listed/", doing=WAITING)
    assert found["pid"] in site.worker_pids()
    assert Path(f"/proc/{found['pid']}/task/{found['thread']}").exists()
    assert (found["method"], found["view"], found["queries"]) == ("GET", "gate", 0)
    assert found["server"] == "ThreadWorker"
    assert 0 < found["doing_age"] < found["age"] < 60
    assert found["sql"] is None
    gate.open()
    assert site.terminal(answer.result().agent)["req_id"] == found["req_id"]


@pytest.fixture(scope="module")
def mortal(serve_module: Launcher) -> Site:
    """A site whose worker may be killed."""
    return serve_module()


def test_query_is_listed_while_it_runs(mortal: Site) -> None:
    """Its shape without literals, and its duration."""
    site = mortal
    wire = site.open("/endless-sql/")
    found = ps_of(site.dir, "/endless-sql/", sql=lambda sql: sql is not None)
    assert found["sql"].startswith("WITH RECURSIVE endless(n)")
    assert "secret" not in found["sql"]
    assert "1000000000000" not in found["sql"]
    assert 0 <= found["sql_time"] <= found["age"]
    os.kill(found["pid"], signal.SIGKILL)
    wire.close()


def test_queries_so_far_are_counted(site: Site) -> None:
    """At the hound's last sample."""
    gate = site.gate("counted")
    answer = site.start("/query-then-gate/counted/")
    gate.wait_entered()
    assert ps_of(site.dir, "/query-then-gate/counted/", queries=1)
    gate.open()
    answer.result()


def test_the_oldest_comes_first(site: Site) -> None:
    """All requests of all workers, in the order of their start."""
    names = ["a", "b", "c"]
    answers = []
    for name in names:
        answers.append(site.start(f"/gate/{name}/"))
        site.gate(name).wait_entered()
    found = [each for each in ps(site.dir) if each["path"] in [f"/gate/{name}/" for name in names]]
    assert [each["path"] for each in found] == [f"/gate/{name}/" for name in names]
    assert len({each["pid"] for each in found}) in (1, 2)
    for name, answer in zip(names, answers, strict=True):
        site.gate(name).open()
        answer.result()


def test_table_shows_the_same(site: Site) -> None:
    """For people: a row for each request, below headings."""
    gate = site.gate("table")
    answer = site.start("/gate/table/")
    gate.wait_entered()
    found = ps_of(site.dir, "/gate/table/", doing=WAITING)
    done = slowhound("ps", site.dir)
    assert done.returncode == 0
    head, *rows = [line for line in done.stdout.splitlines() if line.strip(" ─")]
    assert head.split()[:4] == ["PID", "THREAD", "AGE", "REQUEST"]
    (row,) = [row for row in rows if "GET /gate/table/" in row]
    assert str(found["pid"]) in row
    assert WAITING in row
    gate.open()
    answer.result()


def test_idle_server_has_nothing_to_list(site: Site) -> None:
    """One sentence, and exit code 1."""
    assert site.get("/ok/").status == 200
    eventually(lambda: in_flight(site.dir) == [], "nothing in flight")
    done = slowhound("ps", site.dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "slowhound: nothing is in flight in 2 workers\n"


def test_stopped_worker_is_unresponsive(mortal: Site) -> None:
    """Its requests are still listed, with a remark that it gives no sign of life."""
    site = mortal
    gate = site.gate("stopped")
    answer = site.start("/gate/stopped/")
    gate.wait_entered()
    pid = ps_of(site.dir, "/gate/stopped/", late=False)["pid"]
    with stopped([pid]):
        found = ps_of(site.dir, "/gate/stopped/", late=True)
        assert found["silent_for"] > 1.5
        done = slowhound("ps", site.dir)
    assert f"{pid}!" in done.stdout
    assert f"pid {pid}: no sign of life for" in done.stderr
    assert ps_of(site.dir, "/gate/stopped/", late=False)
    gate.open()
    answer.result()


def test_path_cannot_move_the_cursor(site: Site) -> None:
    """Line ends and control characters of a path are shown as escapes."""
    gate = site.gate("odd")
    answer = site.start("/gate-odd/4%0d%0a%0b%c2%85%e2%80%a8/")
    gate.wait_entered()
    done = slowhound("ps", site.dir)
    assert r"GET /gate-odd/4\r\n\x0b\x85\u2028/" in done.stdout
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    gate.open()
    answer.result()


def test_death_without_an_arbiter_is_written_once(serve: Launcher) -> None:
    """The next `ps` writes the events of the worker, and prints that it did."""
    site = serve.wsgiref()
    gate = site.gate("unseen")
    wire = site.open("/gate/unseen/")
    gate.wait_entered()
    assert ps_of(site.dir, "/gate/unseen/", doing=WAITING)
    os.kill(site.process.pid, signal.SIGKILL)
    wire.read_what_comes()
    first, second = slowhound("ps", site.dir, "--json"), slowhound("ps", site.dir, "--json")
    assert (first.returncode, json.loads(first.stdout)) == (1, [])
    assert f"wrote 1 events of requests whose worker has died (pid {site.process.pid})" in (
        first.stderr
    )
    assert "wrote" not in second.stderr
    (event,) = [each for each in terminal_events(site) if each["req_path"] == "/gate/unseen/"]
    assert (event["event_type"], event["crash_cause"]) == ("crash", "unknown")
    assert list((site.dir / "boxes").iterdir()) == []


def test_death_under_an_arbiter_is_written_once(
    serve: Launcher, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `ps` before that leaves it to the arbiter, which knows the cause."""
    site = serve(workers=2)
    gate = site.gate("dying")
    wire = site.open("/gate/dying/")
    gate.wait_entered()
    pid = ps_of(site.dir, "/gate/dying/")["pid"]
    waited: list[float] = []

    def meanwhile(seconds: float) -> None:
        """While `ps` gives the arbiter its time."""
        waited.append(seconds)
        os.kill(site.process.pid, signal.SIGCONT)
        eventually(lambda: not list(site.dir.glob(f"boxes/{pid}-*")), "the arbiter reaps it")

    monkeypatch.setattr(reap, "time", SimpleNamespace(sleep=meanwhile))
    with stopped([site.process.pid]):
        os.kill(pid, signal.SIGKILL)
        # Not the process's state: its main thread may be a zombie while another has the box open.
        eventually(lambda: reader.survey(str(site.dir))[1], "it is dead")
        main(["ps", "--dir", str(site.dir)])
    assert waited == [PARENT_PATIENCE]
    assert "wrote" not in capfd.readouterr().err
    wire.close()
    assert site.terminal(wire.agent)["crash_signal"] == "SIGKILL"
    counted = Counter(each["req_path"] for each in terminal_events(site))
    assert counted["/gate/dying/"] == 1


def test_folder_comes_from_the_settings(site: Site) -> None:
    """Without --dir, as for the server itself."""
    gate = site.gate("settings")
    answer = site.start("/gate/settings/")
    gate.wait_entered()
    (tmp := site.scratch / "elsewhere").mkdir()
    (tmp / "other_settings.py").write_text(f"SLOWHOUND = {{'DIR': {str(site.dir)!r}}}\n")
    done = slowhound(
        "ps", Path(), "--dir", "", DJANGO_SETTINGS_MODULE="other_settings", PYTHONPATH=str(tmp)
    )
    assert "GET /gate/settings/" in done.stdout, done.stderr
    gate.open()
    answer.result()
