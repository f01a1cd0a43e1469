"""Secrets in names that an application makes at run time, in settings and errors are masked."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context as TemplateContext
from django.template import Engine, Template, TemplateSyntaxError
from django.template.base import Origin

from slowhound.core import box_payloads, observations
from slowhound.core.observations import Moment, QueryStats
from slowhound.core.record import Record
from slowhound.core.task_record import TaskRecord
from slowhound.flames.sampling.annotate import Annotator
from slowhound.flames.sampling.symbolize import _frame
from slowhound.frames.frames import Frame, render
from slowhound.instrument import events
from slowhound.instrument.db import _by_alias
from slowhound.instrument.exception import fields_of
from slowhound.instrument.request import describe_request
from slowhound.instrument.view import _write_view
from slowhound.peers import dumps
from slowhound.sinks import sentry_event
from slowhound.sinks.logger import culprit
from slowhound.system import thread_state
from slowhound.watch import starvation, wording
from slowhound.watch.event_loops import Loops, WatchedLoop
from slowhound.watch.safe_repr import Printer

TOKEN = "ghp_1Abcdefghijklmnopqrst2uvwxyzABCDEFG"
CORE = "1Abcdefghijk"
CARD = "4111111111111111"
KEY_ERROR = "Key (email)=(hunter2@shop.example) already exists."


def resolved(**more: Any) -> Record:
    """A request of a view and a route with a token in their names."""
    record = Record("GET", f"/bot/{TOKEN}/", 0.0)
    given = {"view_name": f"bot {TOKEN}", "route": f"bot/{TOKEN}/<pin>/", **more}
    record.request = SimpleNamespace(resolver_match=SimpleNamespace(**given), META={})
    return record


def test_view_and_route_are_shown_without_tokens() -> None:
    """``path(f"bot/{TOKEN}/", ...)`` is how a bot recognises its messages."""
    record = resolved()
    assert record.view == "bot ********************"
    assert record.route == "bot/********************/<pin>/"


def test_route_in_the_place_of_a_path_is_shown_without_tokens() -> None:
    """It replaces the path where a captured value is not found in it."""
    record = resolved(captured_kwargs={"pin": "hunter2hunter2"})
    _write_view(record, record.request.resolver_match)
    assert record.path == "/bot/********************/<pin>/"


@pytest.mark.parametrize(
    "name",
    [
        "reset/<uidb64>/<token>/",
        "^re/(?P<secret>[a-z0-9]+)/(?P<token>\\w+)/$",
        "accounts/<password>/x/<secret>/",
        "admin:auth_user_password_change",
    ],
)
def test_names_of_groups_in_a_route_stay(name: str) -> None:
    """They are no pairs of a name and its value."""
    record = resolved(view_name=name, route=name)
    assert (record.view, record.route) == (name, name)


def test_task_is_shown_without_the_token_in_its_id() -> None:
    """It is not in the event or the black box; a search for it still finds the task."""
    record = TaskRecord("celery", "shop.pay", 0.0, f"pay-{TOKEN}")
    assert record.task_id == f"pay-{TOKEN}"
    record.outcome = "ok"
    assert events.least(record)["task_id"] == "pay-********************"
    assert CORE not in box_payloads.who_payload(record).decode()
    assert TaskRecord("celery", "a", 0.0, "reset-password:42").shown_id == "reset-password:42"
    assert "hunter2" not in str(TaskRecord("celery", "a", 0.0, "password=hunter2x").shown_id)


def test_frames_are_shown_without_tokens() -> None:
    """The file name of code made at run time is chosen by its author."""
    frame = Frame(f"<rule {TOKEN}>", 3, f"rule_{CARD} {TOKEN}")
    shown = [
        str(frame),
        render((frame,)),
        str(dumps._frame(frame)),
        str(sentry_event._frame(frame)),
        culprit(frame),
        str(_frame(frame.function, frame.filename, 3)),
    ]
    assert [each for each in shown if CORE in each] == []
    assert str(Frame("<string>", 3, "reset_token")) == "<string>:3:reset_token"


def test_class_of_an_exception_is_shown_without_tokens() -> None:
    """So is the class of a lock or a variable."""
    kind = type(f"Error {TOKEN}", (Exception,), {})
    assert fields_of(kind("x"))["exc_type"] == "Error ********************"
    shown = Printer(frozenset()).named("x", type(f"Thing {TOKEN}", (), {})())
    assert CORE not in shown


def test_template_is_shown_without_tokens() -> None:
    """Its name may come from a database, in the event, the timeline and the flame graph."""
    name = f"mail {TOKEN} password=hunter2hunter2"
    template = Template("{{ x }}", Origin(name, name), name, Engine(debug=True))

    class Fails:
        def __str__(self) -> str:
            raise TemplateSyntaxError("no")

    with pytest.raises(TemplateSyntaxError) as caught:
        template.render(TemplateContext({"x": Fails()}))
    shown = fields_of(caught.value)["exc_template"]
    assert shown == "mail ******************** password=********************:1"
    moment = Moment(0.0, 1.0, "template", name)
    shown_text = observations.without_literals(moment).text
    found = str(
        Annotator([moment], concurrent=False).annotate([_frame("f", "/x.py", 1)], 0.5, None)
    )
    assert not [each for each in (shown_text, found) if CORE in each or "hunter2" in each]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("template", "registration/password_reset_form.html"),
        ("template", "auth/token.html#part"),
        ("http", "token.shop.example"),
        ("cache", "get_many"),
    ],
)
def test_ordinary_moments_stay(kind: str, text: str) -> None:
    """Names of templates and hosts stay."""
    moment = Moment(0.0, 1.0, kind, text)
    assert observations.without_literals(moment) == moment


def test_thread_is_shown_without_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in a dump, and where it has held the GIL."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name=f"pull {TOKEN} password=hunter2hunter2")
    thread.start()
    try:
        dump = str([each.name for each in dumps.compose(1).threads])
        held = str(starvation._threads([thread.native_id or 0]))
    finally:
        over.set()
        thread.join()
    for shown in (dump, held):
        assert "pull ****" in shown
        assert CORE not in shown
        assert "hunter2" not in shown


def test_alias_of_a_database_is_shown_without_its_password() -> None:
    """Sites that connect tenants at run time may use their addresses as aliases."""
    alias = "postgres://shop:hunter2hunter2@db.example/shop"
    queries = {(alias, "SELECT 1"): QueryStats()}
    found = _by_alias(queries, {"SELECT 1": QueryStats()})
    assert list(found) == ["postgres://shop:********************@db.example/shop"]


def test_file_that_a_thread_waits_for_is_shown_without_tokens(tmp_path: Path) -> None:
    """This holds where the name is longer than what is read of it."""
    path = tmp_path / TOKEN
    path.touch()
    with path.open() as file:
        shown = thread_state._file(file.fileno())
    assert shown.endswith("/********************")
    long = f"/srv/{'so/' * 63}"[: thread_state.SHOWN_NAME - 20].encode()
    cut = (long + b"/" + TOKEN.encode())[: thread_state.SHOWN_NAME]
    assert CORE[:8] not in thread_state._short(cut)
    assert thread_state._short(b"/run/secrets/db_password") == "/run/secrets/db_password"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("shop:hunter2hunter2@shop.example", "shop:********************@shop.example"),
        ("token:8000", "token:8000"),
        ("auth.shop.example:443", "auth.shop.example:443"),
        ("[::1]:8000", "[::1]:8000"),
        ("password=hunter2hunter2", "password=********************"),
    ],
)
def test_host_is_shown_without_a_password(host: str, shown: str) -> None:
    """The port of a host with a secret name stays."""
    record = Record("GET", "/x/", 0.0)
    record.environ = {"HTTP_HOST": host}
    assert wording.request_line(record) == f"GET http://{shown}/x/"


def test_address_and_method_of_a_client_are_searched() -> None:
    """Behind a proxy the address is a header, and a method is any word."""
    record = Record(TOKEN, "/", 0.0)
    record.environ = {"REMOTE_ADDR": f"{TOKEN} password=hunter2hunter2"}
    event: dict[str, Any] = {}
    describe_request(record, event)
    assert CORE not in str(event)
    assert "hunter2" not in str(event)
    assert Record("PROPFIND", "/", 0.0).method == "PROPFIND"


def test_stall_names_no_path_that_is_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret parts of its route are not known yet."""
    emitted: list[dict[str, Any]] = []
    record = Record("GET", "/reset/hunter2hunter2/", 0.0)
    monkeypatch.setattr("slowhound.watch.event_loops.is_running", lambda _: True)
    loops = Loops(0.1, emitted.append)
    watched = WatchedLoop("loop", SimpleNamespace, record.thread_id, lambda _: None)
    loops._attribute(watched, [record], 10.0, 2.0)
    assert "(its URL is not resolved yet)" in emitted[0]["stall_by"]
    assert "hunter2" not in str(emitted) + starvation._name(record)


def test_socket_is_shown_without_tokens() -> None:
    """Its path, as the kernel has it, is masked."""
    raw = socket.AF_UNIX.to_bytes(2, sys.byteorder) + f"/tmp/{TOKEN}".encode() + b"\0"
    assert thread_state._address(raw) == "/tmp/********************"
