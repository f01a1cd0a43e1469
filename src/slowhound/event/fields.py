"""The table of all event fields: name, type, unit, meaning.

The order of the table is the order of the fields in a line. Application fields (``app_*``) come
after it. ``docs/fields.md`` is generated from it; a field that is not here fails the tests. It is
longer than a module should be, because a table in two files would be two tables.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Field(NamedTuple):
    """One field of an event."""

    name: str
    type: str  # "str", "int", "float", "bool", "list", "dict"
    unit: str  # "s", "bytes", "1" (a count) or ""
    meaning: str
    otel: str = ""  # OpenTelemetry's name for it, where there is a stable one
    in_line: bool = True  # False: only in JSON, because it is a list or a dict


FIELDS: tuple[Field, ...] = (
    Field(
        "event_type",
        "str",
        "",
        "`request`, `task`, `timeout`, `crash`, `slow`, `stall` or `partial_failure`.",
    ),
    Field("req_id", "str", "", "Random id of the request; all its events carry it."),
    Field("req_method", "str", "", "HTTP method.", "http.request.method"),
    Field("req_path", "str", "", "URL path, decoded, without the query string.", "url.path"),
    Field(
        "req_referrer",
        "str",
        "",
        "The `Referer` header; without one, `Referrer`.",
        "http.request.header.referer",
    ),
    Field("req_user_agent", "str", "", "The `User-Agent` header.", "user_agent.original"),
    Field("req_route", "str", "", "URL pattern that matched.", "http.route"),
    Field("req_query_keys", "str", "", "Names in the query string, without their values."),
    Field("req_bytes", "int", "bytes", "Declared size of the body.", "http.request.body.size"),
    Field("req_client_addr", "str", "", "Address of the peer of the socket.", "client.address"),
    Field(
        "task_kind",
        "str",
        "",
        "Of background work: `function` (decorated), `command`, `django.tasks` or `celery`.",
    ),
    Field("task_name", "str", "", "What the application calls it."),
    Field("task_id", "str", "", "Its id in the queue, when it was in one."),
    Field(
        "exc_type",
        "str",
        "",
        "Class of the exception; of a group (a `TaskGroup` raises one) the first that is in it.",
        "exception.type",
    ),
    Field(
        "exc_msg",
        "str",
        "",
        "Text of the exception, at most 1,000 characters.",
        "exception.message",
    ),
    Field("exc_loc", "str", "", "Outermost application frame of its traceback."),
    Field("exc_cause_loc", "str", "", "Application frame closest to the raise."),
    Field("exc_template", "str", "", "Innermost template and line, when one was being rendered."),
    Field("exc_group_size", "int", "1", "Exceptions in the group, when it was one."),
    Field(
        "exc_handled", "bool", "", "True when the exception was made into a response on purpose."
    ),
    Field("resp_view", "str", "", "Django's name for the view."),
    Field(
        "resp_time",
        "float",
        "s",
        "From when the request was first seen to the last byte of the body.",
    ),
    Field(
        "resp_cpu_time", "float", "s", "CPU time of the request's thread; overlaps the parts below."
    ),
    Field("resp_status", "int", "", "HTTP status.", "http.response.status_code"),
    Field("resp_ttfb", "float", "s", "Until the first part of the body was ready."),
    Field("resp_bytes", "int", "bytes", "Body bytes sent.", "http.response.body.size"),
    Field(
        "resp_outcome",
        "str",
        "",
        "`ok`, `error`, `disconnect`, `cancelled`, `timeout`, `killed`; of a task also `retry`,"
        " `rejected` or `ignored`.",
    ),
    Field("resp_after_time", "float", "s", "Work after the last byte of the response."),
    Field(
        "queue_time",
        "float",
        "s",
        "Wait before the worker, from `X-Request-Start` or `X-Queue-Start`.",
    ),
    Field("db_queries", "int", "1", "Queries that reached the database."),
    Field(
        "db_time", "float", "s", "Time in `execute` and `executemany`; fetching rows is not in it."
    ),
    Field(
        "db_dup_queries",
        "int",
        "1",
        "Queries whose SQL text ran more than once; comments and generated names (savepoints,"
        " temporary tables) make no difference. Of the first 1,000 different ones.",
    ),
    Field("db_dup_time", "float", "s", "Time of those."),
    Field(
        "db_n1",
        "str",
        "",
        "Where the statement that ran most often, from 5 runs on, comes from: the innermost line of"
        " the application within the view, or of its template; else the serializer's field or the"
        " view.",
    ),
    Field(
        "cache_hits",
        "int",
        "1",
        "Keys found in a cache. This and the next two are left out where they cannot be known: a"
        " backend has its own way of `get_or_set`, or the keys are no collection of Python's.",
    ),
    Field(
        "cache_misses",
        "int",
        "1",
        "Keys not found; of a backend that is not Django's own, a stored value that is the caller's"
        " default itself (None, 0) is one. `get_or_set` is one hit or one miss.",
    ),
    Field("cache_sets", "int", "1", "Keys written."),
    Field("cache_time", "float", "s", "Time in cache calls, without queries they made."),
    Field("tmpl_count", "int", "1", "Templates rendered, includes not counted."),
    Field(
        "tmpl_time",
        "float",
        "s",
        "Time rendering, without queries, cache and outbound calls in it.",
    ),
    Field("out_count", "int", "1", "Outbound HTTP requests (urllib3, httpx)."),
    Field("out_time", "float", "s", "Time until their response headers."),
    Field(
        "gc_time", "float", "s", "Garbage collections in this request's thread; overlaps the rest."
    ),
    Field(
        "gil_wait_est",
        "float",
        "s",
        "Time in which another thread held the GIL and this one may have waited for it; an"
        " estimate, only of holds above 0.25 s. Overlaps the rest.",
    ),
    Field(
        "gil_held_by",
        "str",
        "",
        "The request or thread that most likely held it, and where that was afterwards.",
    ),
    Field(
        "gil_hold_est",
        "float",
        "s",
        "Time in which this request's thread held the GIL; an estimate, only of such holds.",
    ),
    Field(
        "loop_lag",
        "float",
        "s",
        "Longest time for which its event loop or hub stood still while it waited; an estimate,"
        " only above 0.5 s. Overlaps the rest.",
    ),
    Field("loop_blocked_by", "str", "", "The request that blocked it, and where."),
    Field("rest_time", "float", "s", "`resp_time` less db, cache, template and outbound time."),
    Field(
        "sample_rate", "float", "1", "Share of such requests that is kept, when `SAMPLING` is on."
    ),
    Field("timeout_loc", "str", "", "Outermost application frame when the worker timed out."),
    Field("timeout_cause_loc", "str", "", "Innermost application frame then."),
    Field("timeout_stack", "str", "", "Innermost frames then, innermost first."),
    Field("timeout_stack_age", "float", "s", "How old that stack was; 0: of the abort itself."),
    Field(
        "timeout_stack_by",
        "str",
        "",
        "Who took it: `abort` (the worker, at the timeout) or `hound`.",
    ),
    Field("timeout_sql", "str", "", "Shape of the SQL that was running.", "db.query.text"),
    Field("timeout_sql_time", "float", "s", "For how long it had been running."),
    Field(
        "crash_cause",
        "str",
        "",
        "`oom` (the kernel, out of memory), `segfault` (or a similar fault), `shutdown` (ended or"
        " killed by its server at a stop or deploy), `signal`, `exit`, or `unknown` (only its"
        " parent could know).",
    ),
    Field("crash_signal", "str", "", "Name of the signal that ended the worker."),
    Field("crash_code", "int", "", "Exit code of a worker that exited."),
    Field("crash_loc", "str", "", "Outermost application frame in the last stack taken."),
    Field("crash_cause_loc", "str", "", "Innermost application frame in it."),
    Field("crash_stack", "str", "", "Its innermost frames, innermost first."),
    Field("crash_stack_age", "float", "s", "How old that stack was when the worker died."),
    Field(
        "crash_stack_by",
        "str",
        "",
        "Who took it: `fault` (at the segmentation fault itself), `bystander` (at that of another"
        " thread) or `hound`.",
    ),
    Field("crash_sql", "str", "", "Shape of the SQL that was running.", "db.query.text"),
    Field("crash_sql_time", "float", "s", "For how long it had been running."),
    Field("slow_after", "float", "s", "Threshold that the request passed, or a pause in it."),
    Field("slow_loc", "str", "", "Application frame it was in when the report was made."),
    Field(
        "slow_stack_by",
        "str",
        "",
        "Who took that stack: `hound`, or another process while the GIL was held: `remote` (by"
        " Python itself) or `py-spy`.",
    ),
    Field(
        "slow_stack_age",
        "float",
        "s",
        "How old it was, where another process reported the request and could read no newer one.",
    ),
    Field("slow_sql", "str", "", "Shape of the SQL that was running then.", "db.query.text"),
    Field("slow_sql_time", "float", "s", "For how long it had been running."),
    Field(
        "slow_verdict",
        "str",
        "",
        "`stuck` (the same innermost frames in each sample, and nothing sent), `slow` (they move)"
        " or `unknown` (fewer than two samples).",
    ),
    Field("slow_fingerprint", "str", "", "Groups reports: hash of view and application functions."),
    Field("report", "str", "", "File name of the report in `DIR/reports`."),
    Field("flame", "str", "", "File name of the flame graph's data in `DIR/flames`."),
    Field(
        "stall_kind",
        "str",
        "",
        "What stands: `threads` (all threads of a worker are in slow requests), `loop` (an event"
        " loop), `hub` (gevent's) or `gil` (all of a thread; another process reports it).",
    ),
    Field("stall_time", "float", "s", "For how long already, at least."),
    Field("stall_requests", "int", "1", "Requests that it holds up or consists of."),
    Field("stall_by", "str", "", "The request that blocks it, and where."),
    Field("stall_in", "str", "", "Where they stand."),
    Field("g_w_count", "int", "1", "Workers of this server; sampled about once a second."),
    Field("g_w_active", "int", "1", "Workers with a request in flight; sampled."),
    Field("g_backlog", "int", "1", "Connections waiting for `accept`; sampled."),
    Field("g_threads", "int", "1", "Threads of this gthread worker."),
    Field("g_threads_busy", "int", "1", "Requests in flight in this worker, this one included."),
    Field("g_queue", "int", "1", "Connections waiting for a thread inside this worker."),
    Field("w_age", "float", "s", "Age of the worker process."),
    Field("w_rss", "int", "bytes", "Resident memory of the worker; sampled."),
    Field("w_nr", "int", "1", "Number of the request within its worker."),
    Field(
        "rec_overhead", "float", "s", "Time slowhound took within this request, writing excluded."
    ),
    Field("ts", "float", "s", "When the event was made, seconds since 1970."),
    Field("host", "str", "", "Host name.", "host.name"),
    Field("pid", "int", "", "Process id.", "process.pid"),
    Field("service", "str", "", "`SERVICE`, or `OTEL_SERVICE_NAME`.", "service.name"),
    Field("release", "str", "", "`RELEASE`.", "service.version"),
    Field(
        "trace_id",
        "str",
        "",
        "Trace of OpenTelemetry's current span, else of the `traceparent` header, else of Sentry.",
        "trace_id",
    ),
    Field(
        "span_id",
        "str",
        "",
        "That span's id; from the header, the caller's.",
        "span_id",
    ),
    Field(
        "rec_dropped", "int", "1", "Lines, events and reports this process could not write so far."
    ),
    Field("rec_errors", "int", "1", "Errors of slowhound's own caught in this process so far."),
    Field("seq", "int", "1", "Number of the event within its process."),
    Field("v", "int", "", "Version of this table."),
    Field("db_top", "list", "", "Costliest statements: fingerprint, count, time, line.", "", False),
    Field(
        "db_by_alias",
        "dict",
        "",
        "Counts and times per alias, when one besides `default` was used.",
        "",
        False,
    ),
)

VERSION = 1
NAMES = frozenset(field.name for field in FIELDS)


Event = dict[str, Any]
