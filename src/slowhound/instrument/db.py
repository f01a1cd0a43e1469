"""Sees database queries, through Django's own ``connection.execute_wrappers``.

The wrapper sees each ``execute`` and ``executemany`` of every connection, whatever the cursor
class, and runs in the thread of the query, so that the counts are the request's own. It is the
innermost of all wrappers: a query that another one holds back, repeats or rewrites counts as it
reaches the database.
https://docs.djangoproject.com/en/stable/topics/db/instrumentation/
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

from django.core.signals import request_started
from django.db import connections
from django.db.backends.signals import connection_created

from slowhound.core.in_flight import current_record, unfinished
from slowhound.core.observations import QueryStats
from slowhound.core.record import Record
from slowhound.instrument import callers
from slowhound.instrument.composed import text_of
from slowhound.redaction.masking import short_text
from slowhound.redaction.plain_data import as_text
from slowhound.redaction.sql.shape import (
    double_quotes_are_text,
    is_of_savepoint,
    sql_shape,
    sql_statement,
)
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import caught, missing
from slowhound.system.guard import guard

# From so many runs of one statement on the request has ``db_n1``; so many are in ``db_top``.
N1_MIN, TOP = 5, 3
# A request that runs more different statements than this has the rest counted together.
STATEMENTS_LIMIT = 1000
OTHER = "(other statements)"

_guard = guard("db instrumenter")
WRAPPERS = "django.db.backends.base.base.BaseDatabaseWrapper:execute_wrappers"
REFUSED = caught("django.db.transaction.TransactionManagementError")
OPENED_BEFORE = "queries of connections that are opened before slowhound starts are not seen"

_threads = threading.local()


def install() -> None:
    """Wraps the connections that are open in this thread, and each one opened from now on."""
    global _threads
    _threads = threading.local()
    callers.install()
    connection_created.connect(_on_connection, dispatch_uid="slowhound")
    request_started.connect(see_thread, dispatch_uid="slowhound")
    see_thread()


def uninstall() -> None:
    """Takes the wrapper off this thread's connections and stops wrapping new ones."""
    connection_created.disconnect(dispatch_uid="slowhound")
    request_started.disconnect(dispatch_uid="slowhound")
    for connection in _open_ones():
        wrappers = _wrappers(connection)
        wrappers[:] = [each for each in wrappers if each is not observe]


def _open_ones() -> list[Any]:
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


def see_thread(**_: object) -> None:
    """Wraps connections that this thread opened before slowhound was installed, once a thread.

    Called in the thread where a record begins, and in that of its queries, which under ASGI is the
    one that gets Django's signal.
    """
    if not hasattr(_threads, "wrapped"):
        _threads.wrapped = True
        with _guard:
            for connection in _open_ones():
                _wrap(connection)


def _on_connection(connection: Any, **_: object) -> None:
    with _guard:
        _wrap(connection)


def _wrap(connection: Any) -> None:
    if as_text(connection.vendor) == "mysql":
        double_quotes_are_text()
    wrappers = _wrappers(connection)
    # Not by "in": another wrapper may be an object with an __eq__ of its own.
    if not any(each is observe for each in wrappers):
        # It becomes the outermost one, which gets the chain of all others, see _innermost. A
        # wrapper at the end of the list is there for a while, and is removed by its position.
        wrappers.insert(0, observe)


