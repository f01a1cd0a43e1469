"""What is written into a black box, and how it is read back.

A note is JSON that fits its area. It may be read by another version of slowhound, after a crash:
reading never raises, what is missing or broken is left out.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import msgspec

from slowhound.blackbox import HALF_SETTINGS, HALF_STACK, HALF_WHO
from slowhound.config import Config
from slowhound.formats import clean, json_line
from slowhound.frames import Stack, locate
from slowhound.losses import NOT_JSON
from slowhound.record import Record
from slowhound.redact import short_text, url

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
FRAMES = 12
# A path of control characters takes six bytes for each; nearly every one fits at the first try.
PATH_LIMITS = (300, 40)


def settings_note(config: Config, server: str) -> bytes:
    """How this process writes events: what others need to write one in its place."""
    note = {
        "format": config.format,
        "stream": config.stream,
        "dir": config.dir if config.store else None,
        "host": config.host,
        "service": config.service,
        "release": config.release,
        "server": server,
        "python": platform.python_version(),
        "deliver": bool(config.sinks),
    }
    watch = {
        "slow_after": config.slow_after,
        "slow_by_name": config.slow_after_by_name,
        "ignore": sorted(config.ignore),
        "reports": config.reports_dir,
        "reports_max": config.reports_max_bytes,
    }
    if config.watch and config.report_files:
        whole = json_line({**note, **watch})[:-1]
        if len(whole) <= HALF_SETTINGS - 16:
            return whole
        # Too many thresholds: then nobody reports in this one's place.
    return json_line(note)[:-1]


def who_note(record: Record) -> bytes:
    """The request as it is known at its first sight; written once, before anything can happen."""
    path = clean(record.path)
    if record.environ is None and record.kind == "task":
        return _task_note(record)
    for limit in PATH_LIMITS:
        encoded = _encode(
            {
                "id": record.id,
                "method": record.method[:20],
                "path": path[:limit],
                "started": record.started,
                "referrer": _cut(record.referrer, limit // 2, url),
                "user_agent": _cut(record.meta("HTTP_USER_AGENT"), limit // 2, short_text),
                "trace": record.trace,
            }
        )
        if len(encoded) <= HALF_WHO - 16:
            break
    return encoded


def _task_note(record: Record) -> bytes:
    for limit in PATH_LIMITS:
        note = {
            "id": record.id,
            "method": record.method,
            "path": _cut(record.path, limit),
            "started": record.started,
            "task": _cut(record.task_id, limit // 3),  # no request has this, be it None
            "slow_after": record.slow_after,
            "trace": record.trace,
        }
        encoded = _encode(note)
        if len(encoded) <= HALF_WHO - 16:
            break
    return encoded


def who_fields(who: dict[str, Any], last: dict[str, Any], view: str | None) -> dict[str, Any]:
    """What the event of a dead process says of who it was; ``last`` is the last stack's note."""
    event = {"req_id": who.get("id")}
    trace = last.get("trace") or who.get("trace")
    if isinstance(trace, list) and len(trace) == 2:
        event["trace_id"], event["span_id"] = trace
    if "task" in who:
        event["task_kind"], event["task_name"] = who.get("method"), who.get("path")
        if who["task"] is not None:
            event["task_id"] = who["task"]
        return event
    referrer = last.get("referrer") or who.get("referrer")
    return {
        **event,
        "req_method": who.get("method"),
        "req_path": who.get("path"),
        "req_referrer": url(referrer) if isinstance(referrer, str) else None,
        "req_user_agent": last.get("user_agent") or who.get("user_agent"),
        "resp_view": view,
    }


def stack_note(record: Record, stack: Stack, taken: float) -> bytes:
    """The innermost frames, the locations, when it was taken, and what else is known by now."""
    loc, cause = locate(stack)
    for frames, limit in ((FRAMES, 120), (6, 80), (3, 40), (0, 10)):
        note = {
            "taken": taken,
            "loc": _cut(loc, limit),
            "cause": _cut(cause, limit),
            "db_queries": record.db_count,
            "db_time": record.db_time,
            "referrer": _cut(record.referrer, limit, url),
            "user_agent": _cut(record.meta("HTTP_USER_AGENT"), limit, short_text),
            "trace": record.trace,
            "stack": [_cut(str(frame), limit) for frame in stack[len(stack) - frames :]],
        }
        encoded = _encode(note)
        if len(encoded) <= HALF_STACK - 16:
            break
    return encoded


def _cut(text: Any, limit: int, masked: Callable[[str], str] = str) -> str | None:
    # Masked first: of a secret that is cut nobody knows any more that it is one.
    return None if text is None else masked(clean(text))[:limit]


def read_note(note: bytes) -> dict[str, Any]:
    """A note as a dict; empty when it cannot be read."""
    try:
        return _decode(note)
    except NOT_JSON:
        return {}
