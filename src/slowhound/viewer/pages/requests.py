"""The page of requests that have ended: filtered, sorted, 50 at a time."""

from __future__ import annotations

from typing import Any

from slowhound.store.questions.question import IN_PERIOD
from slowhound.viewer.pages.shared import NEWEST, command
from slowhound.viewer.query import (
    BadQuery,
    Query,
    QueryParameter,
    number,
    one_of,
    text,
    whole_number,
)
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Sources

PAGE_SIZE = 50
LISTED_REQUESTS = 100_000
EVENT_TYPES = ("request", "task", "timeout", "crash")
OUTCOME_CHOICES = (
    *("ok", "error", "disconnect", "cancelled", "timeout", "killed"),
    *("retry", "rejected", "ignored"),
)
REQUEST_COLUMNS = (
    "ts, event_type, req_id, req_method, req_path, task_kind, task_name, resp_view, resp_status,"
    " resp_outcome, resp_time, queue_time, db_queries, db_time, db_n1, cache_time, out_time,"
    " tmpl_time, rest_time, exc_type, report, host, pid, release"
)
SORTS = {
    "newest": "ts DESC",
    "oldest": "ts",
    "slowest": "resp_time DESC",
    "queries": "db_queries DESC",
    "db": "db_time DESC",
    "queue": "queue_time DESC",
    "bytes": "resp_bytes DESC",
    "memory": "w_rss DESC",
}


def statuses(given: str) -> str:
    """``404``, or ``5xx`` for all from 500 to 599."""
    if len(given) == 3 and given[0] in "12345" and (given[1:] == "xx" or given[1:].isdigit()):
        return given
    raise BadQuery("write 404, or 5xx for all of 500 to 599")


# The SQL condition of each filter. Values are always bound, never written into the SQL.
CONDITIONS = {
    "view": "resp_view = $view",
    # Both engines have replace(): where it changes nothing, the path does not contain the text.
    "path": "replace(lower(req_path), lower($path), '') <> lower(req_path)",
    "method": "req_method = $method",
    "outcome": "resp_outcome = $outcome",
    "kind": "event_type = $kind",
    "exc": "exc_type = $exc",
    "min": "resp_time >= $min",
    "queries": "db_queries >= $queries",
    "host": "host = $host",
    "pid": "pid = $pid",
    "release": "release = $release",
    "group": "slow_fingerprint = $group",
    "n1": "db_n1 IS NOT NULL",
    "sql": "req_id IN (SELECT req_id FROM events explode(db_top, q) WHERE q.fingerprint = $sql)",
}
FILTERS: dict[str, QueryParameter] = {
    "view": QueryParameter(text, "View", (), "name; - for none"),
    "path": QueryParameter(text, "Path contains"),
    "status": QueryParameter(statuses, "Status", (), "404, 5xx"),
    "outcome": one_of(*OUTCOME_CHOICES, label="Outcome"),
    "min": QueryParameter(number, "At least", (), "seconds"),
    "exc": QueryParameter(text, "Exception", (), "class"),
    "method": QueryParameter(text, "Method", (), "GET"),
    "kind": one_of(*EVENT_TYPES, label="Kind"),
    "queries": QueryParameter(whole_number, "Queries, at least"),
    "n1": one_of("yes", label="N+1 suspects"),
    "host": QueryParameter(text, "Host"),
    "pid": QueryParameter(whole_number, "Process"),
    "release": QueryParameter(text, "Release"),
    "group": QueryParameter(text, "Group", (), "of slow reports"),
    "sql": QueryParameter(text, "SQL", (), "fingerprint"),
}
VISIBLE_FILTERS = 6  # the others can be unfolded


def conditions(query: Query) -> tuple[str, dict[str, Any]]:
    """The WHERE clause of the query, and its values."""
    found = [IN_PERIOD, "event_type IN ('request', 'task', 'timeout', 'crash')"]
    values: dict[str, Any] = query.bounds()
    for name, condition in CONDITIONS.items():
        value = query.get(name)
        if value is None:
            continue
        if name == "view" and value == "-":
            found.append("resp_view IS NULL")
            continue
        found.append(condition)
        if name != "n1":
            values[name] = value
    if (status := query.get("status")) is not None:
        found.append("resp_status >= $status_from AND resp_status < $status_to")
        whole_class = status.endswith("xx")
        values["status_from"] = int(status[0]) * 100 if whole_class else int(status)
        values["status_to"] = values["status_from"] + (100 if whole_class else 1)
    return " AND ".join(found), values


def data(query: Query, sources: Sources) -> Data:
    """One page of requests, and how many there are."""
    at = max(query.get("page") or 1, 1)
    if at * PAGE_SIZE > LISTED_REQUESTS:
        raise BadQuery(
            f"page: at most {LISTED_REQUESTS // PAGE_SIZE}; use a filter or a shorter period"
        )
    condition, values = conditions(query)
    order = SORTS[query.get("sort") or "newest"]
    store = sources.store()
    total = store.sql(f"SELECT count(*) AS n FROM events WHERE {condition}", values).rows[0][0]  # noqa: S608
    rows = store.sql(
        f"SELECT {REQUEST_COLUMNS} FROM events WHERE {condition}"  # noqa: S608  see CONDITIONS and SORTS
        f" ORDER BY {order}, {NEWEST} LIMIT {PAGE_SIZE} OFFSET {(at - 1) * PAGE_SIZE}",
        values,
    ).objects()
    return {
        "rows": rows,
        "total": total,
        "at": at,
        "pages": min(-(-total // PAGE_SIZE), LISTED_REQUESTS // PAGE_SIZE),
        "command": _command(query, sources),
    }


# The same filters of `slowhound tail`.
TAIL_FILTERS = {
    "view": "view=",
    "path": "path~",
    "outcome": "outcome=",
    "min": "time>=",
    "exc": "error=",
    "method": "method=",
    "kind": "type=",
    "queries": "db_queries>=",
    "host": "host=",
    "pid": "pid=",
    "release": "release=",
    "group": "slow_fingerprint=",
}


def _command(query: Query, sources: Sources) -> str:
    """`slowhound tail` with the same filters; over a fleet, which it does not read, the slowest."""
    if sources.is_fleet or query.get("sort") == "slowest":
        return command(query, sources, "ask", "slowest")
    words = [
        f"{word}{query.given[name]}" for name, word in TAIL_FILTERS.items() if name in query.given
    ]
    if (status := query.get("status")) is not None:
        last = 99 if status.endswith("xx") else int(status[1:])
        first = 0 if status.endswith("xx") else last
        words += [f"status>={status[0]}{first:02}", f"status<={status[0]}{last:02}"]
    return command(query, sources, "tail", *words, period=False)


def extras(query: Query, data: Data) -> Data:
    """The form with the current filters, and the links to sort and to turn pages."""
    form = [(name, each, query.given.get(name, "")) for name, each in FILTERS.items()]
    return {
        "form": form[:VISIBLE_FILTERS],
        "more_filters": form[VISIBLE_FILTERS:],
        "more_filters_used": any(value for _, _, value in form[VISIBLE_FILTERS:]),
        "filters": [name for name in FILTERS if name in query.given],
        "sorts": list(SORTS),
        "sort": query.get("sort") or "newest",
        "previous": data["at"] - 1,
        "next": data["at"] + 1,
    }


PAGE = Page(
    "requests",
    "Requests",
    "Each request and background task that has ended.",
    data,
    {
        **FILTERS,
        "sort": one_of(*SORTS, label="Sort by"),
        "page": QueryParameter(whole_number, "page"),
    },
    extras=extras,
)
