"""Undocumented names of libraries: docs/names-of-others.md lists each of them, and each exists.

`test_missing_names.py` takes them away.
"""

from __future__ import annotations

import pytest

from slowhound.runtime.library_names import find_imported, missing
from tests.harness import names_of_others
from tests.harness.names_of_others import Row, imported, rows, skip_what_came_later, trees

OTHERS = rows("Libraries")
PYTHONS = rows("Python")
# What libraries document, of what is imported from them. A new import goes here, or into the table.
DOCUMENTED = {
    "asgiref.sync": "iscoroutinefunction markcoroutinefunction sync_to_async",
    "clickhouse_connect": "",
    "django": "apps.AppConfig conf.settings db.connections template",
    "django.core": "checks mail signing wsgi.get_wsgi_application",
    "django.core.checks": "CheckMessage ERROR Error register",
    "django.core.exceptions": """
        BadRequest DisallowedHost MiddlewareNotUsed PermissionDenied SuspiciousOperation""",
    "django.core.mail": "EmailMultiAlternatives",
    "django.core.management.base": "BaseCommand",
    "django.core.signals": "got_request_exception request_finished request_started",
    "django.db.backends.signals": "connection_created",
    "django.http": "FileResponse Http404 HttpRequest HttpResponse StreamingHttpResponse",
    "django.http.response": "HttpResponseBase",
    "django.tasks": "signals",
    "django.template": "Context Engine Node",
    "django.template.response": "SimpleTemplateResponse",
    # What path() makes, is a URLPattern.
    "django.urls": "Resolver404 ResolverMatch URLPattern include path reverse",
    "django.utils": "module_loading.import_string safestring.SafeString",
    "django.utils.html": "format_html format_html_join",
    "django.views.decorators": "debug http.require_safe",
    "duckdb": "DuckDBPyConnection",
    "gunicorn": "glogging",
    "msgspec": "",
    "opentelemetry.context": "attach detach set_value",
    "opentelemetry.metrics": "Meter",
    "opentelemetry.sdk": "resources.Resource util.instrumentation.InstrumentationScope",
    "opentelemetry.sdk.metrics": "MeterProvider",
    "opentelemetry.sdk.metrics.export": "MetricExportResult MetricExporter MetricReader",
    "opentelemetry.trace": "NonRecordingSpan SpanContext set_span_in_context",
    "rich": "box live.Live table.Table text.Text",
    "rich.console": "Console Group RenderableType",
    "rich.progress": "BarColumn DownloadColumn Progress TextColumn",
    "sentry_sdk": "client.BaseClient integrations.logging.ignore_logger",
}
# Texts that only resemble names of a library: keys, loggers, metrics, modules.
NO_NAMES = {
    "celery.app.trace",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.core.handlers.asgi",
    "django.db.backends.utils",
    "django.tasks",
    "django.tasks.base",
    "django.template.backends.django.DjangoTemplates",
    "django.test.utils",
    "gevent.monkey",
    "gunicorn.arbiter",
    "gunicorn.access",
    "gunicorn.request.duration",
    "gunicorn.requests",
    "gunicorn.socket",
    "anyio._backends._asyncio",
    "asgiref.sync",
}
# Attributes and texts that are documented, Python's, or slowhound's own: by the rules of
# harness/names_of_others.py a word like any other.
HARMLESS = {
    "*": "SLOWHOUND ROOT_URLCONF slowhound slowhound_mailbox slowhound_stopped",
    "recorder/process_kind.py": "masterpid uwsgi",  # of its API
    "lifecycle/asgi_data.py": "file",
    "lifecycle/cancellation.py": "cancelling",
    "celery.py": "exc reason",
    "cli/tail.py": "_time",
    "stacks/crossings.py": "select self wait",
    "redaction/exceptions.py": "object start",
    "stacks/executors.py": "future py run self thread",
    "core/exchanges.py": "environ scope",
    "flames/sampling/external_process.py": "lineno location threads",
    "flames/sampling/merge_external.py": "remote running",
    "runtime/foreign.py": "Empty MemoryError StopAsyncIteration StopIteration _greenlet_switch",
    "gil/remote_unwinder.py": "lineno location threads",
    "gunicorn/aborts.py": "abort cfg",
    "gunicorn/arbiter.py": "auto events json log path rpartition",
    "gunicorn/combine.py": "cfg set",  # of an application of one's own
    "gunicorn/hooks.py": "django process recorder timeout",
    "gunicorn/logger.py": "logconfig_json timer total_seconds",
    "gunicorn/outcomes.py": "split",
    "gunicorn/worker.py": "heartbeat log put_path",
    "stacks/hops.py": "listen_for_disconnect",
    "instrument/cache.py": "get",
    "instrument/callers.py": (
        "asgiref asyncio background base concurrent core django exception field field_name futures"
        " handlers lifecycle middleware process_template_response process_view rest_framework self"
        " serializers streamed task task_records threading to_internal_value to_representation"
    ),
    "instrument/composed.py": "strings",
    "instrument/db.py": "wrapped",
    "instrument/exception.py": "template_name",
    "instrument/http.py": "host url",
    "instrument/jinja_lines.py": "filename name",
    "instrument/template.py": "name origin template_name",
    "instrument/template_lines.py": "blocks context filename name self template_name",
    "instrument/trace.py": "kind name",
    "runtime/library_names.py": "fget",
    "system/losses.py": "errno",
    "core/ownership.py": "closed environ scope",
    "on_demand/permission.py": "user",
    "redaction/plain_data.py": "_meta _name_ attname pk",
    "redaction/source/names.py": "_base_manager _default_manager",  # as they are written in code
    "core/record.py": "resolver_match route view_name",
    "instrument/registry.py": "setup teardown",
    "lifecycle/responses.py": (
        "_set_streaming_content content file_to_stream headers status_code streaming"
    ),
    "sinks/email.py": "mailers timeout",
    "sinks/otel_metrics.py": "_OTHER",
    "delivery/backoff.py": "follow_up on_sent take_event",
    "redaction/standard_values.py": "_fields int item",
    "runtime/static_lookup.py": "args cause code context suppress_context",
    "compat/former_paths/sqlshape.py": "_shape",  # of redaction's
    "stacks/asyncio_waits.py": (
        "async_generator_asend async_generator_athrow coroutine_wrapper self"
    ),
    "viewer/access.py": "user",
    "system/thread_state.py": "_PyRuntime",  # a symbol of C
    "watch/deadlocks.py": "eval exec locals self vars",
}


