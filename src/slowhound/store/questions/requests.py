"""Questions about requests: how many, how fast, which, and where their time went."""

from __future__ import annotations

from slowhound.store.questions.question import (
    ENDED_REQUESTS,
    HAS_FAILED,
    IN_PERIOD,
    IN_SECONDS,
    REQUEST_COUNT,
    STANDS_FOR,
    STEP_PARAMETER,
    Parameter,
    Question,
)

QUESTIONS = (
    Question(
        "views",
        "How fast is each view?",
        "Requests of each view, the percentiles of their time, and how many ended in an error, a"
        " timeout or a worker death. The view with the most total time comes first." + IN_SECONDS,
        ("view", "n", "p50", "p95", "p99", "errors"),
        f"""
SELECT resp_view AS view, {REQUEST_COUNT} AS n,
  quantile(0.5, resp_time) AS p50, quantile(0.95, resp_time) AS p95,
  quantile(0.99, resp_time) AS p99, countif({HAS_FAILED}) AS errors
FROM events
WHERE {ENDED_REQUESTS}
GROUP BY view
ORDER BY sum(resp_time) DESC, view
LIMIT $limit""",
    ),
    Question(
        "slowest",
        "Which requests were the slowest?",
        "Single requests, the slowest first. `slowhound report` with the id shows the stacks of one"
        " that has a report, `slowhound ask request` its events." + IN_SECONDS,
        ("time", "took", "view", "method", "path", "status", "outcome", "db", "verdict", "req_id"),
        f"""
SELECT ts AS time, resp_time AS took, resp_view AS view, req_method AS method,
  req_path AS path, resp_status AS status, resp_outcome AS outcome, db_time AS db,
  slow_verdict AS verdict, req_id
FROM events
WHERE {ENDED_REQUESTS}
ORDER BY resp_time DESC, ts DESC, req_id
LIMIT $limit""",
    ),
    Question(
        "traffic",
        "How many requests, how fast, over time?",
        "One row for each time step with requests." + IN_SECONDS,
        ("time", "n", "per_second", "p50", "p95", "p99", "errors"),
        f"""
SELECT floor(ts / $step) * $step AS time, {REQUEST_COUNT} AS n,
  sum({STANDS_FOR}) / $step AS per_second,
  quantile(0.5, resp_time) AS p50, quantile(0.95, resp_time) AS p95,
  quantile(0.99, resp_time) AS p99, countif({HAS_FAILED}) AS errors
FROM events
WHERE {ENDED_REQUESTS}
GROUP BY time
ORDER BY time DESC
LIMIT $limit""",
        STEP_PARAMETER,
    ),
    Question(
        "statuses",
        "Which statuses were returned?",
        "HTTP statuses and outcomes. `disconnect` means that the client closed the connection.",
        ("status", "outcome", "n", "mean", "views"),
        f"""
SELECT resp_status AS status, resp_outcome AS outcome, {REQUEST_COUNT} AS n,
  avg(resp_time) AS mean, count(DISTINCT resp_view) AS views
FROM events
WHERE {ENDED_REQUESTS}
GROUP BY status, outcome
ORDER BY n DESC, status, outcome
LIMIT $limit""",
    ),
    Question(
        "time",
        "Where did the time go?",
        "The mean time of each view in parts: the queue before the worker, the database, the cache,"
        " templates, outbound requests, and the rest, which is your own code and what is not"
        " measured. `cpu`, `gc` and `gil_wait_est` (an estimate) are included in the others."
        + IN_SECONDS,
        (
            *("view", "n", "mean", "queue", "db", "cache", "template", "outbound", "rest"),
            *("cpu", "gc", "gil_wait_est"),
        ),
        f"""
SELECT resp_view AS view, {REQUEST_COUNT} AS n, avg(resp_time) AS mean,
  avg(coalesce(queue_time, 0.0)) AS queue, avg(coalesce(db_time, 0.0)) AS db,
  avg(coalesce(cache_time, 0.0)) AS cache, avg(coalesce(tmpl_time, 0.0)) AS template,
  avg(coalesce(out_time, 0.0)) AS outbound, avg(coalesce(rest_time, 0.0)) AS rest,
  avg(coalesce(resp_cpu_time, 0.0)) AS cpu, avg(coalesce(gc_time, 0.0)) AS gc,
  avg(coalesce(events.gil_wait_est, 0.0)) AS gil_wait_est
FROM events
WHERE {ENDED_REQUESTS}
GROUP BY view
ORDER BY sum(resp_time) DESC, view
LIMIT $limit""",
    ),
    Question(
        "queue",
        "How long did requests wait for a worker?",
        "From `X-Request-Start`, which your proxy must set. Long waits while all workers are busy"
        " (`saturation`) mean too few workers, or requests that are too slow." + IN_SECONDS,
        ("time", "n", "p50", "p95", "p99", "worst"),
        f"""
SELECT floor(ts / $step) * $step AS time, count(*) AS n,
  quantile(0.5, queue_time) AS p50, quantile(0.95, queue_time) AS p95,
  quantile(0.99, queue_time) AS p99, max(queue_time) AS worst
FROM events
WHERE {ENDED_REQUESTS}
  AND queue_time IS NOT NULL
GROUP BY time
ORDER BY time DESC
LIMIT $limit""",
        STEP_PARAMETER,
    ),
    Question(
        "slower",
        "What got slower?",
        "Each view before and after a time (`at`; by default the middle of the period), by the"
        " ratio of the 95th percentiles. With few requests the ratio means little." + IN_SECONDS,
        ("view", "n_before", "n_after", "p95_before", "p95_after", "ratio"),
        f"""
WITH parted AS (
  SELECT resp_view AS view,
    CASE WHEN ts < moment THEN resp_time END AS old,
    CASE WHEN ts >= moment THEN resp_time END AS young
  FROM events
  CROSS JOIN (
    SELECT CASE WHEN $at > 0 THEN $at ELSE (low + high) / 2 END AS moment
    FROM (SELECT min(ts) AS low, max(ts) AS high FROM events WHERE {IN_PERIOD}) AS span
  ) AS cut
  WHERE {ENDED_REQUESTS}
)
SELECT view, count(old) AS n_before, count(young) AS n_after,
  quantile(0.95, old) AS p95_before, quantile(0.95, young) AS p95_after,
  quantile(0.95, young) / quantile(0.95, old) AS ratio
FROM parted
GROUP BY view
HAVING count(old) > 0 AND count(young) > 0
ORDER BY ratio DESC, view
LIMIT $limit""",
        {"at": Parameter(0.0, float, "the time, seconds since 1970; 0: the middle")},
    ),
    Question(
        "deploy",
        "What got slower since a release?",
        "Each view under a `RELEASE` (by default the newest) and before it, by the ratio of the"
        " 95th percentiles, with the share of errors." + IN_SECONDS,
        (
            *("view", "n_before", "n_after", "p95_before", "p95_after", "ratio"),
            *("errors_before", "errors_after"),
        ),
        f"""
WITH began AS (
  SELECT release AS called, min(ts) AS first_ts FROM events
  WHERE release IS NOT NULL GROUP BY called
), chosen AS (
  SELECT argmax(called, first_ts) AS name, max(first_ts) AS at FROM began
  WHERE called = $release OR $release = ''
), parted AS (
  SELECT resp_view AS view,
    CASE WHEN events.ts < chosen.at THEN resp_time END AS old,
    CASE WHEN events.release = chosen.name THEN resp_time END AS young,
    {HAS_FAILED} AS failed
  FROM events CROSS JOIN chosen
  WHERE {ENDED_REQUESTS}
)
SELECT view, count(old) AS n_before, count(young) AS n_after,
  quantile(0.95, old) AS p95_before, quantile(0.95, young) AS p95_after,
  quantile(0.95, young) / quantile(0.95, old) AS ratio,
  countif(failed AND old IS NOT NULL) / count(old) AS errors_before,
  countif(failed AND young IS NOT NULL) / count(young) AS errors_after
FROM parted
GROUP BY view
HAVING count(old) > 0 AND count(young) > 0
ORDER BY ratio DESC, view
LIMIT $limit""",
        {"release": Parameter("", str, "the release; empty: the newest")},
    ),
    Question(
        "request",
        "What was recorded of one request?",
        "All events of a request in order: reports while it ran, errors that it survived, its end."
        + IN_SECONDS,
        (
            *("time", "event", "view", "method", "path", "status", "outcome", "took", "db_queries"),
            *("db", "cpu", "loc", "exception", "verdict", "report", "host", "pid"),
        ),
        f"""
SELECT ts AS time, event_type AS event, resp_view AS view,
  coalesce(req_method, task_kind) AS method, coalesce(req_path, task_name) AS path,
  resp_status AS status, resp_outcome AS outcome, resp_time AS took, db_queries,
  db_time AS db, resp_cpu_time AS cpu,
  coalesce(timeout_cause_loc, crash_cause_loc, exc_cause_loc, slow_loc) AS loc,
  exc_type AS exception, slow_verdict AS verdict, report, host, pid
FROM events
WHERE req_id = $id AND {IN_PERIOD}
ORDER BY ts, seq
LIMIT $limit""",
        {"id": Parameter(None, str, "the `req_id`")},
    ),
    Question(
        "tasks",
        "How fast is background work?",
        "Tasks and commands by name." + IN_SECONDS,
        ("task", "kind", "n", "p50", "p95", "worst", "errors"),
        f"""
SELECT task_name AS task, task_kind AS kind, count(*) AS n,
  quantile(0.5, resp_time) AS p50, quantile(0.95, resp_time) AS p95,
  max(resp_time) AS worst, countif({HAS_FAILED}) AS errors
FROM events
WHERE event_type IN ('task', 'timeout', 'crash') AND task_name IS NOT NULL
  AND {IN_PERIOD}
GROUP BY task, kind
ORDER BY n DESC, task, kind
LIMIT $limit""",
    ),
)
