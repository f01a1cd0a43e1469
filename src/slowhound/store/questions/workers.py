"""Questions about workers: deaths, saturation, stalls, and slowhound's own losses and cost."""

from __future__ import annotations

from slowhound.store.questions.question import (
    ENDED_REQUESTS,
    IN_PERIOD,
    IN_SECONDS,
    STEP_PARAMETER,
    Question,
)

QUESTIONS = (
    Question(
        "deaths",
        "Why did workers die?",
        "Requests that were in flight when their worker timed out or died, by the cause, the view"
        " and the line of your code where they were.",
        ("cause", "signal", "view", "loc", "n", "first", "last", "statement", "req_id"),
        f"""
SELECT CASE WHEN event_type = 'timeout' THEN 'timeout' ELSE crash_cause END AS cause,
  crash_signal AS signal, resp_view AS view,
  coalesce(timeout_cause_loc, crash_cause_loc) AS loc, count(*) AS n,
  min(ts) AS first, max(ts) AS last, argmax(coalesce(timeout_sql, crash_sql), ts) AS statement,
  argmax(events.req_id, ts) AS req_id
FROM events
WHERE event_type IN ('timeout', 'crash') AND {IN_PERIOD}
GROUP BY cause, signal, view, loc
ORDER BY n DESC, last DESC, cause, view
LIMIT $limit""",
    ),
    Question(
        "saturation",
        "Are there enough workers?",
        "The share of workers with a request, the longest queues, and busy threads, over time."
        " A `busy` near 1 with a `backlog` or `queue` means that requests wait for workers.",
        ("time", "n", "workers", "active", "busy", "backlog", "threads_busy", "queue"),
        f"""
SELECT floor(ts / $step) * $step AS time, count(*) AS n, max(g_w_count) AS workers,
  max(g_w_active) AS active, avg(g_w_active) / avg(g_w_count) AS busy, max(g_backlog) AS backlog,
  max(g_threads_busy) AS threads_busy, max(g_queue) AS queue
FROM events
WHERE g_w_count IS NOT NULL AND g_w_count > 0 AND {IN_PERIOD}
GROUP BY time
ORDER BY time DESC
LIMIT $limit""",
        STEP_PARAMETER,
    ),
    Question(
        "stalls",
        "When was a whole worker blocked?",
        "All threads in slow requests, a blocked event loop, or a held GIL, by kind and by the"
        " request or function that caused it." + IN_SECONDS,
        ("kind", "held_by", "n", "longest", "held_up", "first", "last"),
        f"""
SELECT stall_kind AS kind, coalesce(stall_by, stall_in) AS held_by, count(*) AS n,
  max(stall_time) AS longest, max(stall_requests) AS held_up, min(ts) AS first, max(ts) AS last
FROM events
WHERE event_type = 'stall' AND {IN_PERIOD}
GROUP BY kind, held_by
ORDER BY n DESC, kind, held_by
LIMIT $limit""",
    ),
    Question(
        "workers",
        "What did each worker do?",
        "Processes and their requests, the most requests first. `busy` is the mean number of"
        " requests in flight." + IN_SECONDS,
        ("host", "pid", "release", "n", "busy", "p95", "first", "last"),
        f"""
SELECT host, pid, argmax(events.release, ts) AS release, count(*) AS n,
  CASE WHEN max(ts) > min(ts) THEN sum(resp_time) / (max(ts) - min(ts)) END AS busy,
  quantile(0.95, resp_time) AS p95, min(ts) AS first, max(ts) AS last
FROM events
WHERE {ENDED_REQUESTS}
GROUP BY host, pid
ORDER BY n DESC, host, pid
LIMIT $limit""",
    ),
    Question(
        "losses",
        "What did slowhound lose, and what does it cost?",
        "For each process the events that it dropped (a full disk, a full queue), its own errors,"
        " and the time that it took within requests." + IN_SECONDS,
        ("host", "pid", "dropped", "failures", "n", "overhead_p50", "overhead_p99"),
        f"""
SELECT host, pid, max(coalesce(rec_dropped, 0)) AS dropped,
  max(coalesce(rec_errors, 0)) AS failures, count(*) AS n,
  quantile(0.5, rec_overhead) AS overhead_p50, quantile(0.99, rec_overhead) AS overhead_p99
FROM events
WHERE {IN_PERIOD}
GROUP BY host, pid
ORDER BY dropped DESC, failures DESC, n DESC, host, pid
LIMIT $limit""",
    ),
)
