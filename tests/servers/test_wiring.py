"""The ways to install slowhound: Gunicorn's hooks alone, the middleware alone, off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.sources import loc

WORKERS = ["sync", "gthread"]


@pytest.mark.parametrize("worker", WORKERS)
def test_gunicorn_alone_is_enough(serve: Launcher, worker: str) -> None:
    """With the hooks and without an entry in MIDDLEWARE everything is recorded."""
    site = serve(worker=worker, middleware=False)
    event = site.event("/n1/")
    assert event["resp_view"] == "n1"
    assert event["db_queries"] == 7
    assert site.event("/raise/")["exc_loc"] == loc("views/errors.py", "raises", "raises")
    assert site.event("/stream/4/100/")["resp_bytes"] == 400


def test_preloaded_application_is_recorded(serve: Launcher) -> None:
    """With --preload each worker records for itself."""
    site = serve(worker="gthread", workers=2, gunicorn_args=["--preload"])
    event = site.event("/n1/")
    assert event["db_queries"] == 7
    assert event["pid"] in site.worker_pids()


def test_preloaded_application_without_the_middleware_is_recorded(serve: Launcher) -> None:
    """With --preload and an unlisted middleware nothing is lost."""
    event = serve(middleware=False, gunicorn_args=["--preload"]).event("/n1/")
    assert (event["resp_view"], event["db_queries"]) == ("n1", 7)


def test_request_that_django_never_sees_has_its_event(serve: Launcher) -> None:
    """A file that WhiteNoise serves in front of Django has an event without a view."""
    site = serve(worker="gthread", app="tests.site.wsgi:static_first")
    answer = site.get("/static/hello.txt")
    assert answer.text == "served without Django\n"
    event = site.terminal(answer.agent)
    assert (event["req_path"], event["resp_status"]) == ("/static/hello.txt", 200)
    assert [name for name in event if name.startswith("resp_")] == ["resp_status"]
    assert site.terminal_line(answer.agent)["resp_status"] == "200"
    assert site.event("/n1/")["db_queries"] == 7


def test_file_from_the_whitenoise_middleware_has_its_event(serve: Launcher) -> None:
    """The same when WhiteNoise is a Django middleware."""
    site = serve(extra_middleware=["whitenoise.middleware.WhiteNoiseMiddleware"])
    answer = site.get("/static/hello.txt")
    assert answer.text == "served without Django\n"
    event = site.terminal(answer.agent)
    assert (event["resp_status"], event["resp_bytes"]) == (200, 22)
    assert not event.get("resp_view")


@pytest.fixture(scope="module")
def wsgiref(serve_module: Launcher) -> Site:
    """The site under the standard library's server, with the middleware only."""
    return serve_module.wsgiref(settings={"SLOW_AFTER": 0.2})


def test_middleware_alone_works_under_any_server(wsgiref: Site) -> None:
    """Under wsgiref lines, events, queries and errors are recorded."""
    site = wsgiref
    answer = site.get("/n1/")
    event = site.terminal(answer.agent)
    assert (event["db_queries"], event["resp_view"]) == (7, "n1")
    assert site.terminal_line(answer.agent)["req_id"] == event["req_id"]
    failed = site.event("/raise/")
    assert (failed["exc_type"], failed["resp_outcome"]) == ("OhNoes", "error")
    assert site.event("/ok/").get("db_queries") in (None, 0)


def test_middleware_alone_sees_streams_to_their_end(wsgiref: Site) -> None:
    """Under wsgiref a stream is timed to its end, and a client that leaves is a disconnect."""
    site = wsgiref
    event = site.event("/stream-pauses/3/")
    assert event["resp_time"] >= 0.2
    assert event["resp_bytes"] == len("firstchunkchunk")
    wire = site.open("/stream-endless/")
    wire.read_until(b"begin")
    wire.reset()
    assert site.terminal(wire.agent)["resp_outcome"] == "disconnect"


def test_middleware_alone_reports_slow_requests(wsgiref: Site) -> None:
    """Under wsgiref a slow request leaves its report."""
    site = wsgiref
    answer = site.start("/gate/wsgiref/")
    report = site.wait_report("/gate/wsgiref/\nHostname", ", in gated")
    site.gate("wsgiref").open()
    assert Path(site.terminal(answer.result().agent)["report"]).name == report.path.name


@pytest.mark.parametrize("worker", WORKERS)
def test_middleware_with_a_plain_gunicorn_works(serve: Launcher, worker: str) -> None:
    """Under a Gunicorn without slowhound's hooks the middleware works alone."""
    site = serve(worker=worker, wired=False)
    event = site.event("/n1/")
    assert (event["db_queries"], event["resp_status"]) == (7, 200)
    assert site.terminal_line(site.get("/ok/").agent)["resp_view"] == "ok"


def test_switched_off_is_off(serve: Launcher) -> None:
    """With ENABLED False nothing is recorded, printed or written."""
    site = serve(worker="gthread", settings={"ENABLED": False})
    assert site.get("/n1/").status == 200
    site.stop()
    assert site.events() == []
    assert site.lines() == []


def test_lines_go_to_a_file(serve: Launcher, tmp_path: Path) -> None:
    """STREAM may name a file; stdout stays empty then."""
    target = tmp_path / "lines.log"
    site = serve(settings={"STREAM": str(target)})
    event = site.event("/ok/")
    site.stop()
    assert event["req_id"] in target.read_text()
    assert site.lines() == []


def test_segments_without_lines_and_lines_without_segments(serve: Launcher) -> None:
    """STREAM None keeps only the segments, STORE False only the lines."""
    only_events = serve(settings={"STREAM": None})
    only_events.event("/ok/")
    only_events.stop()
    assert only_events.lines() == []
    only_lines = serve(settings={"STORE": False})
    only_lines.terminal_line(only_lines.get("/ok/").agent)
    only_lines.stop()
    assert only_lines.events() == []
