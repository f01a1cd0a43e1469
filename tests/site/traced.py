"""The WSGI application of a site that uses Sentry or OpenTelemetry itself, as their docs advise."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from tests.site.options import SCRATCH

Start = Callable[..., Any]

if os.environ.get("TEST_SENTRY_DSN"):
    import sentry_sdk
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        os.environ["TEST_SENTRY_DSN"],
        traces_sample_rate=1.0,
        integrations=[LoggingIntegration(event_level=logging.WARNING)],
    )

from tests.site.wsgi import application as django  # noqa: E402  Sentry comes before Django


def traced() -> Callable[[dict[str, Any], Start], Iterable[bytes]]:
    """The application with a span around each request; ended spans are written to a file."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    provider = TracerProvider()
    out = (SCRATCH / "spans.jsonl").open("a")
    exporter = ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json(indent=None) + "\n")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("site")

    def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        with tracer.start_as_current_span("server"):
            return django(environ, start_response)

    return application


application = traced() if os.environ.get("TEST_SPANS") else django
