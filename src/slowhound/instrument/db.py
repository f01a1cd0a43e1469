"""Database queries, through Django's own ``connection.execute_wrappers``.

The wrapper sees each ``execute`` and ``executemany`` of every connection, whatever the cursor
class, and runs in the thread of the query, so that the counts are the request's own.
https://docs.djangoproject.com/en/stable/topics/db/instrumentation/
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

from slowhound.clocks import clock
from slowhound.frames import calling_line
from slowhound.guard import guard
from slowhound.losses import missing
from slowhound.record import QueryStats, Record, current_record, unfinished
from slowhound.sqlshape import STATEMENT_LIMIT, double_quotes_are_text, sql_shape

# From this many runs of one statement on, the request is called an N+1 suspect.
N1_MIN = 5
TOP = 3
# A request that runs more different statements than this has the rest counted together.
STATEMENTS_LIMIT = 1000
OTHER = "(other statements)"

_guard = guard("db instrumenter")
WRAPPERS = "django.db.backends.base.base.BaseDatabaseWrapper:execute_wrappers"
OPENED_BEFORE = "queries of connections that are opened before slowhound starts are not seen"


def install() -> None:
    """Wraps the connections that are open in this thread, and each one opened from now on."""
    connection_created.connect(_on_connection, dispatch_uid="slowhound")
    wrap_thread()


def uninstall() -> None:
    """Takes the wrapper off this thread's connections and stops wrapping new ones."""
    connection_created.disconnect(dispatch_uid="slowhound")
    for connection in _open_ones():
        if observe in _wrappers(connection):
            connection.execute_wrappers.remove(observe)


def wrap_thread() -> None:
    """Wraps connections that this thread opened before slowhound was installed."""
    for connection in _open_ones():
        _wrap(connection)


def _open_ones() -> list[Any]:
    """This thread's connections."""
    if not hasattr(connections, "all"):
        missing("django.db.utils.ConnectionHandler.all", OPENED_BEFORE)
        return []
    return list(connections.all(initialized_only=True))


def _wrappers(connection: Any) -> list[Any]:
    found: list[Any] | None = getattr(connection, "execute_wrappers", None)
    if found is None:
        missing(WRAPPERS, "no query is seen")
        return []
    return found


def _on_connection(connection: Any, **_: object) -> None:
    with _guard:
        _wrap(connection)


def _wrap(connection: Any) -> None:
    if connection.vendor == "mysql":
        double_quotes_are_text()
    wrappers = _wrappers(connection)
    if observe not in wrappers:
        # First in the list is the outermost: the time of other wrappers counts as the database's.
        wrappers.insert(0, observe)


def observe(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Runs one query and puts its time into the current record; never its parameters."""
    record = current_record.get()
    if record is None or (record.done and (record := unfinished(record)) is None):
        return execute(sql, params, many, context)
    text, has_run, start = "", False, clock.monotonic()
    try:
        text = _begins(record, sql, start)
        has_run = True
        return execute(sql, params, many, context)
    finally:
        took = clock.monotonic() - start
        try:
            if record.slot is not None:
                record.slot.query_ends()
            if has_run:
                _count(record, text, context["connection"].alias, start, took)
        except Exception as exc:
            if _guard.failed(exc):
                raise
        else:
            if _guard.streak:
                _guard.streak = 0


def _begins(record: Record, sql: Any, start: float) -> str:
    # The guards are written out: two with blocks cost 0.6 µs a query.
    try:
        text = sql if type(sql) is str else _text(sql)
        if record.slot is not None:
            record.slot.query_begins(text, start)
    except Exception as exc:
        if _guard.failed(exc):
            raise
        return ""
    return text


def _count(record: Record, text: str, alias: str, start: float, took: float) -> None:
    # CPython looks for another thread to run at calls and loops, not inside a +=, so the counts
    # of a request that uses several threads are right as well.
    record.db_count += 1
    record.db_time += took
    record.accounted += took
    if len(text) > STATEMENT_LIMIT:  # of a bulk insert, megabytes are not kept for its counts
        text = f"{text[:STATEMENT_LIMIT]} /* {len(text)} */"
    queries = record.queries
    if queries is None:
        queries = record.queries = {}
    stats = queries.get((alias, text))
    if stats is None:
        if len(queries) >= STATEMENTS_LIMIT:
            stats = queries.setdefault((alias, OTHER), QueryStats())
        else:
            stats = queries[alias, text] = QueryStats()
    stats.count += 1
    stats.time += took
    if stats.count == 2:
        # A stack is walked once for each statement that repeats, never for each query.
        stats.line = calling_line(sys._getframe(2))
    record.note(start, took, "sql", text)


def _text(sql: Any) -> str:
    """The text of a statement that is not a str: psycopg's ``sql.SQL`` and its kin, or bytes."""
    if isinstance(sql, bytes):
        return sql.decode("utf-8", "replace")
    as_string = getattr(sql, "as_string", None)
    return str(as_string(None)) if as_string else str(sql)


def describe(record: Record, event: dict[str, Any]) -> None:
    """Counts, times, duplicates, the N+1 suspect, and the costliest statements."""
    queries = record.queries
    if not queries:
        return
    repeated = [(key, stats) for key, stats in queries.items() if stats.count > 1]
    event["db_queries"] = record.db_count
    event["db_time"] = record.db_time
    event["db_dup_queries"] = sum(stats.count for _, stats in repeated)
    event["db_dup_time"] = sum([stats.time for _, stats in repeated], 0.0)
    if repeated:
        most = max((stats for _, stats in repeated), key=lambda stats: stats.count)
        if most.count >= N1_MIN and most.line:
            event["db_n1"] = most.line


def details(record: Record) -> dict[str, Any]:
    """The fields that are only in JSON: ``db_top`` and, with several aliases, ``db_by_alias``."""
    queries = record.queries or {}
    costliest = sorted(queries.items(), key=lambda item: item[1].time, reverse=True)[:TOP]
    found: dict[str, Any] = {
        "db_top": [
            {
                "fingerprint": sql_shape(sql),
                "count": stats.count,
                "time": round(stats.time, 6),
                "line": stats.line,
            }
            for (_, sql), stats in costliest
        ]
    }
    if any(alias != "default" for alias, _ in queries):
        found["db_by_alias"] = _by_alias(queries)
    return found


def _by_alias(queries: dict[tuple[str, str], QueryStats]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for (alias, _), stats in queries.items():
        row = found.setdefault(
            alias, {"queries": 0, "time": 0.0, "dup_queries": 0, "dup_time": 0.0}
        )
        row["queries"] += stats.count
        row["time"] += stats.time
        if stats.count > 1:
            row["dup_queries"] += stats.count
            row["dup_time"] += stats.time
    return found
