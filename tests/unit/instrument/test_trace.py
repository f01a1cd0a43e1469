"""Trace ids: from OpenTelemetry's span, from the traceparent header, from Sentry's trace."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from asgiref.sync import markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from opentelemetry import context
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

import slowhound
from slowhound.asgi import wrap
from slowhound.blackbox.payloads import Last, read_last, read_who, who_fields
from slowhound.core.box_payloads import stack_payload, who_payload
from slowhound.core.in_flight import current
from slowhound.core.record import Owner, Record
from slowhound.core.task_record import TaskRecord
from slowhound.instrument import trace
from slowhound.recorder import process
from slowhound.runtime.clocks import clock
from slowhound.system import guard
from slowhound.testing import capture_events
from tests.harness.launch import ROOT

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"
tracer = TracerProvider().get_tracer("tests")
OURS = ["slowhound.middleware.SlowhoundMiddleware"]
seen: list[Any] = []


def ok(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def inner_span(_request: HttpRequest) -> HttpResponse:
    with tracer.start_as_current_span("in the view"):
        return HttpResponse("ok")


def survives(_request: HttpRequest) -> HttpResponse:
    @slowhound.on_error(return_value=None)
    def fails() -> None:
        raise ValueError("survived")

    fails()
    return HttpResponse("ok")


urlpatterns = [path("", ok), path("inner/", inner_span), path("survives/", survives)]


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


class Traced:
    """A middleware that opens a span, as OpenTelemetry's own for Django does."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        with tracer.start_as_current_span("server") as span:
            seen.append(span)
            return self.get_response(request)


class Answers:
    """A middleware that responds in front of the view, and makes a call before."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        with tracer.start_as_current_span("asks", kind=SpanKind.CLIENT):
            return HttpResponse("closed")


class AnswersLater:
    """The same in an event loop."""

    sync_capable, async_capable = False, True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> Any:
        with tracer.start_as_current_span("asks", kind=SpanKind.CLIENT):
            return HttpResponse("closed")


def event_of(url: str = "/", **headers: str) -> dict[str, Any]:
    with capture_events() as events:
        Client(headers=headers).get(url)
    return events[-1]


def hex_ids(span: Any = None) -> tuple[str, str]:
    ids = (span or seen[-1]).get_span_context()
    return f"{ids.trace_id:032x}", f"{ids.span_id:016x}"


def test_traceparent_is_in_the_event() -> None:
    """Without OpenTelemetry's span the ids are the caller's."""
    event = event_of(traceparent=HEADER)
    assert (event["trace_id"], event["span_id"]) == (TRACE, SPAN)


def test_traceparent_is_in_the_event_of_an_asgi_server() -> None:
    """The wrap passes the header on, also for requests that Django never sees."""

    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        pass

    async def ignore(*_: Any) -> Any:
        pass

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"traceparent", HEADER.encode())],
    }
    with capture_events() as events:
        asyncio.run(wrap(application)(scope, ignore, ignore))
    assert (events[-1]["trace_id"], events[-1]["span_id"]) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        HEADER.upper(),
        HEADER + "-extra",
        HEADER + "0",
        HEADER[:-1],
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f" {HEADER}",
        f"{HEADER},{HEADER}",
        f"{HEADER}\n",
        "01-" + HEADER[3:] + "-" + "a" * 600,
        "0\u0660-" + HEADER[3:],
    ],
)
def test_what_is_no_traceparent_is_left_out(header: str) -> None:
    """Anything that the standard does not allow gives no ids at all."""
    assert trace.parse(header) is None
    if header.isprintable():
        assert "trace_id" not in event_of(traceparent=header)


def test_later_version_of_traceparent_may_have_more() -> None:
    """As the standard demands, additions of a later version are ignored."""
    assert trace.parse(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings") == (TRACE, SPAN)
    assert trace.parse(f"cc-{TRACE}-{SPAN}-01") == (TRACE, SPAN)


@pytest.mark.parametrize("outside", [True, False], ids=["outside", "inside"])
def test_current_span_is_in_the_event(outside: bool) -> None:
    """The span of a tracing middleware is found, around slowhound's or inside; not the view's."""
    theirs = [f"{__name__}.Traced"]
    order = theirs + OURS if outside else OURS + theirs
    with override_settings(MIDDLEWARE=order):
        event = event_of("/inner/", traceparent=HEADER)
    assert (event["trace_id"], event["span_id"]) == hex_ids()


def test_request_to_nowhere_has_the_ids() -> None:
    """Also a 404, which no URL matched, belongs to the trace of its middleware."""
    with override_settings(MIDDLEWARE=[f"{__name__}.Traced", *OURS]):
        event = event_of("/nowhere/")
    assert event["resp_status"] == 404
    assert (event["trace_id"], event["span_id"]) == hex_ids()


THEIRS, ANSWERS = f"{__name__}.Traced", f"{__name__}.Answers"


@pytest.mark.parametrize("header", [{}, {"traceparent": HEADER}], ids=["new", "continued"])
@pytest.mark.parametrize(
    "order", [[*OURS, THEIRS], [THEIRS, *OURS], [*OURS, THEIRS, THEIRS]], ids=" ".join
)
def test_request_that_a_middleware_responds_to_has_the_ids(
    order: list[str], header: dict[str, str]
) -> None:
    """Its span is used, though no URL was resolved; spans of its calls are not."""
    seen.clear()
    with override_settings(MIDDLEWARE=[*order, ANSWERS]):
        event = event_of(**header)
    assert event["resp_status"] == 200
    assert (event["trace_id"], event["span_id"]) == hex_ids(seen[0])


@pytest.mark.parametrize("last", ["Answers", "AnswersLater"])
def test_the_same_in_an_event_loop(last: str) -> None:
    """Django runs middleware there in threads, or as coroutines."""

    async def get() -> None:
        assert (await AsyncClient().get("/")).content == b"closed"

    order = [*OURS, THEIRS, f"{__name__}.{last}"]
    with override_settings(MIDDLEWARE=order), capture_events() as events:
        asyncio.run(get())
    assert (events[-1]["trace_id"], events[-1]["span_id"]) == hex_ids()


@pytest.mark.parametrize("order", [[*OURS, THEIRS], [THEIRS, *OURS]], ids=" ".join)
def test_span_that_is_not_recorded_has_ids_as_well(
    order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sampler has dropped it, but services that are called get its ids."""
    quiet = TracerProvider(sampler=ALWAYS_OFF).get_tracer("tests")
    monkeypatch.setattr(f"{__name__}.tracer", quiet)
    with override_settings(MIDDLEWARE=[*order, f"{__name__}.Closed"]):
        event = event_of()
    assert (event["trace_id"], event["span_id"]) == hex_ids()


