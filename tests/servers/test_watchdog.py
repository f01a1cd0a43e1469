"""Reports of slow requests are written while they run, and completed after."""

from __future__ import annotations

import math
import os
import re
import socket
from pathlib import Path

import pytest

from tests.harness.launch import Launcher
from tests.harness.recorded import Report
from tests.harness.site import Site
from tests.harness.sources import line_of
from tests.harness.waiting import eventually
from tests.harness.watch_command import make_slow

SLOW_AFTER = 0.25
# Only once they have reached their view: the time until then depends on the machine.
SOON = dict.fromkeys(("gate", "sleep", "stream-gated", "hold-gil", "secrets", "ok"), SLOW_AFTER)
SETTINGS = {"SLOW_AFTER": {**SOON, "*": 60}}
STAMP = r"\d\d-\d\d-\d{4} \d\d:\d\d:\d\d UTC"
HEAD = re.compile(
    rf"Undead request intercepted at: {STAMP} \(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ\)\n"
    r"\n"
    r"GET (?P<url>\S+)\n"
    r"Hostname: +(?P<host>\S+)\n"
    r"Thread ID: +(?P<thread>\d+)\n"
    r"Process ID: +(?P<pid>\d+)\n"
    r"Parent PID: +(?P<parent>\d+)\n"
    rf"Started: +{STAMP}\n"
    r"\n"
    r'  File "'
)
# Each snapshot of a gated view has this frame once.
FRAME = f", line {line_of('views/waiting.py', 'gated')}, in gated\n"


@pytest.fixture(scope="module")
def slow_site(serve_module: Launcher) -> Site:
    """A site whose requests are soon slow."""
    return serve_module(worker="gthread", settings=SETTINGS)


@pytest.fixture(scope="module")
def slow_sync_site(serve_module: Launcher) -> Site:
    """The same with the other kind of worker."""
    return serve_module(settings=SETTINGS)


both = pytest.mark.parametrize("name", ["slow_site", "slow_sync_site"])


def report_of(site: Site, event: dict[str, object]) -> Report:
    """The report that an event names."""
    name = Path(str(event["report"])).name
    found = [report for report in site.reports() if report.path.name == name]
    assert len(found) == 1, (name, [report.path for report in site.reports()])
    return found[0]


@both
def test_report_begins_in_dogslows_layout(name: str, request: pytest.FixtureRequest) -> None:
    """A request past SLOW_AFTER leaves a report that begins as dogslow's did."""
    slow_site: Site = request.getfixturevalue(name)
    answer = slow_site.start("/gate/layout/")
    report = slow_site.wait_report("/gate/layout/", FRAME)
    slow_site.gate("layout").open()
    answer.result()
    head = HEAD.match(report.text)
    assert head, report.text
    assert head["url"] == f"http://{slow_site.address.authority}/gate/layout/"
    assert head["host"] == socket.gethostname()
    assert int(head["pid"]) in slow_site.worker_pids()
    assert int(head["parent"]) == slow_site.process.pid
    assert re.search(
        r'^  File ".*tests/site/gates.py", line \d+, in wait_at$', report.text, re.MULTILINE
    )


@both
def test_slow_request_has_a_slow_event_and_a_terminal_event(
    name: str, request: pytest.FixtureRequest
) -> None:
    """The slow event is written while the request runs; the last one has report and time."""
    slow_site: Site = request.getfixturevalue(name)
    gate = slow_site.gate("both")
    answer = slow_site.start("/gate/both/")
    slow = slow_site.wait_event(event_type="slow", req_path="/gate/both/")
    assert not [
        e
        for e in slow_site.events()
        if e["event_type"] == "request" and e["req_id"] == slow["req_id"]
    ]
    gate.open()
    event = slow_site.terminal(answer.result().agent)
    assert event["req_id"] == slow["req_id"]
    assert Path(event["report"]).name == Path(slow["report"]).name
    assert slow["resp_view"] == "gate"
    assert slow["resp_time"] >= SLOW_AFTER
    assert event["resp_time"] >= slow["resp_time"]
    assert (event["resp_status"], event["resp_outcome"]) == (200, "ok")
    assert "/gate/both/" in report_of(slow_site, event).text


def test_slow_event_has_a_line(slow_site: Site) -> None:
    """The slow event has a canonical line, too."""
    answer = slow_site.get("/sleep/0.4/")
    line = slow_site.wait_line(event_type="slow", req_user_agent=answer.agent)
    assert line["req_id"] == slow_site.terminal_line(answer.agent)["req_id"]
    assert line["slow_fingerprint"] not in ("", "-")


def test_fast_request_has_no_report(slow_site: Site) -> None:
    """A request that ends in time leaves no report and no slow event."""
    fast = eventually(
        lambda: each if (each := slow_site.event("/ok/"))["resp_time"] < SLOW_AFTER else None,
        "a request that ends in time",
    )
    assert not fast.get("report")
    # By now it would have its slow event.
    slow = slow_site.event("/sleep/0.4/")
    slow_site.wait_event(event_type="slow", req_id=slow["req_id"])
    reported = {each["req_id"] for each in slow_site.events() if each["event_type"] == "slow"}
    assert fast["req_id"] not in reported


