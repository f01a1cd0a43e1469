"""Makes the JSON payloads that a record writes into its black box.

Each fits its area. ``blackbox.payloads`` reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from slowhound.blackbox.layout import HALF_STACK, HALF_WHO
from slowhound.core.record import Record
from slowhound.event.formats import clean
from slowhound.frames.frames import Stack, locate
from slowhound.redaction.masking import HEADER_LIMIT, client_text
from slowhound.redaction.urls import client_url

_encode = msgspec.json.Encoder().encode
FRAMES = 12
# A path of control characters takes six bytes for each; nearly every one fits at the first try.
PATH_LIMITS = (300, 40)


def who_payload(record: Record) -> bytes:
    """What is known of a request at its start; written once, before anything else."""
    path = clean(record.path)
    if record.environ is None and record.kind == "task":
        return _task_payload(record)
    for limit in PATH_LIMITS:
        encoded = _encode(
            {
                "id": record.id,
                "method": record.method[:20],
                "path": path[:limit],
                "started": record.started,
                "referrer": _cut(record.referrer, limit // 2, client_url),
                "user_agent": _cut(record.meta("HTTP_USER_AGENT"), limit // 2, client_text),
                "trace": record.trace,
            }
        )
        if len(encoded) <= HALF_WHO - 16:
            break
    return encoded


def _task_payload(record: Record) -> bytes:
    for limit in PATH_LIMITS:
        payload = {
            "id": record.id,
            "method": record.method,
            "path": _cut(record.path, limit),
            "started": record.started,
            # No request has this, not even as None.
            "task": _cut(record.shown_id, limit // 3),
            "slow_after": record.slow_after,
            "trace": record.trace,
        }
        encoded = _encode(payload)
        if len(encoded) <= HALF_WHO - 16:
            break
    return encoded


def stack_payload(record: Record, stack: Stack, taken: float) -> bytes:
    """A stack: its innermost frames, locations and time, and what else is known by now."""
    loc, cause = locate(stack)
    for frames, limit in ((FRAMES, 120), (6, 80), (3, 40), (0, 10)):
        payload = {
            "taken": taken,
            "loc": _cut(loc, limit),
            "cause": _cut(cause, limit),
            "db_queries": record.db_count,
            "db_time": record.db_time,
            "referrer": _cut(record.referrer, limit, client_url),
            "user_agent": _cut(record.meta("HTTP_USER_AGENT"), limit, client_text),
            "trace": record.trace,
            "stack": [_cut(str(frame), limit) for frame in stack[len(stack) - frames :]],
        }
        encoded = _encode(payload)
        if len(encoded) <= HALF_STACK - 16:
            break
    return encoded


def _cut(text: Any, limit: int, masked: Callable[[str, int], str] | None = None) -> str | None:
    if text is None or masked is None:
        return None if text is None else clean(text)[:limit]
    # Masked first: a secret that was cut is not recognised any more.
    return masked(clean(text[: HEADER_LIMIT + 1]), HEADER_LIMIT)[:limit]
