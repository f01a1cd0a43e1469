"""Sentry: the real SDK sends envelopes to an endpoint on loopback, which decodes them."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from django.test import override_settings

from slowhound.core.observations import Moment, Snapshot
from slowhound.core.report import Finished, Report, of_death
from slowhound.delivery.sink import build
from slowhound.frames.frames import Frame
from slowhound.sinks import sentry_event
from slowhound.sinks.dogslow_sentry import Discards
from slowhound.sinks.logger import PythonLogger
from slowhound.sinks.sentry import Sentry
from slowhound.sinks.sentry_event import frames_of
from slowhound.system import guard
from tests.harness.launch import ROOT
from tests.harness.ports import unused_port
from tests.harness.sentry_server import Project, sentry_server

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VIEWS = str(ROOT / "tests" / "site" / "views" / "waiting.py")
LIBRARY = socket.__file__
EVENT: dict[str, Any] = {
    "event_type": "slow",
    "req_id": "id-1",
    "req_method": "GET",
    "req_path": "/items/1/",
    "req_referrer": "https://example.com/",
    "req_user_agent": "a browser",
    "req_route": "items/<int:id>/",
    "req_client_addr": "192.0.2.7",
    "resp_view": "item",
    "resp_time": 25.2,
    "resp_cpu_time": 0.1,
    "db_queries": 3,
    "db_time": 20.5,
    "db_dup_queries": 0,
    "slow_after": 25.0,
    "slow_loc": "shop/views.py:7:item",
    "slow_verdict": "stuck",
    "slow_fingerprint": "0123456789ab",
    "report": "slow_request_1.log",
    "flame": "flame_1.flame.json.gz",
    "g_w_count": 4,
    "g_backlog": 7,
    "w_rss": 50_000_000,
    "ts": 1_700_000_000.5,
    "host": "web1",
    "pid": 77,
    "service": "shop",
    "release": "1.2.3",
    "trace_id": TRACE,
    "span_id": SPAN,
}


def report_of(**changes: Any) -> Report:
    stack = (Frame(LIBRARY, 3, "run"), Frame(VIEWS, 20, "sleep"), Frame(LIBRARY, 9, "recv"))
    values: dict[str, Any] = {
        "event": EVENT,
        "request_line": "GET http://example.com/items/1/?a=1&password=********************",
        "started": 1_700_000_000.0,
        "intercepted": 1_700_000_025.2,
        "host": "web1",
        "thread_id": 5,
        "pid": 77,
        "snapshot": Snapshot(25.2, stack, variables=[("sleep", [("seconds", "25")])]),
        "verdict": "Stuck in recv.\nIt waits for 10.0.0.5:5432.",
        "timeline": [
            Moment(0.5, 0.1, "cache", "get key"),
            Moment(1.0, 20.0, "sql", "SELECT ? FROM items"),
        ],
        "others": ["  1.000 s  GET /other/  other  id-2"],
        "held_back": 12,
    }
    return Report(**{**values, **changes})


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has a Sentry that is not initialised, and errors are raised."""
    monkeypatch.setattr(guard, "loud", True)
    yield
    sentry_sdk.get_client().close(timeout=0)
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.get_global_scope().clear()


@pytest.fixture
def project() -> Iterator[Project]:
    """A Sentry on loopback; no event has the client's address."""
    with sentry_server() as project:
        yield project


def sent(project: Project, report: Report, **options: Any) -> dict[str, Any]:
    """The event of this report."""
    sentry_sdk.init(project.dsn, default_integrations=False, **options)
    sink = Sentry()
    sink.deliver(report)
    sink.close()
    (event,) = project.ours()
    return event


def test_event_has_real_frames(project: Project) -> None:
    """Files, lines, source, and which are the application's; local variables if set."""
    event = sent(project, report_of())
    (exception,) = event["exception"]["values"]
    assert exception["type"] == "SlowRequest"
    assert exception["value"] == "Slow, stuck: item (25.2 s): Stuck in recv."
    assert exception["mechanism"] == {"type": "slowhound", "handled": True}
    frames = exception["stacktrace"]["frames"]
    assert [frame["in_app"] for frame in frames] == [False, True, False]
    ours = frames[1]
    lines = Path(VIEWS).read_text().splitlines()
    assert ours["abs_path"] == VIEWS
    assert ours["filename"] == "tests/site/views/waiting.py"
    assert ours["module"] == "tests.site.views.waiting"
    assert (ours["function"], ours["lineno"]) == ("sleep", 20)
    assert ours["context_line"] == lines[19]
    assert ours["pre_context"] == lines[14:19]
    assert ours["post_context"] == lines[20:25]
    assert ours["vars"] == {"seconds": "25"}