def test_opentelemetrys_own_middleware_is_seen() -> None:
    """That is the one of opentelemetry-instrumentation-django, which comes before all others."""
    provider, spans = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with override_settings(MIDDLEWARE=[*OURS, ANSWERS]):
        DjangoInstrumentor().instrument(tracer_provider=provider, middleware_position=len(OURS))
        try:
            event = event_of(traceparent=HEADER)
        finally:
            DjangoInstrumentor().uninstrument()
    (span,) = spans.get_finished_spans()
    assert (event["trace_id"], event["span_id"]) == (TRACE, f"{span.context.span_id:016x}")


def test_span_of_the_request_before_is_not_taken() -> None:
    """A server may begin a request in the context of one that still runs."""
    with override_settings(MIDDLEWARE=[*OURS, THEIRS]), capture_events() as events:
        Client().get("/pipelined/")
    answered, first = events
    assert (first["trace_id"], first["span_id"]) == hex_ids()
    assert "trace_id" not in answered


def pipelined(_request: HttpRequest) -> HttpResponse:
    """Another request is served meanwhile, not by the sender of this one."""
    record = current()
    assert record is not None
    record.complete = True  # its response is sent
    asyncio.run(one_more())
    return HttpResponse("ok")


async def one_more() -> None:
    """A request in a task of its own, as an event-loop server begins it."""
    with override_settings(MIDDLEWARE=[*OURS, f"{__name__}.Closed"]):
        Client().get("/")


class Closed(Answers):
    def __call__(self, request: HttpRequest) -> Any:
        return HttpResponse("closed")


urlpatterns.append(path("pipelined/", pipelined))


def test_opentelemetry_has_its_own_function_again() -> None:
    """It has, after the recorder's end."""
    event_of()
    assert context.attach.__module__ == "opentelemetry.context"
    ours = context.attach
    process.stop()
    assert context.attach is ours.__wrapped__  # type: ignore[attr-defined]


