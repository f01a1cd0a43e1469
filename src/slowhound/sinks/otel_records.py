"""Makes OpenTelemetry's log records of events and reports.

Only ``sinks.otel`` and what it is made of import this.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from slowhound.runtime.clocks import clock
from slowhound.sinks.otel_names import SEVERITY_TEXTS, attributes, body, plain, severity
from slowhound.sinks.otel_private import LogRecord, ReadableLogRecord, SeverityNumber

SCOPE = InstrumentationScope("slowhound")


class Records:
    """Makes the records of one process, which have one resource."""

    def __init__(self) -> None:
        self._instance = str(uuid.uuid4())
        # Now: its detectors use threads, and none can be started when the interpreter ends.
        self._detected = Resource.create()
        self._resource: Resource | None = None

    def resource_of(self, event: dict[str, Any]) -> Resource:
        """The resource, made from the first event of this process and from ``OTEL_...``."""
        if self._resource is None:
            known = {
                "service.name": event.get("service"),
                "service.version": event.get("release"),
                "host.name": event.get("host"),
                "service.instance.id": self._instance,
                "process.pid": os.getpid(),
            }
            own = {name: value for name, value in known.items() if value is not None}
            self._resource = self._detected.merge(Resource(own))
        return self._resource

    def record(
        self, event: dict[str, Any], name: str = "", extra: Mapping[str, Any] | None = None
    ) -> Any:
        """The log record of an event; ``extra`` are more attributes."""
        level = severity(event)
        context = None
        if event.get("trace_id") and event.get("span_id"):
            ids = SpanContext(int(event["trace_id"], 16), int(event["span_id"], 16), True)
            context = set_span_in_context(NonRecordingSpan(ids))
        record = LogRecord(
            timestamp=int(event["ts"] * 1e9) if "ts" in event else clock.time_ns(),
            context=context,
            severity_text=SEVERITY_TEXTS[level],
            severity_number=SeverityNumber(level),
            body=body(event),
            attributes={**attributes(event), **plain_values(extra or {})},
            event_name=name or f"slowhound.{event['event_type']}",
        )
        return ReadableLogRecord(record, self.resource_of(event), SCOPE)


def plain_values(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in extra.items()}