def test_event_has_what_happened_and_where(project: Project) -> None:
    """Group, transaction, level, release, tags, request, and the contexts."""
    event = sent(project, report_of())
    assert event["fingerprint"] == ["slowhound", "0123456789ab"]
    assert event["transaction"] == "/items/<int:id>/"
    assert (event["level"], event["release"], event["server_name"]) == ("warning", "1.2.3", "web1")
    assert event["tags"] == {
        "event_type": "slow",
        "verdict": "stuck",
        "view": "item",
        "host": "web1",
        "pid": "77",
        "worker": "web1:77",
        "service": "shop",
        "release": "1.2.3",
    }
    request = event["request"]
    assert request["method"] == "GET"
    assert request["url"] == "http://example.com/items/1/"
    assert request["query_string"].startswith("a=1&password=")
    assert request["headers"] == {"User-Agent": "a browser", "Referer": "https://example.com/"}
    contexts = event["contexts"]
    assert contexts["slowhound"]["verdict"].endswith("It waits for 10.0.0.5:5432.")
    assert contexts["slowhound"]["held_back"] == 12
    assert contexts["slowhound"]["others_in_flight"] == ["1.000 s  GET /other/  other  id-2"]
    assert contexts["time"]["total"] == 25.2
    assert contexts["time"]["database"] == 20.5
    assert contexts["database"]["longest"] == ["20.000 s  SELECT ? FROM items"]
    assert contexts["saturation"] == {"g_w_count": 4, "g_backlog": 7, "w_rss": 50_000_000}
    assert (contexts["trace"]["trace_id"], contexts["trace"]["span_id"]) == (TRACE, SPAN)
    crumbs = event["breadcrumbs"]["values"]
    assert [crumb["category"] for crumb in crumbs] == ["cache", "query"]
    assert crumbs[1]["message"] == "SELECT ? FROM items"


def test_address_of_the_client_stays(project: Project) -> None:
    """It is personal, and not needed to find out why a request is slow."""
    sent(project, report_of())
    assert not any(b"192.0.2.7" in data for data in project.raw)


def test_redelivery_has_the_same_id(project: Project) -> None:
    """Sentry keeps one event of each id, so a report that is delivered twice is there once."""
    sentry_sdk.init(project.dsn, default_integrations=False)
    for report in (report_of(), report_of(), report_of(event={**EVENT, "req_id": "id-2"})):
        Sentry().deliver(report)
    first, again, other = (event["event_id"] for event in project.ours())
    assert first == again != other
    assert len(bytes.fromhex(first)) == 16


def test_flame_graph_and_report_are_attached(project: Project, tmp_path: Path) -> None:
    """The drawings of the graph where they are; a file that is too large is left out."""
    flames = tmp_path / "flames"
    flames.mkdir()
    (flames / "flame_1.speedscope.json").write_text('{"profiles": []}')
    (flames / "flame_1.svg").write_bytes(b"x" * 3_000_000)
    (flames / "flame_1.flame.json.gz").write_bytes(b"data")
    with override_settings(SLOWHOUND={"DIR": str(tmp_path)}):
        sent(project, report_of())
    attached = project.envelopes[0].attachments
    assert set(attached) == {"report.txt", "flame_1.speedscope.json"}
    assert attached["flame_1.speedscope.json"] == b'{"profiles": []}'
    assert b"Undead request intercepted at" in attached["report.txt"]


def test_graphs_name_cannot_leave_its_folder(project: Project, tmp_path: Path) -> None:
    """Whatever the event's ``flame`` is: only a regular file of that folder is read."""
    (tmp_path / "flames").mkdir()
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", tmp_path / "flames" / "link")
    sentry_sdk.init(project.dsn, default_integrations=False)
    with override_settings(SLOWHOUND={"DIR": str(tmp_path)}):
        for name in ("../secret", str(tmp_path / "secret"), "link"):
            Sentry().deliver(report_of(event={**EVENT, "flame": name}))
    assert [set(each.attachments) for each in project.envelopes] == [{"report.txt"}] * 3


