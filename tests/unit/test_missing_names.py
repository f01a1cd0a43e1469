"""Names of libraries are hidden, one at a time: the application works, and slowhound logs it.

Names that Gunicorn's arbiter and workers need are in `tests/deploy/test_missing_names.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.core.management import call_command
from django.http import HttpRequest
from django.test import Client
from django.test.utils import override_settings
from django.views.decorators.debug import sensitive_variables

from tests.harness import scenarios
from tests.harness.hidden_names import ON_SERVERS
from tests.harness.missing_names import without
from tests.harness.names_of_others import Row, rows, skip_what_came_later

pytestmark = pytest.mark.slow  # a fifth of a second each

# Imported without slowhound.
ANSWERS = {
    "/": (200, b"ok"),
    "/queries/": (200, b"six and one"),
    "/cached/": (200, b"cached"),
    "/template/": (500, None),
    "/denied/": (403, None),
    "/fails/": (500, None),
    "/stream/": (200, None),
}


@contextlib.contextmanager
def _site(**settings_of_slowhound: Any) -> Iterator[Client]:
    with override_settings(SLOWHOUND={"STREAM": None, **settings_of_slowhound}):
        yield Client(raise_request_exception=False)


def requests() -> None:
    """Requests of all kinds are answered, and each has its event."""
    from slowhound.testing import capture_events

    with _site(DIR=settings.SLOWHOUND["DIR"], IGNORE=["nothing"]) as client:
        client.get("/")
        with capture_events() as events:
            for path, (status, content) in ANSWERS.items():
                answer = client.get(path)
                assert answer.status_code == status, path
                body = answer.getvalue()
                assert content is None or body == content, path
                answer.close()
    assert [event["req_path"] for event in events] == list(ANSWERS)


def jinja() -> None:
    """An exception in a template names its file."""
    from jinja2 import DictLoader, Environment

    from slowhound.instrument.exception import fields_of

    template = Environment(loader=DictLoader({"a": "{{ 1 / 0 }}"})).get_template("a")
    with pytest.raises(ZeroDivisionError) as raised:
        template.render()
    assert fields_of(raised.value)["exc_template"] == "<template>:1"


def blocks() -> None:
    """The lines of a template that fills a block of another one."""
    from django.template import Context, Engine

    from slowhound.instrument.template_lines import TemplateLines

    def here() -> str:
        lines = TemplateLines()
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            lines.of(frame)
            frame = frame.f_back
        return "here"

    pages = {
        "base": "{% block a %}{% endblock %}",
        "page": "{% extends 'base' %}{% block a %}{{ here }}{% endblock %}",
    }
    engine = Engine(loaders=[("django.template.loaders.locmem.Loader", pages)])
    assert engine.get_template("page").render(Context({"here": here})) == "here"


def overrides() -> None:
    """The right settings are read the first time."""
    from slowhound.config import from_django

    if scenarios.hidden == ["SETTINGS_MODULE"]:
        from_django.settings = SimpleNamespace(SLOWHOUND=settings.SLOWHOUND)  # type: ignore[assignment]
    assert from_django.get_config().dir == settings.SLOWHOUND["DIR"]


def in_front() -> None:
    """Requests are recorded without an entry in MIDDLEWARE."""
    from slowhound.gunicorn.worker import put_in_front

    with override_settings(MIDDLEWARE=[]):
        put_in_front()
        assert Client().get("/").content == b"ok"
        assert asyncio.run(_async_get()) == b"ok"


async def _async_get() -> bytes:
    from django.test import AsyncClient

    answer = await AsyncClient().get("/")
    return bytes(answer.content)


def rules() -> None:
    """A bad token permits nothing, and a rule that needs the user is called after the view."""
    from slowhound.on_demand import permission

    assert not permission.is_valid("not:signed", "/")
    assert permission._call_rule(f"{__name__}.too_early", HttpRequest()) is None


def too_early(request: HttpRequest) -> bool:
    raise SynchronousOnlyOperation


def checks() -> None:
    """An empty SECRET_KEY is a warning of the system checks."""
    from slowhound.config.checks import all_checks

    own = {"DIR": settings.SLOWHOUND["DIR"], "FLAMES": {"ALLOW": ["token"]}}
    with override_settings(SECRET_KEY="", SLOWHOUND=own):
        assert "slowhound.W005" in [each.id for each in all_checks()]


def links() -> None:
    """Without a mounted viewer, a graph is a file."""
    from slowhound.config.from_django import get_config
    from slowhound.on_demand.responses import _link

    assert _link("a.flame.json.gz", get_config()).startswith("<file://")


def replaced() -> None:
    """A response is replaced by a graph."""
    from django.http import HttpResponse

    from slowhound.on_demand.responses import in_place_of

    assert in_place_of(HttpResponse("a"), "b").content == b"b"


def commands() -> None:
    """A command works."""
    from slowhound.lifecycle.commands import record_commands

    record_commands()
    call_command("check")


def variables() -> None:
    """Variables that may be secret are not shown."""
    from slowhound.redaction.values import MASK
    from slowhound.watch.locals import locals_of

    @sensitive_variables("word")
    def view(word: str) -> list[Any]:
        return locals_of(sys._getframe(), HttpRequest())

    shown = [value for _, names in view("secret") for _, value in names]
    assert shown
    assert set(shown) == {MASK}


def stacks_of_tasks() -> None:
    """A task that awaits sync code has a stack."""
    import anyio._backends._asyncio
    from asgiref.sync import sync_to_async
    from django.core.handlers.asgi import ASGIHandler

    from slowhound.stacks import asyncio_tasks

    assert anyio._backends._asyncio
    assert ASGIHandler
    begun, ended = threading.Event(), threading.Event()
    found: list[Any] = []

    def work() -> None:
        begun.set()
        ended.wait(10)

    async def main() -> None:
        await asyncio.gather(sync_to_async(work)(), sample(asyncio.current_task()))

    async def sample(task: Any) -> None:
        ident = threading.get_ident()
        await asyncio.to_thread(begun.wait, 10)
        found.append(await asyncio.to_thread(asyncio_tasks.stack, task, ident))
        ended.set()

    asyncio.run(main())
    assert found[0][0][0].function == "main"


def graphs() -> None:
    """Frames of middleware are searched for."""
    from slowhound.flames.sampling.annotate import _configured

    _configured()


def torn() -> None:
    """Bytes that are no payload and no profile are recognized."""
    from slowhound.blackbox.payloads import Settings, read_settings
    from slowhound.flames.profile import load

    assert read_settings(b"{") == Settings()
    with pytest.raises(ValueError, match="not a profile"):
        load(b"")


def questions() -> None:
    """Events are shown, and a line that was cut is left out."""
    from slowhound.cli import main

    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder, "events")
        events.mkdir(mode=0o700)
        whole = '{"event_type":"request","ts":1.0,"req_path":"/here/"}'
        (events / "1-1-1.jsonl").write_text(f'{whole}\n{{"eve\n')
        for argv in (["ask", "slowest"], ["tail"]):
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                assert main([*argv, "--dir", folder]) == 0
            assert "/here/" in output.getvalue()


SCENARIOS: dict[Callable[[], None], str] = {
    requests: """
        django.core.handlers.base.BaseHandler.load_middleware
        django.core.handlers.base.BaseHandler.process_exception_by_middleware
        django.core.handlers.base.BaseHandler.resolve_request
        django.core.handlers.exception.response_for_exception
        django.http.multipartparser.MultiPartParserError
        asgiref.sync.AsyncToSync:awaitable
        django.db.backends.base.base.BaseDatabaseWrapper:execute_wrappers
        django.db.transaction.TransactionManagementError
        django.db.utils.ConnectionHandler.all
        django.http.response.HttpResponseBase:_resource_closers
        django.core.handlers.base.BaseHandler._get_response
        django.core.handlers.base.BaseHandler._get_response_async
        django.http.response.ResponseHeaders
        django.http.response.StreamingHttpResponse:_iterator
        django.template.base.Node.render_annotated django.template.base.Node:origin
        django.template.base.Node:token django.template.base.PartialTemplate.render
        django.template.base.Template.render
        django.template.base.Token:lineno django.urls.ResolverMatch:_func_path""",
    jinja: "jinja2.debug.fake_traceback jinja2.debug.fake_traceback:tb",
    blocks: "django.template.loader_tags.BlockNode django.template.loader_tags.ExtendsNode",
    overrides: "django.conf.Settings:SETTINGS_MODULE django.core.signals.setting_changed",
    in_front: """
        django.core.handlers.base.BaseHandler.get_response
        django.core.handlers.base.BaseHandler.get_response_async""",
    rules: """
        django.core.exceptions.SynchronousOnlyOperation django.core.signing.BadSignature""",
    checks: "django.core.exceptions.ImproperlyConfigured",
    replaced: "django.http.response.HttpResponseBase:_resource_closers",
    links: "django.urls.NoReverseMatch",
    commands: """
        django.core.management.base.BaseCommand._called_from_command_line
        django.core.management.base.BaseCommand.execute
        django.test.utils._TestState django.test.utils.setup_test_environment:saved_data""",
    variables: """
        django.http.request.HttpRequest:_post
        django.views.decorators.debug.coroutine_functions_to_sensitive_variables
        django.views.decorators.debug.sensitive_post_parameters:sensitive_post_parameters
        django.views.decorators.debug.sensitive_variables:sensitive_variables
        django.views.decorators.debug.sensitive_variables:sensitive_variables_wrapper
        django.views.decorators.debug.sensitive_variables:variables""",
    stacks_of_tasks: """
        asgiref.current_thread_executor.CurrentThreadExecutor.run_until_future
        anyio._backends._asyncio.AsyncIOBackend.run_sync_in_worker_thread:future
        anyio._backends._asyncio.TaskGroup:_tasks
        anyio._backends._asyncio.WorkerThread.run:future
        anyio.streams.memory.MemoryObjectReceiveStream.receive
        asgiref.sync.AsyncToSync.__call__:loop_future
        asgiref.sync.AsyncToSync.__call__:task_context
        asgiref.sync.SyncToAsync.__call__:exec_coro
        asgiref.sync.SyncToAsync.__call__:task_context
        asgiref.sync.SyncToAsync.thread_handler:task_context
        django.core.handlers.asgi.ASGIHandler.listen_for_disconnect""",
    graphs: """
        django.utils.deprecation.MiddlewareMixin
        django.utils.deprecation.MiddlewareMixin.__acall__""",
    scenarios.killed: "greenlet.GreenletExit",
    scenarios.hub: "gevent.core.loop.run_callback_threadsafe",
    scenarios.sent: """
        httpx.AsyncHTTPTransport.handle_async_request httpx.HTTPTransport.handle_request
        urllib3.connectionpool.HTTPConnectionPool._make_request""",
    torn: "msgspec.MsgspecError",
    questions: "duckdb.Error msgspec.MsgspecError",
    scenarios.sentry: """
        sentry_sdk.Scope.update_from_scope sentry_sdk.client.BaseClient:options
        sentry_sdk.client.BaseClient:transport sentry_sdk.envelope.Envelope
        sentry_sdk.envelope.Item sentry_sdk.transport.HttpTransport
        sentry_sdk.transport.HttpTransport.TIMEOUT
        sentry_sdk.transport.HttpTransport._send_envelope
        sentry_sdk.transport.HttpTransport.on_dropped_event""",
    scenarios.otel: """
        opentelemetry._logs.LogRecord opentelemetry._logs.SeverityNumber
        opentelemetry.context._SUPPRESS_INSTRUMENTATION_KEY
        opentelemetry.exporter.otlp.proto.http._log_exporter.OTLPLogExporter
        opentelemetry.exporter.otlp.proto.http.metric_exporter.OTLPMetricExporter
        opentelemetry.sdk._logs.ReadableLogRecord
        opentelemetry.sdk._logs.export.LogRecordExportResult
        opentelemetry.sdk.metrics.export.MetricExporter:_preferred_aggregation
        opentelemetry.sdk.metrics.export.MetricExporter:_preferred_temporality
        opentelemetry.sdk.metrics.export.MetricReader._receive_metrics""",
    scenarios.otel_grpc: """
        opentelemetry.exporter.otlp.proto.grpc._log_exporter.OTLPLogExporter
        opentelemetry.exporter.otlp.proto.grpc.metric_exporter.OTLPMetricExporter""",
    scenarios.gunicorns_requests: """
        gunicorn.http.message.Request:headers gunicorn.http.message.Request:method
        gunicorn.http.message.Request:path""",
    scenarios.aborted: """
        gunicorn.workers.base.Worker:tmp
        gunicorn.workers.workertmp.WorkerTmp.last_update""",
    scenarios.ends_of_workers: "gunicorn.arbiter.Arbiter.halt:exit_status",
    scenarios.unknown_workers: "gunicorn.arbiter.Arbiter.WORKERS",
    scenarios.unknown_arbiter: "gunicorn.arbiter.Arbiter.spawn_worker",
    scenarios.never_booted: "gunicorn.errors.HaltServer",
    scenarios.metrics: """
        gunicorn.instrument.statsd.Statsd gunicorn.instrument.statsd.Statsd.histogram
        gunicorn.instrument.statsd.Statsd.increment""",
    scenarios.access_log: "gunicorn.glogging.Logger:cfg",
}
CASES = [(name, scenario) for scenario, names in SCENARIOS.items() for name in names.split()]
ROWS: dict[str, Row] = {row.name: row for row in rows("Libraries")}


@pytest.mark.parametrize(
    ("name", "scenario"), CASES, ids=[f"{each.__name__}-{name}" for name, each in CASES]
)
def test_application_works_and_a_missing_name_is_logged_once(
    name: str, scenario: Callable[[], None]
) -> None:
    """The application works, and one line is logged, in the words of the table."""
    skip_what_came_later(ROWS[name])
    scenarios.hidden[:] = [ROWS[name].word]
    line = f"slowhound: the installed version has no {name}: {ROWS[name].without}"
    assert without(name, scenario) == [line]


def test_each_name_is_hidden_in_a_test() -> None:
    """Each name of the table is hidden in a test, here or on a server."""
    assert {name for name, _ in CASES} | set(ON_SERVERS) == set(ROWS)
