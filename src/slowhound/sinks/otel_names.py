"""Translates an event to OpenTelemetry's attributes, severity and body, without importing it.

Names are those of the semantic conventions if the table in ``event/fields.py`` has one, otherwise
``slowhound.<field>``. Times stay in seconds.
"""

from __future__ import annotations

from typing import Any

from slowhound.event.fields import FIELDS
from slowhound.event.formats import clean
from slowhound.redaction.structures import value_of

# These are fields of the log record, or attributes of its resource.
NOT_ATTRIBUTES = frozenset({"trace_id", "span_id", "ts", "host", "service", "release"})
ATTRIBUTE_NAMES = {field.name: field.otel or f"slowhound.{field.name}" for field in FIELDS}
# A header may come several times, so its attribute is a list.
LIST_ATTRIBUTES = frozenset({"http.request.header.referer"})
ATTRIBUTE_TEXT_LIMIT = 16_000

# SeverityNumber of the data model: https://opentelemetry.io/docs/specs/otel/logs/data-model/
INFO, WARN, ERROR, FATAL = 9, 13, 17, 21
SEVERITY_TEXTS = {INFO: "INFO", WARN: "WARN", ERROR: "ERROR", FATAL: "FATAL"}
_BY_TYPE = {
    "slow": WARN,
    "partial_failure": WARN,
    "stall": ERROR,
    "timeout": FATAL,  # its worker is gone
    "crash": FATAL,
}
_BY_OUTCOME = {"error": ERROR, "retry": WARN, "rejected": WARN}


def severity(event: dict[str, Any]) -> int:
    """By the event's type; for a request that has ended, by its outcome."""
    found = _BY_TYPE.get(event["event_type"])
    return _BY_OUTCOME.get(event.get("resp_outcome", ""), INFO) if found is None else found


def body(event: dict[str, Any]) -> str:
    """One short line, for a list of log records."""
    what = event.get("req_path") or event.get("task_name") or event.get("stall_in")
    by = event.get("req_method") or event.get("task_kind") or event.get("stall_kind")
    ended = event.get("resp_status") or event.get("resp_outcome")
    words = [event["event_type"], by, what, ended, event.get("exc_type")]
    took = event.get("resp_time")
    if isinstance(took, float):
        words.append(f"{took:.3f} s")
    return " ".join(clean(word)[:500] for word in words if word is not None)


def attributes(event: dict[str, Any]) -> dict[str, Any]:
    """All that the event has, under OpenTelemetry's names, without None."""
    found: dict[str, Any] = {}
    for name, value in event.items():
        if value is None or name in NOT_ATTRIBUTES:
            continue
        key = ATTRIBUTE_NAMES.get(name) or f"slowhound.{clean(name)}"
        sent = plain(value if name in ATTRIBUTE_NAMES else value_of(clean(name), value))
        found[key] = [sent] if key in LIST_ATTRIBUTES else sent
    return found


def plain(value: Any, depth: int = 4) -> Any:
    """As OTLP can hold it: UTF-8 text, 64-bit numbers. Another value would lose the whole batch."""
    kind = type(value)
    if kind in (bool, float):
        return value
    if kind is int and -(2**63) <= value < 2**63:
        return value
    if depth > 0 and kind is dict:
        return {clean(key): plain(each, depth - 1) for key, each in value.items()}
    if depth > 0 and kind in (list, tuple):
        return [plain(each, depth - 1) for each in value]
    return clean(value)[:ATTRIBUTE_TEXT_LIMIT]