def test_end_of_the_request_is_added_to_its_event(project: Project, tmp_path: Path) -> None:
    """A request that has ended adds how, and its graph, to the event that is there already."""
    (tmp_path / "flames").mkdir()
    (tmp_path / "flames" / "flame_1.flame.json.gz").write_bytes(b"data")
    sentry_sdk.init(project.dsn, default_integrations=False)
    sink = Sentry()
    with override_settings(SLOWHOUND={"DIR": str(tmp_path)}):
        sink.deliver(report_of())
        sink.follow_up(report_of(finished=Finished(31.5, 200, "ok", "Slow in the end.")))
    first, second = project.envelopes
    assert second.headers["event_id"] == first.headers["event_id"]
    assert set(second.attachments) == {"finished.txt", "flame_1.flame.json.gz"}
    assert b"Finished after 31.500 s: status 200" in second.attachments["finished.txt"]


@pytest.mark.parametrize(("kind", "name"), [("timeout", "WorkerTimeout"), ("crash", "WorkerDied")])
def test_death_is_an_event(project: Project, kind: str, name: str) -> None:
    """With its last stack, the SQL that was running, and the cause."""
    death = {
        **EVENT,
        "event_type": kind,
        "crash_cause": "oom",
        f"{kind}_stack": "tests/site/views/waiting.py:20:sleep < elsewhere.py:1:run",
        f"{kind}_sql": "SELECT ?",
        f"{kind}_sql_time": 3.5,
    }
    event = sent(project, of_death(death))
    (exception,) = event["exception"]["values"]
    assert exception["type"] == name
    assert exception["mechanism"]["handled"] is False
    outer, inner = exception["stacktrace"]["frames"]
    assert (outer["filename"], outer["lineno"]) == ("elsewhere.py", 1)
    assert (inner["abs_path"], inner["function"], inner["in_app"]) == (VIEWS, "sleep", True)
    assert event["level"] == "fatal"
    assert event["tags"]["cause"] == "oom"
    assert event["contexts"]["database"]["running"] == "SELECT ?"
    assert event["contexts"]["database"]["running_for"] == 3.5


def test_settings_of_the_applications_client_hold(project: Project) -> None:
    """Environment, tags of its scope and before_send are the application's; so is its no."""
    seen: list[str] = []

    def before_send(event: Any, _hint: Any) -> Any:
        seen.append(event["event_id"])
        return event if len(seen) == 1 else None

    sentry_sdk.get_global_scope().set_tag("team", "shop")
    sentry_sdk.init(
        project.dsn,
        default_integrations=False,
        environment="staging",
        before_send=before_send,
        sample_rate=0.0,
    )
    sink = Sentry()
    sink.deliver(report_of())
    sink.deliver(report_of())
    (event,) = project.ours()
    assert event["environment"] == "staging"
    assert event["tags"]["team"] == "shop"
    assert len(seen) == 2


def test_own_dsn_needs_no_sentry_in_the_application(project: Project) -> None:
    """With a dsn the sink has its own client, and does not initialise the SDK."""
    sink = build({"sink": "slowhound.sinks.sentry.Sentry", "dsn": project.dsn, "environment": "x"})
    sink.deliver(report_of())
    sink.close()
    (event,) = project.ours()
    assert event["environment"] == "x"
    assert not sentry_sdk.get_client().is_active()


def test_without_a_client_the_report_is_kept() -> None:
    """Sentry is not initialised: an error is raised, and its message has what to do."""
    with pytest.raises(RuntimeError, match=r"sentry_sdk\.init"):
        Sentry().deliver(report_of())


def test_sentry_without_dsn_is_off() -> None:
    """The usual way to switch Sentry off on a developer's machine is not an error."""
    sentry_sdk.init(dsn="", default_integrations=False)
    Sentry().deliver(report_of())


def test_transport_of_the_application_is_used() -> None:
    """An application with its own transport gets our events through that."""
    envelopes: list[Any] = []

    class Kept(sentry_sdk.transport.Transport):
        def capture_envelope(self, envelope: Any) -> None:
            envelopes.append(envelope)

    sentry_sdk.init("http://public@127.0.0.1:9/42", default_integrations=False, transport=Kept)
    Sentry().deliver(report_of())
    assert [envelope.get_event()["logger"] for envelope in envelopes] == ["slowhound"]


@pytest.mark.parametrize("status", [400, 429, 500])
def test_refused_event_is_tried_again(project: Project, status: int) -> None:
    """An error is raised, so that the report stays in the spool; the next try arrives."""
    sentry_sdk.init(project.dsn, default_integrations=False)
    sink = Sentry()
    project.status = status
    with pytest.raises(ConnectionError):
        sink.deliver(report_of())
    project.status = 200
    if status == 429:
        with pytest.raises(ConnectionError):  # Sentry's own limit holds for a minute
            sink.deliver(report_of())
        return
    sink.deliver(report_of())
    assert len(project.ours()) == 1


