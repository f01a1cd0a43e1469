"""The canonical line and the event of a plain request."""

from __future__ import annotations

import json
import re
import socket

import pytest

from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.sources import loc
from tests.harness.waiting import eventually

SECONDS = re.compile(r"\d+\.\d{3}")


def test_line_has_the_fields_of_canonical_logs(site: Site) -> None:
    """A plain line has canonical-logs' fields in its format, event_type first."""
    # The first sample may have counted the very first request; the next is a second later.
    eventually(lambda: site.event("/ok/").get("g_backlog") == 0, "a sample without a backlog")
    answer = site.get("/ok/", {"Referer": "http://shop.example/cart"})
    line = site.terminal_line(answer.agent)
    assert next(iter(line)) == "event_type"
    assert line["event_type"] == "request"
    assert line["req_id"]
    assert line["req_method"] == "GET"
    assert line["req_path"] == "/ok/"
    assert line["req_referrer"] == "http://shop.example/cart"
    assert line["req_user_agent"] == answer.agent
    assert line["resp_view"] == "ok"
    assert line["resp_status"] == "200"
    assert line["g_w_count"] == "1"
    assert line["g_w_active"].isdigit()
    assert line["g_backlog"] == "0"
    assert all(SECONDS.fullmatch(line[name]) for name in ("resp_time", "resp_cpu_time"))


def test_absent_values_are_a_dash(site: Site) -> None:
    """A header that was not sent, or a view that was not reached, is "-" in the line."""
    line = site.terminal_line(site.get("/no/such/page/").agent)
    assert line["req_referrer"] == "-"
    assert line["resp_view"] == "-"
    assert line["resp_status"] == "404"


def test_every_duration_has_three_decimals(site: Site) -> None:
    """Each field that is a duration is written as seconds with three decimals."""
    line = site.terminal_line(site.get("/n1/").agent)
    durations = {name: value for name, value in line.items() if name.endswith("_time")}
    assert {"resp_time", "resp_cpu_time", "db_time", "db_dup_time"} <= set(durations)
    assert all(SECONDS.fullmatch(value) or value == "-" for value in durations.values()), durations


def test_event_is_typed(site: Site) -> None:
    """The event in the segment has numbers as numbers, and fields that the line lacks."""
    answer = site.get("/ok/")
    event = site.terminal(answer.agent)
    line = site.terminal_line(answer.agent)
    assert next(iter(event)) == "event_type"
    assert event["req_id"] == line["req_id"]
    assert event["resp_status"] == 200
    assert isinstance(event["resp_time"], float)
    assert isinstance(event["ts"], float)
    assert event["host"] == socket.gethostname()
    assert event["pid"] in site.worker_pids()
    assert event["resp_outcome"] == "ok"
    assert event["req_client_addr"] == "127.0.0.1"
    assert f"{event['resp_time']:.3f}" == line["resp_time"]


def test_every_line_has_its_event(site: Site) -> None:
    """Lines and segments have the same requests with the same ids."""
    agents = [site.get("/ok/").agent for _ in range(5)]
    pairs = [
        (site.terminal(agent)["req_id"], site.terminal_line(agent)["req_id"]) for agent in agents
    ]
    assert all(event == line for event, line in pairs)
    assert len({event for event, _ in pairs}) == 5


def test_sequence_counts_up(site: Site) -> None:
    """Each worker numbers its events, so that a reader can notice a gap."""
    numbers = [site.event("/ok/")["seq"] for _ in range(3)]
    assert numbers[0] < numbers[1] < numbers[2]


def test_route_is_the_pattern(site: Site) -> None:
    """The route groups the requests of one URL pattern, whatever their arguments."""
    event = site.event("/item/17/")
    assert event["req_route"] == "item/<int:number>/"
    assert event["req_path"] == "/item/17/"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/ok/", "ok"),
        ("/page/", "page"),
        ("/unnamed/", "tests.site.views.basic.ok"),
        ("/unnamed-page/", "tests.site.views.basic.Page"),
    ],
)
def test_view_is_named_as_django_names_it(site: Site, path: str, name: str) -> None:
    """The view is named by its route, or else by its function or class."""
    assert site.event(path)["resp_view"] == name


def test_query_values_are_never_recorded(site: Site) -> None:
    """Of a query string only the keys are kept."""
    answer = site.get("/ok/?token=s3cret-value&page=2")
    event = site.terminal(answer.agent)
    assert "token" in event["req_query_keys"]
    assert "page" in event["req_query_keys"]
    site.terminal_line(answer.agent)
    assert "s3cret-value" not in site.process.stdout
    assert all("s3cret-value" not in str(event) for event in site.events())


def test_request_body_is_counted(site: Site) -> None:
    """The size of the request's body is in the event, and the application still reads all of it."""
    answer = site.request("POST", "/length/", body=b"b" * 12345)
    assert answer.text == "12345"
    event = site.terminal(answer.agent)
    assert event["req_method"] == "POST"
    assert event["req_bytes"] == 12345


def test_counters_do_not_leak_into_the_next_request(site: Site) -> None:
    """A request starts without the counts of the one before, on the same thread and connection."""
    assert site.event("/n1/")["db_queries"] == 7
    event = site.event("/ok/")
    assert not event.get("db_queries")
    assert not event.get("db_n1")
    assert not event.get("exc_type")


def test_json_format_has_one_object_per_line(serve: Launcher) -> None:
    """With FORMAT json each line on stdout is the event as one JSON object."""
    site = serve(worker="gthread", settings={"FORMAT": "json"})
    event = site.event("/n1/")
    # The event comes first, the line after it.
    printed = [json.loads(text) for text in eventually(site.output, "a line")]
    assert [item["req_id"] for item in printed] == [event["req_id"]]
    assert printed[0]["db_queries"] == 7
    assert next(iter(printed[0])) == "event_type"


def test_nothing_else_is_printed(site: Site) -> None:
    """Nothing but the canonical lines is printed, in the place of the access log."""
    site.terminal_line(site.get("/ok/").agent)
    assert site.stray_output() == []


def test_unhandled_error_is_one_line(site: Site) -> None:
    """A failing view has one line with the error and where it came from."""
    line = site.terminal_line(site.get("/raise/").agent)
    assert line["resp_status"] == "500"
    assert line["exc_type"] == "OhNoes"
    assert line["exc_msg"] == "Oh noes!"
    assert line["exc_loc"] == loc("views/errors.py", "raises", "raises")
    assert line["exc_cause_loc"] == loc("views/errors.py", "cause", "_thrower")
