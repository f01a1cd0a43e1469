"""The requests: filtered, sorted, a page at a time."""

from __future__ import annotations

from typing import Any

from slowhound.store.questions.question import WITHIN
from slowhound.viewer.pages.shared import NEWEST, command
from slowhound.viewer.query import Asked, Parameter, Wrong, chosen, number, text, whole
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Where

AT_ONCE = 50
FARTHEST = 100_000
KINDS = ("request", "task", "timeout", "crash")
OUTCOMES = (
    *("ok", "error", "disconnect", "cancelled", "timeout", "killed"),
    *("retry", "rejected", "ignored"),
)
COLUMNS = (
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
    raise Wrong("write 404, or 5xx for all of these")


# Each filter, and its condition: the value is always bound, never written into the SQL.
CONDITIONS = {
    "view": "resp_view = $view",
    # Both engines have replace(): a text from which nothing could be taken does not contain it.
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
FILTERS: dict[str, Parameter] = {
    "view": Parameter(text, "View", (), "name; - for none"),
    "path": Parameter(text, "Path contains"),
    "status": Parameter(statuses, "Status", (), "404, 5xx"),
    "outcome": chosen(*OUTCOMES, label="Outcome"),
    "min": Parameter(number, "At least", (), "seconds"),
    "exc": Parameter(text, "Exception", (), "class"),
    "method": Parameter(text, "Method", (), "GET"),
    "kind": chosen(*KINDS, label="Kind"),
    "queries": Parameter(whole, "Queries, at least"),
    "n1": chosen("yes", label="N+1 suspects"),
    "host": Parameter(text, "Host"),
    "pid": Parameter(whole, "Process"),
    "release": Parameter(text, "Release"),
    "group": Parameter(text, "Group", (), "of slow reports"),
    "sql": Parameter(text, "SQL", (), "fingerprint"),
}
OFTEN = 6  # the rest of them can be unfolded


def conditions(asked: Asked) -> tuple[str, dict[str, Any]]:
    """The WHERE of what was asked, and its values."""
    found = [WITHIN, "event_type IN ('request', 'task', 'timeout', 'crash')"]
    values: dict[str, Any] = asked.bounds()
    for name, condition in CONDITIONS.items():
        value = asked.get(name)
        if value is None:
            continue
        if name == "view" and value == "-":
            found.append("resp_view IS NULL")
            continue
        found.append(condition)
        if name != "n1":
            values[name] = value
    if (status := asked.get("status")) is not None:
        found.append("resp_status >= $status_from AND resp_status < $status_to")
        whole_class = status.endswith("xx")
        values["status_from"] = int(status[0]) * 100 if whole_class else int(status)
        values["status_to"] = values["status_from"] + (100 if whole_class else 1)
    return " AND ".join(found), values


def data(asked: Asked, where: Where) -> Data:
    """One page of requests, and how many there are."""
    at = max(asked.get("page") or 1, 1)
    if at * AT_ONCE > FARTHEST:
        raise Wrong(f"page: at most {FARTHEST // AT_ONCE}; narrow it down by a filter or period")
    condition, values = conditions(asked)
    order = SORTS[asked.get("sort") or "newest"]
    source = where.source()
    total = source.sql(f"SELECT count(*) AS n FROM events WHERE {condition}", values).rows[0][0]  # noqa: S608
    rows = source.sql(
        f"SELECT {COLUMNS} FROM events WHERE {condition}"  # noqa: S608  see CONDITIONS and SORTS
        f" ORDER BY {order}, {NEWEST} LIMIT {AT_ONCE} OFFSET {(at - 1) * AT_ONCE}",
        values,
    ).objects()
    return {
        "rows": rows,
        "total": total,
        "at": at,
        "pages": min(-(-total // AT_ONCE), FARTHEST // AT_ONCE),
        "command": _command(asked, where),
    }


# What `slowhound tail` calls them.
WORDS = {
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


def _command(asked: Asked, where: Where) -> str:
    """The last events with the same filters; where those are not at hand, the slowest."""
    if where.is_fleet or asked.get("sort") == "slowest":
        return command(asked, where, "ask", "slowest")
    words = [f"{word}{asked.given[name]}" for name, word in WORDS.items() if name in asked.given]
    if (status := asked.get("status")) is not None:
        last = 99 if status.endswith("xx") else int(status[1:])
        first = 0 if status.endswith("xx") else last
        words += [f"status>={status[0]}{first:02}", f"status<={status[0]}{last:02}"]
    return command(asked, where, "tail", *words, period=False)


def extras(asked: Asked, data: Data) -> Data:
    """The form with what was asked in it, and the ways to sort and to go on."""
    form = [(name, each, asked.given.get(name, "")) for name, each in FILTERS.items()]
    return {
        "form": form[:OFTEN],
        "rarely": form[OFTEN:],
        "rarely_used": any(value for _, _, value in form[OFTEN:]),
        "filters": [name for name in FILTERS if name in asked.given],
        "sorts": list(SORTS),
        "sort": asked.get("sort") or "newest",
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
        "sort": chosen(*SORTS, label="Sort by"),
        "page": Parameter(whole, "page"),
    },
    extras=extras,
)