def test_sentry_that_is_not_there_raises() -> None:
    """A refused connection is an error of the delivery, which tries again."""
    sentry_sdk.init(f"http://public@127.0.0.1:{unused_port()}/42", default_integrations=False)
    with pytest.raises(Exception, match=r"refused|retries"):
        Sentry().deliver(report_of())


def test_what_slowhound_logs_is_no_second_event(project: Project) -> None:
    """Sentry's logging integration, whatever its level, takes nothing of slowhound's own logger."""
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        project.dsn,
        default_integrations=False,
        integrations=[LoggingIntegration(event_level=logging.WARNING)],
    )
    sink = Sentry()
    logging.getLogger("slowhound").warning("slowhound: something failed")
    sink.deliver(report_of())
    logging.getLogger("shop").warning("an event of the application")
    sentry_sdk.flush(timeout=10)
    assert len(project.events) == 2
    assert len(project.ours()) == 1
    ours = project.ours()[0]
    assert [crumb["category"] for crumb in ours["breadcrumbs"]["values"]] == ["cache", "query"]


def test_log_to_sentry_means_sentry_where_it_is(project: Project) -> None:
    """DOGSLOW_LOG_TO_SENTRY: the sink with an initialised Sentry, the old logger without."""
    spec = {
        "sink": "slowhound.sinks.dogslow_sentry.make",
        "name": "dogslow",
        "level": logging.WARNING,
        "brief": True,
    }
    assert isinstance(build(spec), PythonLogger)
    assert isinstance(build({**spec, "name": None}), Discards)
    sentry_sdk.init(project.dsn, default_integrations=False)
    assert isinstance(build(spec), Sentry)
    assert isinstance(build({**spec, "name": None}), Sentry)


def test_deep_stack_is_cut_in_the_middle() -> None:
    """Sentry shows 250 frames: the outermost and the innermost ones."""
    stack = tuple(Frame(VIEWS, 1, f"f{number}") for number in range(1000))
    frames = frames_of(report_of(snapshot=Snapshot(1.0, stack)))
    assert [frame["function"] for frame in (frames[0], frames[49], frames[50], frames[-1])] == [
        "f0",
        "f49",
        "f800",
        "f999",
    ]


def test_event_of_a_deep_stack_is_whole(project: Project) -> None:
    """All frames, with the lines around them, the breadcrumbs, the request and the report."""
    stack = tuple(Frame(LIBRARY, 100 + number, f"f{number}") for number in range(250))
    variables = [(f"f{number}", [("name", "1")] * 10) for number in range(50)]
    report = report_of(snapshot=Snapshot(1.0, stack, variables=variables))
    event = sent(project, report)
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames] == [frame.function for frame in stack]
    assert {len(frame["post_context"]) for frame in frames} == {5}
    assert [len(event["breadcrumbs"]["values"]), event["request"]["method"]] == [2, "GET"]
    assert project.envelopes[0].attachments["report.txt"].decode() == report.text()


def test_secret_in_a_line_of_source_stays(project: Project, tmp_path: Path) -> None:
    """A password that is written into the code is masked in the lines around a frame."""
    code = tmp_path / "shop.py"
    code.write_text('password = "hunter2"\nconnect(password)\n')
    stack = (Frame(str(code), 2, "connect"),)
    sent(project, report_of(snapshot=Snapshot(1.0, stack)))
    assert not any(b"hunter2" in data for data in project.raw)


def test_broken_text_arrives(project: Project) -> None:
    """A client's bytes that are no text lose no event."""
    event = sent(project, report_of(event={**EVENT, "req_user_agent": "a\udcffb"}))
    assert event["request"]["headers"]["User-Agent"] == "a\\udcffb"


def test_lines_around_are_sent_without_a_private_key(tmp_path: Path) -> None:
    """Its first line may stand before those that are sent, and its last one behind them."""
    begin, end = ("-----" + word + " RSA PRIVATE" + " KEY-----" for word in ("BEGIN", "END"))
    file = tmp_path / "shop.py"
    body = "MIIEpAIBhunter2\n" * 20
    file.write_text(f'KEY = """{begin}\n{body}{end}"""\ndef view():\n    wait()\n')
    frames = [sentry_event._frame(Frame(str(file), number, "view")) for number in (24, 10)]
    assert "hunter2" not in str(frames)
    assert frames[0]["context_line"] == "    wait()"
    assert frames[0]["pre_context"][-1] == "def view():"