def _listed(file: str) -> set[str]:
    """All words that the tables have for a file."""
    found = [row for row in (*OTHERS, *PYTHONS) if file in row.files]
    return {part for row in found for part in (row.word, *row.name.replace(":", ".").split("."))}


def test_each_name_that_the_source_uses_is_in_a_table() -> None:
    """Or it is documented, or it is no library's name."""
    unknown = []
    for file, word, rule in names_of_others.uses():
        harmless = f"{HARMLESS['*']} {HARMLESS.get(file, '')}".split()
        dunder = word.startswith("__") and word.endswith("__")
        if not dunder and word not in harmless and word not in _listed(file):
            unknown.append(f"{file}: {word} ({rule})")
    assert unknown == []


def test_nothing_is_called_harmless_that_is_not_there() -> None:
    """A word that left the source leaves the list."""
    used: dict[str, set[str]] = {}
    for file, word, _ in names_of_others.uses():
        used.setdefault(file, set()).add(word)
    known = {file: set(words.split()) for file, words in HARMLESS.items() if file != "*"}
    assert {file: words - used.get(file, set()) for file, words in known.items()} == {
        file: set() for file in known
    }


def test_each_import_is_documented_or_in_a_table() -> None:
    """This holds for all imports from libraries."""
    listed = {row.name for row in OTHERS}
    public = {f"{home}.{name}" for home, words in DOCUMENTED.items() for name in words.split()}
    found = {name for tree in trees().values() for name in imported(tree).values()}
    modules = {name for name in DOCUMENTED if name not in public}
    assert found - listed - modules == public


def test_each_full_name_is_in_a_table() -> None:
    """`find`, `missing` and `caught` are called with full names."""
    listed = {row.name for row in (*OTHERS, *PYTHONS)}
    asked = {name for tree in trees().values() for name in names_of_others.full_names(tree)}
    assert asked - listed == NO_NAMES
    assert {row.name for row in OTHERS} <= asked


def test_exceptions_of_libraries_are_caught_by_one_function() -> None:
    """`caught` returns them, so that a missing one causes no error."""
    found = {file: set(names_of_others.caught_directly(tree)) for file, tree in trees().items()}
    assert {file: kinds for file, kinds in found.items() if kinds} == {}


@pytest.mark.parametrize("row", [*OTHERS, *PYTHONS], ids=lambda row: row.name)
def test_name_is_used_where_the_table_says(row: Row) -> None:
    """Each file of the row contains the name."""
    assert row.files
    for file in row.files:
        parts = row.word.split(".")
        assert set(parts) <= names_of_others.words(file), file


@pytest.mark.parametrize("row", [*OTHERS, *PYTHONS], ids=lambda row: row.name)
def test_name_exists(row: Row) -> None:
    """It does in the installed versions."""
    skip_what_came_later(row)
    names_of_others.find(row.name)  # imports what it is in
    assert find_imported(row.name) is not None


def test_what_is_missing_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The logger `slowhound` has it."""
    missing("a.library.with:nothing", "there is nothing")
    missing("a.library.with:nothing", "there is nothing")
    logged = "slowhound: the installed version has no a.library.with:nothing: there is nothing"
    assert [record.getMessage() for record in caplog.records] == [logged]