def observe(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Runs one query and puts its time into the current record; never its parameters."""
    record = current_record.get()
    if record is None or (record.done and (record := unfinished(record)) is None):
        return execute(sql, params, many, context)
    if type(execute) is partial:  # there are other wrappers
        inner = _innermost(execute, context["cursor"]) or partial(observe, _as_a_whole(execute))
        return inner(sql, params, many, context)
    text, has_run, start = "", False, clock.monotonic()
    try:
        text = _begin(record, sql, start)
        has_run = True
        return execute(sql, params, many, context)
    except REFUSED:  # by Django, before the database
        has_run = False
        raise
    finally:
        _end(record, text if has_run else None, context, start)


# The guards are written out: two with blocks cost 0.6 µs a query.
def _begin(record: Record, sql: Any, start: float) -> str:
    text = ""
    try:
        text = sql if type(sql) is str else text_of(sql)
        if record.slot is not None:
            record.slot.query_begins(text, start)
    except Exception as exc:
        if _guard.failed(exc):
            raise
    return text


def _end(record: Record, text: str | None, context: dict[str, Any], start: float) -> None:
    took = clock.monotonic() - start
    try:
        if record.slot is not None:
            record.slot.query_ends()
        if text is not None:
            _count(record, text, context, start, took)
    except Exception as exc:
        if _guard.failed(exc):
            raise
    else:
        if _guard.streak:
            _guard.streak = 0


def _innermost(execute: Any, cursor: object) -> Callable[..., Any] | None:
    """The same chain of wrappers, each bound to what it calls, with ``observe`` at its end.

    The end is a method of the cursor. A wrapper that is itself a partial has arguments of its own
    before the one it calls, and after it with a ``functools.Placeholder`` (Python 3.14). None: the
    chain has no such end, and only the whole of it can be observed.
    """
    if type(execute) is MethodType and execute.__self__ is cursor:
        return partial(observe, execute)
    given = execute.args if type(execute) is partial else ()
    for at in reversed(range(len(given))):
        found = _innermost(given[at], cursor)
        if found is not None:
            called = (*given[:at], found, *given[at + 1 :])
            return partial(execute.func, *called, **execute.keywords)
    return None


def _as_a_whole(execute: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, but no partial, so that its inside is not searched."""

    def whole(*args: Any) -> Any:
        return execute(*args)

    return whole


def _count(record: Record, text: str, context: dict[str, Any], start: float, took: float) -> None:
    # CPython switches threads at calls and loops, not inside a +=, so the counts of a request that
    # uses several threads are right as well.
    record.db_count += 1
    record.db_time += took
    record.accounted += took
    queries = record.queries
    if queries is None:
        queries = record.queries = {}
    alias = as_text(context["connection"].alias)
    stats = queries.get((alias, text))
    if stats is None:
        text = sql_statement(text)
        stats = queries.get((alias, text))
    if stats is None:
        if len(queries) >= STATEMENTS_LIMIT:
            stats = queries.setdefault((alias, OTHER), QueryStats())
            stats.next_search = sys.maxsize  # these have no line in common
        else:
            stats = queries[alias, text] = QueryStats()
    stats.count += 1
    stats.time += took
    if stats.count >= stats.next_search:
        # The stack is searched at runs 2, 5, 10, 20 and so on, not for each query. The last line
        # found is kept: a helper may have come before the loop.
        stats.next_search = N1_MIN if stats.count < N1_MIN else 2 * stats.count
        stats.line = callers.place(sys._getframe(3), context["cursor"], record)
    record.note(start, took, "sql", text)


def _is_repeated(sql: str, stats: QueryStats) -> bool:
    # Statements that are counted together may have run once each.
    return stats.count > 1 and sql != OTHER


def _by_text(queries: dict[tuple[str, str], QueryStats]) -> dict[str, QueryStats]:
    """The statistics without aliases: a router may send each run to another replica."""
    found = {sql: stats for (_, sql), stats in queries.items()}
    if len(found) == len(queries):
        return found
    found = {}
    most: dict[str, int] = {}
    for (_, sql), stats in queries.items():
        whole = found.setdefault(sql, QueryStats())
        whole.count += stats.count
        whole.time += stats.time
        if stats.line and stats.count > most.get(sql, 0):
            whole.line, most[sql] = stats.line, stats.count
    return found


def describe(record: Record, event: dict[str, Any]) -> None:
    """Counts, times, duplicates, and the line behind an N+1."""
    if not record.queries:
        return
    queries = _by_text(record.queries.copy())  # one call of C: a slow request goes on meanwhile
    repeated = [(sql, stats) for sql, stats in queries.items() if _is_repeated(sql, stats)]
    event["db_queries"] = record.db_count
    event["db_time"] = record.db_time
    event["db_dup_queries"] = sum(stats.count for _, stats in repeated)
    event["db_dup_time"] = sum([stats.time for _, stats in repeated], 0.0)
    suspects = [
        (not is_of_savepoint(sql), stats.count, stats.line)
        for sql, stats in repeated
        if stats.count >= N1_MIN and stats.line
    ]
    if suspects:
        # There are as many savepoints as statements within them, and they are not the cause.
        event["db_n1"] = max(suspects, key=lambda suspect: suspect[:2])[2]


def details(record: Record) -> dict[str, Any]:
    """The fields that are only in JSON: ``db_top`` and, with several aliases, ``db_by_alias``."""
    queries = (record.queries or {}).copy()  # as above
    texts = _by_text(queries)
    costliest = sorted(texts.items(), key=lambda item: item[1].time, reverse=True)[:TOP]
    found: dict[str, Any] = {
        "db_top": [
            {
                "fingerprint": sql_shape(sql),
                "count": stats.count,
                "time": round(stats.time, 6),
                "line": stats.line,
            }
            for sql, stats in costliest
        ]
    }
    if any(alias != "default" for alias, _ in queries):
        found["db_by_alias"] = _by_alias(queries, texts)
    return found


def _by_alias(
    queries: dict[tuple[str, str], QueryStats], texts: dict[str, QueryStats]
) -> dict[str, dict[str, float]]:
    """Counts per alias: a run also counts as repeated if the others went to other aliases."""
    found: dict[str, dict[str, float]] = {}
    for (alias, sql), stats in queries.items():
        row = found.setdefault(
            short_text(alias), {"queries": 0, "time": 0.0, "dup_queries": 0, "dup_time": 0.0}
        )
        row["queries"] += stats.count
        row["time"] += stats.time
        if _is_repeated(sql, texts[sql]):
            row["dup_queries"] += stats.count
            row["dup_time"] += stats.time
    return found