def test_partial_failure_has_the_ids() -> None:
    """Each event of a request has them, not only its last one."""
    with capture_events() as events:
        Client(headers={"traceparent": HEADER}).get("/survives/")
    assert [event["event_type"] for event in events] == ["partial_failure", "request"]
    assert [event["span_id"] for event in events] == [SPAN, SPAN]


def test_task_has_the_span_that_it_runs_in() -> None:
    """Background work belongs to the span in which it begins."""

    @slowhound.task
    def work() -> None:
        pass

    with capture_events() as events, tracer.start_as_current_span("outer") as span:
        work()
    assert events[-1]["span_id"] == f"{span.get_span_context().span_id:016x}"


@contextmanager
def sentry() -> Iterator[None]:
    """Sentry, initialised by the application."""
    sentry_sdk.init("http://key@127.0.0.1:9/1", default_integrations=False)
    try:
        yield
    finally:
        sentry_sdk.get_client().close(timeout=0)
        sentry_sdk.get_global_scope().set_client(None)


def test_sentrys_trace_is_the_last_resort() -> None:
    """Where only Sentry traces, its ids are in the event; a traceparent comes first."""
    with sentry(), sentry_sdk.isolation_scope():
        expected = (sentry_sdk.get_traceparent() or "").split("-")[0]
        assert event_of()["trace_id"] == expected
        with override_settings(MIDDLEWARE=[*OURS, f"{__name__}.Closed"]):
            assert event_of()["trace_id"] == expected
        assert event_of(traceparent=HEADER)["trace_id"] == TRACE
    assert "trace_id" not in event_of()


def test_sentry_is_not_read_outside_of_its_scope_of_the_request() -> None:
    """A server's hooks run outside of it, where the trace is the process's."""
    event_of()
    active = process.get()
    assert active is not None
    with sentry(), capture_events() as events:
        record = Record("GET", "/health/", clock.monotonic())
        record.owner = Owner.HOOK
        active.begin(record)
        record.status = 200
        active.finish(record)
    assert "trace_id" not in events[-1]


def test_reader_that_fails_costs_only_the_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracing library that raises never reaches the response."""

    def fails(_record: Any) -> bool:
        raise RuntimeError("broken tracer")

    event_of()
    monkeypatch.setattr(trace, "readers", [fails])
    monkeypatch.setattr(guard, "loud", False)
    with capture_events() as events:
        assert Client().get("/").status_code == 200
    assert events[-1]["rec_errors"] == 2  # the middleware has asked, and who resolves the URL


def test_box_has_the_ids_for_its_reader() -> None:
    """Those of the header at once; the first stack brings those of the span, which come first."""
    record = Record("GET", "/", 0.0)
    record.trace = (TRACE, SPAN)
    record.environ = {}
    who = read_who(who_payload(record))
    fields = who_fields(who, Last(), None)
    assert (fields["trace_id"], fields["span_id"]) == (TRACE, SPAN)
    record.trace = ("c" * 32, "d" * 16)
    last = read_last(stack_payload(record, (), 0.0))
    assert who_fields(who, last, None)["trace_id"] == "c" * 32
    assert "trace_id" not in who_fields(read_who(b'{"trace": ["one"]}'), Last(), None)
    task = TaskRecord("function", "work", 0.0)
    task.trace = (TRACE, SPAN)
    assert who_fields(read_who(who_payload(task)), Last(), None)["span_id"] == SPAN


def test_nothing_of_opentelemetry_or_sentry_is_imported(tmp_path: Path) -> None:
    """An application that uses neither has neither in its process, whatever it records."""
    program = """
import sys
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["slowhound.middleware.SlowhoundMiddleware"], INSTALLED_APPS=["slowhound"],
    SLOWHOUND={"DIR": sys.argv[2], "STREAM": None})
urlpatterns = [path("", lambda request: HttpResponse("ok"))]
django.setup()
from django.test import Client
assert Client(headers={"traceparent": sys.argv[1]}).get("/").status_code == 200
import slowhound.delivery.worker, slowhound.cli, slowhound.gunicorn, slowhound.asgi
found = [name for name in sys.modules if name.startswith(("opentelemetry", "sentry_sdk", "grpc"))]
print(found)
"""
    argv = [sys.executable, "-c", program, HEADER, str(tmp_path / "dir")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stderr
