"""Questions about causes: errors, queries, what requests wait for, groups of slow ones."""

from __future__ import annotations

from slowhound.store.questions.question import (
    ENDED_REQUESTS,
    HAS_FAILED,
    IN_PERIOD,
    IN_SECONDS,
    REQUEST_COUNT,
    STANDS_FOR,
    STEP_PARAMETER,
    Question,
)

SLOW_GROUPS = f"""
SELECT slow_fingerprint AS fingerprint, argmax(slow_verdict, ts) AS verdict,
  argmax(resp_view, ts) AS view, argmax(slow_loc, ts) AS loc, count(DISTINCT req_id) AS n,
  min(ts) AS first, max(ts) AS last, max(resp_time) AS worst, argmax(report, ts) AS newest
FROM events
WHERE slow_fingerprint IS NOT NULL AND {IN_PERIOD}
GROUP BY fingerprint
"""
SLOW_GROUP_COLUMNS = (
    "fingerprint",
    "verdict",
    "view",
    "loc",
    "n",
    "first",
    "last",
    "worst",
    "newest",
)

QUESTIONS = (
    Question(
        "errors",
        "Which errors are there?",
        "Exceptions by type, view and the line of your code closest to the raise, with the newest"
        " message. Errors that the request survived (`on_error`) are counted as well.",
        ("exception", "view", "loc", "n", "first", "last", "message", "req_id"),
        f"""
SELECT exc_type AS exception, resp_view AS view, exc_cause_loc AS loc, count(*) AS n,
  min(ts) AS first, max(ts) AS last, argmax(exc_msg, ts) AS message,
  argmax(events.req_id, ts) AS req_id
FROM events
WHERE exc_type IS NOT NULL AND {IN_PERIOD}
GROUP BY exception, view, loc
ORDER BY n DESC, exception, view, loc
LIMIT $limit""",
    ),
    Question(
        "error-rate",
        "What share of requests fails, over time?",
        "Errors, timeouts and worker deaths in each time step.",
        ("time", "n", "errors", "rate"),
        f"""
SELECT floor(ts / $step) * $step AS time, {REQUEST_COUNT} AS n, countif({HAS_FAILED}) AS errors,
  countif({HAS_FAILED}) / sum({STANDS_FOR}) AS rate
FROM events
WHERE {ENDED_REQUESTS}
GROUP BY time
ORDER BY time DESC
LIMIT $limit""",
        STEP_PARAMETER,
    ),
    Question(
        "n1",
        "Which lines run a query in a loop?",
        "The line of your code whose statement ran most often within one request (from 5 times on)."
        " `select_related` or `prefetch_related` there saves up to `time` seconds.",
        ("line", "view", "requests", "queries", "worst", "time"),
        f"""
SELECT db_n1 AS line, resp_view AS view, count(*) AS requests, avg(db_dup_queries) AS queries,
  max(db_dup_queries) AS worst, sum(db_dup_time) AS time
FROM events
WHERE {ENDED_REQUESTS}
  AND db_n1 IS NOT NULL
GROUP BY line, view
ORDER BY time DESC, line, view
LIMIT $limit""",
    ),
    Question(
        "sql",
        "Which statements take the most time?",
        "Shapes of SQL by their total time. Each event has only its costliest statements, so the"
        " counts of cheap ones that run everywhere are too low." + IN_SECONDS,
        ("fingerprint", "runs", "requests", "time", "per_run", "worst", "line", "view"),
        f"""
SELECT q.fingerprint AS fingerprint, sum(q.count) AS runs, count(*) AS requests,
  sum(q.time) AS time, sum(q.time) / sum(q.count) AS per_run, max(q.time) AS worst,
  argmax(q.line, q.time) AS line, argmax(resp_view, q.time) AS view
FROM events explode(db_top, q)
WHERE {IN_PERIOD}
GROUP BY fingerprint
ORDER BY time DESC, fingerprint
LIMIT $limit""",
    ),
    Question(
        "cache",
        "Does the cache help?",
        "Hits and misses of each view that uses a cache, and the time it takes." + IN_SECONDS,
        ("view", "n", "hits", "misses", "share", "time"),
        f"""
SELECT resp_view AS view, count(*) AS n, sum(cache_hits) AS hits, sum(cache_misses) AS misses,
  sum(cache_hits) / (sum(cache_hits) + sum(cache_misses)) AS share, sum(cache_time) AS time
FROM events
WHERE {ENDED_REQUESTS}
  AND cache_time IS NOT NULL
GROUP BY view
HAVING sum(cache_hits) + sum(cache_misses) > 0
ORDER BY time DESC, view
LIMIT $limit""",
    ),
    Question(
        "outbound",
        "Which views wait for other services?",
        "Outbound HTTP requests and their time, by view." + IN_SECONDS,
        ("view", "n", "calls", "time", "per_request", "worst"),
        f"""
SELECT resp_view AS view, count(*) AS n, sum(out_count) AS calls, sum(out_time) AS time,
  avg(out_time) AS per_request, max(out_time) AS worst
FROM events
WHERE {ENDED_REQUESTS}
  AND out_time IS NOT NULL
GROUP BY view
ORDER BY time DESC, view
LIMIT $limit""",
    ),
    Question(
        "starved",
        "Which requests were delayed by another one, and by which?",
        "Requests that waited for the GIL or for their event loop, by the request that held it. The"
        " times are estimates." + IN_SECONDS,
        ("kind", "held_by", "n", "waited", "worst", "example"),
        f"""
WITH waits AS (
  SELECT 'gil' AS kind, gil_held_by AS held_by, gil_wait_est AS wait, req_id FROM events
  WHERE gil_wait_est IS NOT NULL AND event_type <> 'slow' AND {IN_PERIOD}
  UNION ALL
  SELECT 'loop' AS kind, loop_blocked_by AS held_by, loop_lag AS wait, req_id FROM events
  WHERE loop_lag IS NOT NULL AND event_type <> 'slow' AND {IN_PERIOD}
)
SELECT kind, held_by, count(*) AS n, sum(wait) AS waited, max(wait) AS worst,
  argmax(req_id, wait) AS example
FROM waits
GROUP BY kind, held_by
ORDER BY waited DESC, kind, held_by
LIMIT $limit""",
    ),
    Question(
        "groups",
        "Which kinds of slow requests are there?",
        "Slow requests with the same view and the same functions of your code on the stack, the"
        " most frequent first. `slowhound report` with the fingerprint shows the newest."
        + IN_SECONDS,
        SLOW_GROUP_COLUMNS,
        SLOW_GROUPS + "ORDER BY n DESC, last DESC, fingerprint\nLIMIT $limit",
    ),
    Question(
        "stuck",
        "Which requests were stuck?",
        "The groups whose newest request was in the same place in every sample: a lock, a socket, a"
        " loop." + IN_SECONDS,
        SLOW_GROUP_COLUMNS,
        SLOW_GROUPS
        + "HAVING argmax(slow_verdict, ts) = 'stuck'\nORDER BY n DESC, last DESC, fingerprint\n"
        "LIMIT $limit",
    ),
    Question(
        "new",
        "What is new?",
        "Groups of slow requests and kinds of errors whose first event in the whole store is not"
        " older than `--since`, the newest first.",
        ("kind", "what", "view", "first", "n"),
        """
WITH seen AS (
  SELECT 'slow' AS kind, coalesce(slow_loc, slow_fingerprint) AS what, resp_view AS view, ts
  FROM events WHERE event_type = 'slow' AND ts < $until
  UNION ALL
  SELECT 'error' AS kind, concat(exc_type, ' at ', coalesce(exc_cause_loc, '?')) AS what,
    resp_view AS view, ts
  FROM events WHERE exc_type IS NOT NULL AND ts < $until
)
SELECT kind, what, view, min(ts) AS first, count(*) AS n
FROM seen
GROUP BY kind, what, view
HAVING min(ts) >= $since
ORDER BY first DESC, kind, what, view
LIMIT $limit""",
    ),
    Question(
        "memory",
        "Which workers grow?",
        "Resident memory of each process at its first and last event, and the growth for each"
        " request, in bytes. Where all workers grow at the same rate, the oldest come first.",
        ("host", "pid", "first", "last", "growth", "requests", "per_request", "peak"),
        f"""
SELECT host, pid, argmax(w_rss, -ts) AS first, argmax(w_rss, ts) AS last,
  argmax(w_rss, ts) - argmax(w_rss, -ts) AS growth, count(*) AS requests,
  (argmax(w_rss, ts) - argmax(w_rss, -ts)) / count(*) AS per_request, max(w_rss) AS peak
FROM events
WHERE w_rss IS NOT NULL AND event_type IN ('request', 'task') AND {IN_PERIOD}
GROUP BY host, pid
ORDER BY growth DESC, host, pid
LIMIT $limit""",
    ),
)
