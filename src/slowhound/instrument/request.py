"""Describes the request and the response in the event, from WSGI's environ."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from slowhound.core.record import Record
from slowhound.redaction.masking import HEADER_LIMIT, client_text
from slowhound.redaction.plain_data import as_int
from slowhound.redaction.urls import client_url, query_keys
from slowhound.runtime.clocks import clock
from slowhound.runtime.foreign import is_foreign

# A header with more than an hour of queueing comes from a wrong clock, or is forged.
QUEUE_LIMIT = 3600.0
_ADDRESS = re.compile(r"[0-9a-fA-F.:]{0,45}")
# Seconds of work after the last byte from which on there is a field.
LEAST_AFTER = 0.001


def describe_request(record: Record, event: dict[str, Any]) -> None:
    """``req_*``: method, path, referrer and user agent always, the others where there are any."""
    meta = record.meta
    event["req_id"] = record.id
    event["req_method"] = record.method
    event["req_path"] = record.path
    event["req_referrer"] = header(record.referrer, client_url)
    event["req_user_agent"] = header(meta("HTTP_USER_AGENT"))
    route = record.route
    if route is not None:
        event["req_route"] = route or "/"  # Django's route of the root is empty
    query = meta("QUERY_STRING")
    if query:
        event["req_query_keys"] = query_keys(query)
    size = as_int(meta("CONTENT_LENGTH"))
    if size is not None:
        event["req_bytes"] = size
    address = meta("REMOTE_ADDR")
    if address:
        is_plain = _ADDRESS.fullmatch(address) is not None
        # Behind a proxy it comes from a header.
        event["req_client_addr"] = address if is_plain else client_text(address, HEADER_LIMIT)


def header(value: str | None, masked: Callable[[str, int], str] = client_text) -> str | None:
    """A header's text, cut and masked.

    WSGI passes bytes as latin-1 (PEP 3333); clients send UTF-8.
    """
    if value is None:
        return None
    if not value.isascii():
        value = value[: 4 * HEADER_LIMIT + 1]
        try:
            value = value.encode("latin-1").decode("utf-8", "surrogateescape")
        except UnicodeEncodeError as exc:  # a server that has decoded it already
            if is_foreign(exc):
                raise
    return masked(value, HEADER_LIMIT)


def describe_response(record: Record, event: dict[str, Any]) -> None:
    """``resp_*`` and ``queue_time``."""
    event["resp_view"] = record.view
    event["resp_time"] = record.took
    event["resp_cpu_time"] = record.cpu
    event["resp_status"] = record.status
    if record.first_byte is not None:
        event["resp_ttfb"] = record.first_byte
    if record.sent is not None:
        event["resp_bytes"] = record.sent
    event["resp_outcome"] = record.outcome
    if record.after >= LEAST_AFTER:
        event["resp_after_time"] = record.after
    stamp = record.meta("HTTP_X_REQUEST_START") or record.meta("HTTP_X_QUEUE_START")
    if stamp is not None:
        queued = queue_time(stamp, clock.time() - record.took - record.after)
        if queued is not None:
            event["queue_time"] = queued


def queue_time(stamp: str, started: float) -> float | None:
    """Seconds between a proxy's time stamp and ``started``; None when the stamp makes no sense.

    Stamps are seconds (nginx ``$msec``), milliseconds (Heroku) or microseconds (Apache ``%t``)
    since 1970, with or without a leading ``t=``; the size shows which.
    """
    try:
        value = float(stamp.strip().removeprefix("t="))
    except ValueError as exc:
        if is_foreign(exc):
            raise
        return None
    for unit in (1.0, 1e3, 1e6):
        seconds = value / unit
        # Between 2001 and 2286: no two units overlap there.
        if 1e9 <= seconds < 1e10:
            waited = started - seconds
            return max(waited, 0.0) if waited < QUEUE_LIMIT else None
    return None


def outcome_of(record: Record) -> str:
    """``error`` for a status from 500 on, and for an exception without a status; else ``ok``."""
    if record.status is not None and record.status >= 500:
        return "error"
    if record.exc is not None and not record.exc.get("exc_handled"):
        if record.status is None:
            return "error"
        # Another response was sent instead, as by a middleware that had the view run again.
        record.exc = {**record.exc, "exc_handled": True}
    return "ok"