def samples(report: str) -> int:
    """The number of samples in a report; an unchanged stack is not printed again."""
    return 1 + report.count("Still running after")


def test_snapshots_repeat_at_doubling_intervals(slow_site: Site) -> None:
    """While a request runs, its report gets further snapshots at doubling intervals."""
    gate = slow_site.gate("doubling")
    answer = slow_site.start("/gate/doubling/")
    report = slow_site.wait_report("/gate/doubling/")
    eventually(lambda: samples(report.path.read_text()) >= 5, "five snapshots", deadline=30)
    gate.open()
    event = slow_site.terminal(answer.result().agent)
    snapshots = samples(report_of(slow_site, event).text)
    assert snapshots <= math.log2(event["resp_time"] / SLOW_AFTER) + 2
    assert len([r for r in slow_site.reports() if "/gate/doubling/" in r.text.split("\n")[2]]) == 1
    assert (
        len(
            [
                e
                for e in slow_site.events()
                if e["event_type"] == "slow" and e["req_id"] == event["req_id"]
            ]
        )
        == 1
    )


def test_stream_is_watched_to_its_end(slow_site: Site) -> None:
    """A body that hangs long after the view returned is reported where it hangs."""
    answer = slow_site.start("/stream-gated/watched/")
    report = slow_site.wait_report("/stream-gated/watched/", ", in gated_parts\n")
    slow_site.gate("watched").open()
    event = slow_site.terminal(answer.result().agent)
    assert Path(event["report"]).name == report.path.name


def test_request_that_held_the_gil_is_reported_at_its_end(slow_site: Site) -> None:
    """A request that was unsampled because C code held the GIL still has its report."""
    event = slow_site.event("/hold-gil/")
    slow = slow_site.wait_event(event_type="slow", req_id=event["req_id"])
    assert Path(slow["report"]).name == Path(event["report"]).name
    assert report_of(slow_site, event).path.stat().st_size


def test_report_holds_no_locals_unless_asked(slow_site: Site) -> None:
    """Without LOCALS no local variable is in a report."""
    answer = slow_site.start("/secrets/unasked/")
    report = slow_site.wait_report("/secrets/unasked/", ", in wait_at\n")
    slow_site.gate("unasked").open()
    answer.result()
    text = report_of(slow_site, slow_site.terminal(answer.result().agent)).text
    assert report.path.exists()
    assert not re.search(r"hunter2-unasked|visible-unasked|declared-unasked|key-unasked", text)


def test_report_and_folder_are_the_owners_alone(slow_site: Site) -> None:
    """Reports may contain secrets, so only their owner can read them."""
    slow_site.terminal(slow_site.get("/sleep/0.4/").agent)
    assert slow_site.dir.stat().st_mode & 0o777 == 0o700
    assert all(report.path.stat().st_mode & 0o077 == 0 for report in slow_site.reports())
    assert all(report.path.stat().st_uid == os.getuid() for report in slow_site.reports())


def test_queries_of_a_slow_request_are_in_its_report(slow_site: Site) -> None:
    """A report has the queries that the request had made by then."""
    answer = slow_site.start("/query-then-gate/queried/")
    slow_site.gate("queried").wait_entered()
    make_slow(slow_site, "query-then-gate")
    report = slow_site.wait_report("/query-then-gate/queried/", "site_author")
    slow_site.gate("queried").open()
    answer.result()
    assert "SELECT" in report.text


def test_other_requests_in_flight_are_shown(serve: Launcher) -> None:
    """A report lists the other requests in flight in the worker."""
    site = serve(worker="gthread", settings={"SLOW_AFTER": {"gate": 0.3, "*": 60}})
    other = site.start("/stream-gated/elsewhere/")
    site.gate("elsewhere").wait_entered()
    slow = site.start("/gate/here/")
    report = site.wait_report("/gate/here/", "/stream-gated/elsewhere/")
    assert report.text.split("\n")[2].endswith("/gate/here/")
    site.gate("here").open()
    site.gate("elsewhere").open()
    assert not site.terminal(other.result().agent).get("report")
    assert site.terminal(slow.result().agent)["report"]


def test_hound_is_one_thread(serve: Launcher) -> None:
    """A worker has one more thread than without slowhound, for any number of requests."""
    bare = serve(settings=None)
    site = serve()
    for path in ("/ok/", "/n1/", "/sleep/0.1/", "/ok/"):
        bare.get(path)
        site.terminal(site.get(path).agent)
    threads = [len(list(Path(f"/proc/{s.worker_pids()[0]}/task").iterdir())) for s in (bare, site)]
    assert threads[1] <= threads[0] + 1
